"""Personal data and secrets appear only in their places; a deleted user's appear nowhere.

Every personal field and every secret is a canary. Whatever happens, none is in the log, in the
metrics or in a refusal; after the deletion none is in any column of any table.
"""

import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA
from tests.postgres_server import Sql
from tests.service.canaries import CANARY, found
from tests.service.tables import everything_stored
from tests.service.watched import DSN, PERSON, STORIES, Watched, an_outage, event, watched, webhooks


@pytest.fixture
async def watch(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Watched]:
    key = clerk.keys.public_pem()
    async for watching in watched(clerk, store_url, clerk_jwt_key=key, log_level="debug"):
        yield watching


@pytest.fixture
async def watch_without_store(clerk: ClerkEmulator) -> AsyncIterator[Watched]:
    async for watching in watched(clerk, DSN, log_level="debug"):
        yield watching


async def assert_discreet(watch: Watched, libraries: str) -> None:
    told = await watch.told() + libraries
    assert "request" in watch.log.getvalue()
    assert found(told, [CANARY, *watch.secrets()]) == []


@pytest.mark.parametrize("story", STORIES)
async def test_no_output_has_personal_data_or_a_secret(
    watch: Watched, caplog: pytest.LogCaptureFixture, story: Callable[[Watched], Awaitable[None]]
) -> None:
    caplog.set_level(logging.INFO)
    # The test client would log the addresses that it requests.
    caplog.set_level(logging.WARNING, "httpx")
    await story(watch)
    await assert_discreet(watch, caplog.text)


async def test_no_output_has_personal_data_while_the_store_is_unavailable(
    watch_without_store: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await an_outage(watch_without_store)
    await assert_discreet(watch_without_store, caplog.text)


SPELT = {
    "plain": "x Canary x",
    "in base64": base64.b64encode(b"a canary in a document").decode(),
    "in base64 of the web": base64.urlsafe_b64encode(b"ab?canary").decode(),
    "as Postgres shows bytes": "\\x" + b"a canary".hex(),
}


@pytest.mark.parametrize("how", SPELT)
def test_a_canary_is_found_however_it_is_spelt(how: str) -> None:
    assert found(SPELT[how], [CANARY]) == [CANARY]


def test_a_secret_is_found_escaped_for_an_address() -> None:
    assert found("?k=sk_test_a%2Fb%2Bc", ["sk_test_a/b+c"]) == ["sk_test_a/b+c"]


async def test_these_canaries_would_be_seen(watch: Watched, sql: Sql) -> None:
    """The data is really stored before it is erased."""
    await webhooks(watch)
    stored = (await everything_stored(sql)).lower()
    for canary in ("canary-first", "canary@mail.example", "canary-public", "+15550canary"):
        assert canary in stored
    for canary in ("canary-private", "canary-unsafe", "canary-address", "canary-agent"):
        assert canary not in stored


async def test_after_the_deletion_nothing_of_the_user_is_stored(watch: Watched, sql: Sql) -> None:
    await webhooks(watch)
    for sent in (
        event(**PERSON | {"last_name": "canary\x00"}),
        event("user.deleted", external_id="canary-external"),
        event("user.updated", **PERSON),
        event(**PERSON | {"last_name": "canary\x00late"}),
        event("user.deleted", external_id="canary-external"),
    ):
        assert (await watch.service.deliver(sent)).status_code in (202, 204)
    broken = json.dumps(event(**PERSON)).encode()[:-9]
    assert (await watch.service.deliver(broken)).status_code == 202
    stored = await everything_stored(sql)
    assert ADA in stored
    assert found(stored, [CANARY]) == []


async def test_a_deleted_user_known_from_a_first_request_goes_as_completely(
    watch: Watched, sql: Sql
) -> None:
    person = watch.signed_up()
    assert (await watch.service.me(watch.token(person["id"]))).status_code == 200
    await watch.service.deliver(event("user.deleted", id=person["id"]))
    assert found(await everything_stored(sql), [CANARY]) == []
