from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from scripts.clerk_emulator.config import system_clock
from tests.scripts.clerk_emulator.receiver import Receiver, delivering


@dataclass
class ManualClock:
    """Clerk's clock in milliseconds. It moves only when `now` is set."""

    now: int = field(default_factory=system_clock)

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def emulator(signing_key: RSAPrivateKey, clock: ManualClock) -> ClerkEmulator:
    config = EmulatorConfig(rate_limit=None)
    return ClerkEmulator(config, clock=clock, signing_key=signing_key)


@pytest.fixture
async def api(emulator: ClerkEmulator) -> AsyncIterator[httpx.AsyncClient]:
    """The Backend API with the right key."""
    async with client_of(emulator) as client:
        yield client


@pytest.fixture
def limited(signing_key: RSAPrivateKey) -> ClerkEmulator:
    """Three calls in ten seconds."""
    return ClerkEmulator(EmulatorConfig(rate_limit=3), signing_key=signing_key)


@pytest.fixture(scope="session")
async def served(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """One emulator on a real port, for clients that bring their own connection."""
    config = EmulatorConfig(rate_limit=None)
    async with running_emulator(config, signing_key=signing_key) as emulator:
        yield emulator


@pytest.fixture
def receiver(emulator_with_receiver: tuple[ClerkEmulator, Receiver]) -> Receiver:
    return emulator_with_receiver[1]


@pytest.fixture
def sending(emulator_with_receiver: tuple[ClerkEmulator, Receiver]) -> ClerkEmulator:
    """An emulator that delivers to `receiver`, a million times faster than Svix."""
    return emulator_with_receiver[0]


@pytest.fixture
async def emulator_with_receiver(
    signing_key: RSAPrivateKey,
) -> AsyncIterator[tuple[ClerkEmulator, Receiver]]:
    async with delivering(signing_key, time_scale=0.000001) as both:
        yield both


def client_of(emulator: ClerkEmulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=emulator.transport,
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {emulator.config.secret_key}"},
    )
