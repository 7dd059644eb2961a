"""Fixtures for the tests of an application that uses `clerk_user_sync`.

pytest loads this module at every start, so it imports pytest and nothing else: the rest is imported
by the first fixture that a test asks for. A fixture of the same name in a `conftest.py` wins, as
always in pytest. `docs/guides/testing.md` shows all of them.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.from_thread import BlockingPortal
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from scripts.clerk_emulator.config import EmulatorConfig
    from service.services import Operations
    from service.settings import Settings
    from testing import (
        AsyncChangesHandled,
        AsyncDeliver,
        ChangesHandled,
        Deliver,
        EmulatedClerk,
        OverrideCurrentUser,
        SyncedUser,
    )

_SCOPE, _CLIENT = "clerk_scope", "clerk_client"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        _SCOPE, "Scope of the fixture `clerk`: function, module or session.", default="function"
    )
    parser.addini(
        _CLIENT, "Your fixture that gives a client of your application.", default="client"
    )


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    del fixture_name
    return config.getini(_SCOPE)


@pytest.fixture(scope=_scope)
def clerk(
    _clerk_config: EmulatorConfig,
    clerk_settings: Settings,
    _clerk_signing_key: RSAPrivateKey,
    _clerk_operations: Operations,
    _clerk_portal: BlockingPortal,
) -> Iterator[EmulatedClerk]:
    """A Clerk instance in process, without a socket. `clerk.connect(app)` lets your app use it."""
    from testing import EmulatedClerk, store  # noqa: PLC0415

    store.forget_subscriptions(_clerk_portal, _clerk_operations)
    emulated = EmulatedClerk(_clerk_config, clerk_settings, _clerk_signing_key)
    yield emulated
    emulated.close()


@pytest.fixture(scope=_scope)
def signed_in_as(clerk: EmulatedClerk) -> Callable[..., dict[str, str]]:
    """`signed_in_as(user)`: the headers of a request by that user, with a real session token."""
    return clerk.signed_in_as


@pytest.fixture(scope=_scope)
def synced_user(
    clerk: EmulatedClerk, _clerk_operations: Operations, _clerk_portal: BlockingPortal
) -> SyncedUser:
    """`synced_user(first_name="Ada")`: a user at Clerk and in the store. Never awaited."""
    from testing import SyncedUser  # noqa: PLC0415

    return SyncedUser(clerk, _clerk_operations, _clerk_portal)


@pytest.fixture
def deliver(request: pytest.FixtureRequest, clerk: EmulatedClerk) -> Deliver | AsyncDeliver:
    """`deliver("user.updated", user, first_name="Ada")` posts a signed webhook to your application.

    Awaited if your fixture `client` is asynchronous.
    """
    from testing import AsyncDeliver, Deliver  # noqa: PLC0415

    client, is_async = _client(request)
    return AsyncDeliver(clerk, client) if is_async else Deliver(clerk, client)


@pytest.fixture
def changes_handled(
    request: pytest.FixtureRequest, _clerk_operations: Operations, _clerk_portal: BlockingPortal
) -> ChangesHandled | AsyncChangesHandled:
    """`changes_handled(changes)` waits until your handlers of changes have had all so far.

    Awaited if your fixture `client` is asynchronous.
    """
    from testing import AsyncChangesHandled, ChangesHandled  # noqa: PLC0415

    _, is_async = _client(request)
    kind = AsyncChangesHandled if is_async else ChangesHandled
    return kind(_clerk_operations, _clerk_portal)


def _client(request: pytest.FixtureRequest) -> tuple[Any, bool]:
    """The host's client, and whether it is asynchronous. Raises `UsageError`."""
    name = request.config.getini(_CLIENT)
    client = request.getfixturevalue(name)
    post = getattr(client, "post", None)
    if post is None:
        raise pytest.UsageError(
            f"the fixture {name!r} is no client of httpx or Starlette: name yours in {_CLIENT}"
        )
    return client, inspect.iscoroutinefunction(post)


@pytest.fixture
def override_current_user() -> Iterator[OverrideCurrentUser]:
    """`override_current_user(app, user)`: for unit tests, without a store and without Clerk."""
    from testing import OverrideCurrentUser  # noqa: PLC0415

    override = OverrideCurrentUser()
    yield override
    override.close()


@pytest.fixture(scope="session")
def clerk_database(_clerk_portal: BlockingPortal) -> Iterator[str]:
    """The address of a database that tests may write to. Override it if you make one yourself.

    By default a new one, on the server of DATABASE_URL or on an embedded server.
    """
    from testing import store  # noqa: PLC0415

    with store.database(_clerk_portal) as address:
        yield address


@pytest.fixture(scope="session")
def clerk_database_schema() -> str | None:
    """The schema of our tables. Override it if DATABASE_SCHEMA is not in the environment."""
    from testing import store  # noqa: PLC0415

    return store.schema()


@pytest.fixture(scope="session")
def clerk_database_url(
    clerk_database: str, clerk_database_schema: str | None, _clerk_portal: BlockingPortal
) -> str:
    """The address of that database, with our tables in it. Make yours there too."""
    from testing import store  # noqa: PLC0415

    store.bring_to_head(_clerk_portal, clerk_database, clerk_database_schema)
    return clerk_database


@pytest.fixture(scope="session")
def clerk_settings(
    _clerk_config: EmulatorConfig, clerk_database_url: str, clerk_database_schema: str | None
) -> Settings:
    """The settings that a connected application uses. Override it to change one."""
    from testing import settings_for  # noqa: PLC0415

    return settings_for(_clerk_config, clerk_database_url, clerk_database_schema)


@pytest.fixture(scope="session")
def _clerk_portal() -> Iterator[BlockingPortal]:
    """An event loop in another thread, so that our fixtures need none of the tests'."""
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415

    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def _clerk_config() -> EmulatorConfig:
    """Secrets and ids of the emulated instance: the same for the whole session.

    The instance has one id for all sessions, because a store belongs to one instance, and the
    host's own database for tests may be used again.
    """
    from scripts.clerk_emulator.config import EmulatorConfig  # noqa: PLC0415

    return EmulatorConfig(
        public_url="https://clerk.test", instance_id="ins_ofTheTests", rate_limit=None
    )


@pytest.fixture(scope="session")
def _clerk_signing_key() -> RSAPrivateKey:
    """One for all tests: making one takes a tenth of a second."""
    from scripts.clerk_emulator.sessions import new_signing_key  # noqa: PLC0415

    return new_signing_key()


@pytest.fixture(scope="session")
def _clerk_operations(
    clerk_settings: Settings, _clerk_portal: BlockingPortal
) -> Iterator[Operations]:
    """The store, opened once."""
    from testing import store  # noqa: PLC0415

    with store.opened(_clerk_portal, clerk_settings) as operations:
        yield operations
