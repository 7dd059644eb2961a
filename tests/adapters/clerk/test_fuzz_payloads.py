"""Any verified payload is a change, is ignored, or is unreadable; nothing else happens."""

import json
from functools import cache
from typing import Any, get_args

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from adapters.clerk.http import Answer
from adapters.clerk.prove.key_set import read_key_set
from adapters.clerk.translate.json import YEAR_2015, YEAR_2100, Reason, Unreadable
from adapters.clerk.translate.user import read_user
from domain.sync_user import IgnoredDelivery, SyncUser, UnreadableDelivery
from domain.user import CONTENT_FIELDS, DeletedUser, User
from tests.adapters.clerk.mutations import ANY_JSON, BODIES, spoilt, written
from tests.adapters.clerk.payloads import INSTANCE, api_bytes, delivered, envelope, ms
from tests.adapters.clerk.tokens import jwk

REASONS = get_args(Reason)

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(900)]


def assert_storable(command: SyncUser) -> None:
    """The user fits the columns, and the journaled body gives the same user, without private
    metadata.
    """
    record = command.delivery
    assert record is not None
    assert_fits(command.change)
    kept = orjson.loads(record.body)
    assert "event_attributes" not in kept
    assert not {"private_metadata", "unsafe_metadata"} & set(kept["data"])
    again = delivered(record.body)
    assert isinstance(again, SyncUser)
    assert again.change == command.change


def assert_fits(change: User | DeletedUser) -> None:
    if isinstance(change, DeletedUser):
        return
    assert ms(YEAR_2015) <= change.clerk_updated_at < ms(YEAR_2100)
    for name in CONTENT_FIELDS:
        value = getattr(change, name)
        if isinstance(value, str):
            assert "\x00" not in value
            assert value.encode()
    assert b"\\u0000" not in orjson.dumps(change.public_metadata).replace(b"\\\\", b"")
    assert change.digest


@cache
def users() -> list[Any]:
    names = ("user.created", "user.updated", "user.updated.multi_email_primary_not_first")
    return [json.loads(api_bytes("get_user_200")), *(envelope(name)["data"] for name in names)]


@cache
def key_sets() -> list[Any]:
    return [{"keys": [jwk(generate_private_key(65537, 2048), kid) for kid in ("ins_1", "ins_2")]}]


USERS = spoilt(users) | ANY_JSON
KEY_SETS = spoilt(key_sets) | ANY_JSON
HEADER_TEXTS = st.binary(max_size=60) | st.from_regex(
    rb"(Mon|Tue|XXX), [0-9]{1,3} (Jan|Feb|Foo) [0-9]{1,5} [0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3} "
    rb"(GMT|[+-][0-9]{1,6})",
    fullmatch=True,
)


@given(BODIES)
def test_any_delivery_is_a_change_or_ignored_or_poison(body: bytes) -> None:
    """Nothing is raised, and each result has what it must have."""
    delivery = delivered(body, instance_id=INSTANCE)
    match delivery:
        case SyncUser():
            assert_storable(delivery)
        case UnreadableDelivery():
            assert delivery.reason in REASONS
            assert delivery.body == body
        case IgnoredDelivery():
            assert delivery.event_type.isprintable()
            assert len(delivery.event_type) <= 100


@given(USERS)
def test_any_user_of_the_api_is_a_user_or_unreadable(fields: Any) -> None:
    try:
        user = read_user(fields, observed_at=None, not_after=ms(1_760_010_000_000))
    except Unreadable:
        return
    assert_fits(user)


@given(KEY_SETS)
def test_any_set_of_keys_is_keys_or_unreadable(fields: Any) -> None:
    try:
        keys = read_key_set(written(fields), max_keys=16)
    except Unreadable:
        return
    assert all(isinstance(kid, str) for kid in keys)


@given(HEADER_TEXTS)
def test_any_header_of_clerks_is_a_time_or_none(value: bytes) -> None:
    headers = httpx.Headers([(b"retry-after", value), (b"date", value)])
    answer = Answer(status=429, headers=headers, body=b"", seconds=0)
    assert answer.retry_after is None or answer.retry_after >= 0
    assert answer.date is None or answer.date.tzinfo
