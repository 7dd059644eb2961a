"""Signed and unusual deliveries: the answers are documented ones, and the store accepts the data."""

import json
from typing import Any

import pytest
from hypothesis import given

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.adapters.clerk.mutations import BODIES, spoilt
from tests.adapters.clerk.payloads import api_bytes
from tests.people import new_id
from tests.running import Service

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(900)]


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def users_of_the_api() -> list[Any]:
    return [json.loads(api_bytes("get_user_200"))]


USERS = spoilt(users_of_the_api)


@given(body=BODIES)
async def test_any_signed_body_is_taken(shared_service: Service, body: bytes) -> None:
    """A body that is not UTF-8 cannot be verified; any other is applied, ignored or quarantined."""
    answer = await shared_service.deliver(body)
    assert answer.status_code in ((202, 204) if is_text(body) else (400,))
    assert answer.status_code == 400 or answer.content == b""


@given(fields=USERS)
async def test_any_user_of_clerks_is_served_or_unavailable(
    shared_service: Service, shared_clerk: ClerkEmulator, fields: Any
) -> None:
    """Any answer of Clerk about an unknown user."""
    user_id = new_id()
    if isinstance(fields, dict) and "id" in fields:
        fields = fields | {"id": user_id}
    shared_clerk.faults.clear()
    shared_clerk.faults.add(ApiFault(kind=FaultKind.RAW, status=200, body=json.dumps(fields)))
    answer = await shared_service.me(shared_clerk.session_token(user_id))
    shared_clerk.faults.clear()
    assert answer.status_code in (200, 403, 503)
    if answer.status_code == 503:
        assert answer.json()["code"] == "identity_provider_unavailable"
    if answer.status_code == 200:
        assert answer.json()["clerk_id"] == user_id
