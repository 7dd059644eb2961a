"""Deliveries that are refused: never a 5xx, never a 3xx, never a user."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.adapters.clerk.payloads import (
    with_data,
)
from tests.postgres_server import Sql
from tests.running import REFUSED, WEBHOOKS, Service, problem, signature, svix_headers
from tests.service.bad_deliveries import (
    BODY,
    DECOY,
    KINDS,
    MALFORMED,
    MEGABYTE,
    TOUCHED,
    VECTORS,
    post,
    signed,
)
from tests.service.tables import count_rows, journal


@pytest.mark.parametrize("cause", MALFORMED)
async def test_every_fault_of_the_headers_has_the_same_answer(
    service: Service, sql: Sql, cause: str
) -> None:
    before = await service.metric("webhook_refusals_total", code="signature_invalid")
    answer = await post(service, MALFORMED[cause](signed(service)), BODY)
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await count_rows(sql) == (0, 0)
    refusals = await service.metric("webhook_refusals_total", code="signature_invalid")
    assert refusals == before + 1


@pytest.mark.parametrize("how", TOUCHED)
async def test_a_body_that_was_touched_is_refused(service: Service, sql: Sql, how: str) -> None:
    answer = await post(service, signed(service).headers, TOUCHED[how])
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    assert await count_rows(sql) == (0, 0)


async def test_a_body_that_is_not_utf8_cannot_be_proven(service: Service, sql: Sql) -> None:
    body = b'{"type": "user.created", "data": {"id": "user_\xff"}}'
    answer = await post(service, signed(service, body=body).headers, body)
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    assert await count_rows(sql) == (0, 0)


async def test_captured_and_sent_again_after_five_minutes_it_is_refused(
    service: Service, sql: Sql
) -> None:
    old = datetime.now(UTC) - timedelta(seconds=302)
    assert (await service.deliver(BODY, when=old)).json() == REFUSED
    assert await count_rows(sql) == (0, 0)


async def test_the_other_family_of_headers_counts_for_nothing(service: Service, sql: Sql) -> None:
    decoys = [("webhook-id", "msg_x"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,x")]
    answer = await post(service, [*decoys, *signed(service).headers, *decoys], BODY)
    assert answer.status_code == 204
    assert [entry["svix_id"] for entry in await journal(sql)] == ["msg_1"]


async def test_a_good_signature_among_ten_is_found(service: Service, sql: Sql) -> None:
    genuine = signed(service)
    headers = genuine.with_header("svix-signature", f"{DECOY} " * 9 + genuine.good)
    assert (await post(service, headers, BODY)).status_code == 204


@pytest.mark.parametrize(
    "vector", VECTORS["official_vectors"], ids=lambda vector: vector["svix-id"]
)
def test_these_tests_sign_as_svix_does(vector: dict[str, str]) -> None:
    made = signature(
        vector["secret"], vector["svix-id"], vector["svix-timestamp"], vector["payload"].encode()
    )
    assert made == vector["svix-signature"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_that_is_not_plain_json_is_refused(
    service: Service, sql: Sql, kind: str
) -> None:
    headers = svix_headers(service.secret, BODY) | KINDS[kind]
    answer = await service.http.post(WEBHOOKS, content=BODY, headers=headers)
    assert answer.status_code == 415
    assert answer.json() == problem(415, "body_not_json")
    assert await count_rows(sql) == (0, 0)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
async def test_json_may_be_announced_in_several_ways(service: Service, sql: Sql, kind: str) -> None:
    headers = svix_headers(service.secret, BODY) | {"content-type": kind}
    answer = await service.http.post(WEBHOOKS, content=BODY, headers=headers)
    assert answer.status_code == 204


async def test_up_to_a_mebibyte_is_taken(service: Service, sql: Sql) -> None:
    body = json.dumps(with_data(private_metadata={"k": ""})).encode()
    body = body.replace(b'"k": ""', b'"k": "' + b"x" * (MEGABYTE - len(body)) + b'"')
    assert len(body) == MEGABYTE
    assert (await service.deliver(body)).status_code == 204
    assert (await service.deliver(body + b" ")).status_code == 413


async def test_beyond_that_it_is_refused_before_anything_is_looked_at(
    service: Service, sql: Sql
) -> None:
    answer = await service.http.post(WEBHOOKS, content=b"x" * (MEGABYTE + 1))
    assert answer.json() == problem(413, "body_too_large")
    assert await count_rows(sql) == (0, 0)


@pytest.mark.parametrize("length", ["-1", "+5", "abc", "1e3", "", "²", "9" * 5_000])
async def test_a_length_that_is_none_is_refused(service: Service, sql: Sql, length: str) -> None:
    answer = await post(service, [("content-length", length)], BODY)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_length_invalid")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", [WEBHOOKS, f"{WEBHOOKS}/"])
async def test_another_method_is_a_405_with_allow(service: Service, method: str, path: str) -> None:
    answer = await service.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
