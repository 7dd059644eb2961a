"""An emulated Clerk, a real Postgres, and the command line between them."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.postgres.migrate import migrate
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from service.bootstrap import operations
from service.services import Operations
from tests.adapters.clerk.payloads import INSTANCE
from tests.commands.commands import Operator
from tests.commands.terminal import Terminal
from tests.postgres_server import temporary_database
from tests.running import settings_for


@pytest.fixture
async def clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """A new Clerk instance without users, whose id is not the one in `operator`'s settings."""
    async with running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk:
        yield clerk


@pytest.fixture
async def available(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Operations]:
    """The adapters and use cases of a command, in this process."""
    async with operations(settings_for(clerk, store_url, clerk_rate_limit=100_000)) as available:
        yield available


@pytest.fixture
def terminal(clerk: ClerkEmulator, store_url: str, tmp_path: Path) -> Terminal:
    """A terminal for running commands as processes."""
    settings = clerk.config.environment()
    return Terminal({**settings, "DATABASE_URL": store_url, "CLERK_RATE_LIMIT": "100000"}, tmp_path)


@pytest.fixture
def operator(clerk: ClerkEmulator, store_url: str) -> Operator:
    """Runs commands in this process, with the instance id of the recorded deliveries."""
    settings = clerk.config.environment()
    return Operator({**settings, "DATABASE_URL": store_url, "CLERK_INSTANCE_ID": INSTANCE})


@pytest.fixture
async def other_url(postgres_url: str) -> AsyncIterator[str]:
    """The database of another environment, such as staging."""
    async with temporary_database(postgres_url, f"other_{uuid4().hex}") as url:
        await migrate(url)
        yield url


@pytest.fixture
def sure(clerk: ClerkEmulator, operator: Operator) -> Operator:
    """An operator with the key and the id of this instance."""
    return operator.told({"CLERK_INSTANCE_ID": clerk.config.instance_id})
