from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import (
    ClerkEmulator,
    EmulatorConfig,
    running_emulator,
)
from tests.adapters.clerk.payloads import INSTANCE
from tests.docs.alerts import Alerts, answering, prometheus
from tests.docs.scene import Scene, serving


@pytest.fixture
async def clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, time_scale=0.001, instance_id=INSTANCE)
    async with running_emulator(config, signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
async def scene(clerk: ClerkEmulator, store_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with serving(clerk, store_url, tmp_path) as scene:
        yield scene


@pytest.fixture
async def alerts(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Alerts]:
    """They count the last 8 seconds, or those of the parameter."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with prometheus(folder, getattr(request, "param", "8s")) as alerts:
        await answering(alerts)
        yield alerts
