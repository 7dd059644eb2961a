"""One trace from a delivery, or a first request, to its commit, with nothing of the user in it."""

import json

import pytest

from scripts.clerk_emulator import ApiFault, ClerkEmulator, FaultKind
from tests.adapters.clerk.payloads import webhook_bytes
from tests.people import new_id
from tests.running import WEBHOOKS, bearer, svix_headers
from tests.service.traced import NOT_RECORDED, RECORDED, TRACE, tracing


async def test_a_delivery_is_one_trace_up_to_its_commit(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with tracing(clerk, store_url) as here:
        body = webhook_bytes("user.created")
        headers = svix_headers(here.service.secret, body, svix_id="msg_1") | RECORDED
        await here.service.http.post(WEBHOOKS, content=body, headers=headers)
        spans = here.spans()
    request, commit = spans["POST /webhooks/clerk"], spans["store.sync"]
    assert request.context is not None
    assert commit.parent is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert commit.parent.span_id == request.context.span_id
    assert request.attributes is not None
    assert request.attributes["outcome"] == "created"
    assert request.attributes["svix_id"] == "msg_1"
    assert request.attributes["http.response.status_code"] == 204
    assert (commit.end_time or 0) <= (request.end_time or 0)


async def test_a_first_request_is_one_trace_with_the_call_to_clerk(
    clerk: ClerkEmulator, store_url: str
) -> None:
    user = clerk.create_user(email_address=[f"{new_id()}@example.com"], first_name="Canary")
    async with tracing(clerk, store_url) as here:
        headers = bearer(clerk.session_token(user["id"])) | RECORDED
        assert (await here.service.http.get("/v1/me", headers=headers)).status_code == 200
        spans = here.spans()
    assert set(spans) == {"GET /v1/me", "store.get", "clerk.fetch", "store.sync_and_get"}
    assert {f"{span.context.trace_id:032x}" for span in spans.values() if span.context} == {TRACE}
    told = json.dumps([json.loads(span.to_json()) for span in spans.values()])
    for secret in (user["id"], "Canary", "@example.com", clerk.config.secret_key):
        assert secret not in told


async def test_a_failure_is_told_by_its_type_alone(clerk: ClerkEmulator, store_url: str) -> None:
    user = clerk.create_user(email_address=[f"{new_id()}@example.com"])
    async with tracing(clerk, store_url) as here:
        clerk.faults.add(ApiFault(kind=FaultKind.HTML, status=200))
        headers = bearer(clerk.session_token(user["id"])) | RECORDED
        assert (await here.service.http.get("/v1/me", headers=headers)).status_code == 503
        fetch = here.spans()["clerk.fetch"]
    assert fetch.attributes == {"error.type": "IdentityProviderUnavailable"}
    assert not fetch.status.is_ok
    assert (fetch.events, fetch.status.description) == ((), None)


@pytest.mark.parametrize(
    ("headers", "chance", "recorded"),
    [
        ({}, 0.5, False),
        ({}, 0.005, True),
        (NOT_RECORDED, 0.005, False),
        (RECORDED, 0.5, True),
        ({"traceparent": "nonsense-01"}, 0.5, False),
        ({"traceparent": "nonsense-01"}, 0.005, True),
    ],
)
async def test_a_share_is_recorded_and_what_the_caller_records(
    clerk: ClerkEmulator, store_url: str, headers: dict[str, str], chance: float, *, recorded: bool
) -> None:
    async with tracing(clerk, store_url, chance=chance) as here:
        await here.service.http.get("/v1/session", headers=headers)
        assert bool(here.spans()) == recorded


async def test_no_word_of_a_caller_is_a_name(clerk: ClerkEmulator, store_url: str) -> None:
    async with tracing(clerk, store_url) as here:
        for method, path in (("CANARY", "/v1/me"), ("GET", "/canary/x?canary=1")):
            await here.service.http.request(method, path, headers=RECORDED)
        assert set(here.spans()) == {"_OTHER /v1/me", "GET unmatched"}
