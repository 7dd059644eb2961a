"""What a page shows of what others wrote: bounded in size and time, and every character visible."""

import json
import re
import time
from typing import Any

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from service.console.rendering import SHOWN_OF_A_BODY, indented, value, visible
from tests.adapters.clerk.payloads import ADA, webhook_bytes, with_data
from tests.commands.arrivals import quarantined
from tests.console.everything import everything
from tests.console.routes import GUARDED, NOWHERE
from tests.console.visitors import Visitor
from tests.postgres_server import Sql
from tests.running import Service

MOST_BYTES = 1024 * 1024
MOST_SECONDS = 2.0
"""Of CPU, since the machine may be busy. Unbounded, each of these pages takes many times as long."""


def nested(depth: int) -> Any:
    inner: Any = {}
    for _ in range(depth):
        inner = {"a": [inner]}
    return inner


BODIES = {
    "open brackets": b"[" * 900,
    "open and closed brackets": b"[" * 900 + b"]" * 900,
    "as deep as it can be parsed": b"[" * 450 + b"]" * 450,
    "brackets all through": b"[" * 240_000,
    "a long list": json.dumps([1] * 80_000).encode(),
    "a list of lists": json.dumps([[[[[]]]]] * 24_000).encode(),
    "deep lists in a long one": json.dumps([nested(100)] * 250).encode(),
    "a long text": json.dumps("<" * 240_000).encode(),
    "quotes": b'"' * 240_000,
    "characters that cannot be seen": "\u202e".encode() * 80_000,
    "NUL": b"\0" * 240_000,
    "not text": b"\xff" * 240_000,
    "a megabyte": b'{"a": "' + b"&" * 1_000_000 + b'"}',
    "many keys": json.dumps({f"k{n}": n for n in range(20_000)}).encode(),
    "lines": b"\n" * 240_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_is_shown_within_limits(
    operator: Visitor, database: Database, sql: Sql, body: bytes
) -> None:
    await quarantined(database, body)
    entry = await sql.fetchval("select id from sync_journal")
    started = time.process_time()
    page = await operator.get(f"/deliveries/{entry}/body")
    assert time.process_time() - started < MOST_SECONDS
    assert (page.status_code, len(page.content) < MOST_BYTES) == (200, True)
    assert f"{len(body):,} bytes" in page.text


def test_an_ordinary_body_is_shown_whole_and_indented() -> None:
    body = webhook_bytes("user.created")
    assert json.loads(indented(body)) == json.loads(body)
    assert '\n  "data": {' in indented(body)
    assert indented(b"no { json") == "no { json"
    assert len(indented(b"[1," * 100_000)) == SHOWN_OF_A_BODY + 1


METADATA = {
    "nested as deep as it is kept": nested(120),
    "long": {"list": list(range(2000))},
    "wide": {f"k{n}": "<&\u202e" for n in range(500)},
    "one long text": {"text": "\u200b" * 8000},
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA.keys())
@pytest.mark.parametrize("path", ["", "/clerk", "/sync"])
async def test_metadata_is_shown_within_limits(
    *, service: Service, operator: Visitor, metadata: Any, path: str
) -> None:
    answer = await service.deliver(with_data(public_metadata=metadata))
    assert answer.status_code == 204
    started = time.process_time()
    page = await operator.get(f"/users/{ADA}{path}")
    assert time.process_time() - started < MOST_SECONDS
    assert len(page.content) < MOST_BYTES
    assert page.status_code == 200


async def test_a_long_field_is_shown_in_part(service: Service, operator: Visitor) -> None:
    await service.deliver(with_data(first_name="A" * 5000))
    page = (await operator.get(f"/users/{ADA}")).text
    assert "A" * 4096 + "…" in page
    assert "A" * 4097 not in page


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("مرحبا", "مرحبا"),
        ("Zoë ☎️ 1️⃣ 👩🏽", "Zoë ☎️ 1[U+FE0F]⃣ 👩🏽"),
        ("gpj\u202egnp", "gpj[U+202E]gnp"),
        *((f"a{one}b", f"a[U+{ord(one):04X}]b") for one in "\u202a\u202b\u202c\u202d\u2066\u2067"),
        *((f"a{one}b", f"a[U+{ord(one):04X}]b") for one in "\u2068\u2069\u200e\u200f\u061c\u200b"),
        *((f"a{one}b", f"a[U+{ord(one):04X}]b") for one in "\u200c\u200d\u2060\ufeff\u00ad\u3164"),
        *((f"a{one}b", f"a[U+{ord(one):04X}]b") for one in "\u2028\u2800\u034f\u115f\u00a0\x1b\0"),
        ("a\U000e0041b", "a[U+E0041]b"),
        ("a\ue000b", "a[U+E000]b"),
        ("ada\ufe0f@example.com", "ada[U+FE0F]@example.com"),
    ],
)
def test_what_cannot_be_seen_is_shown_by_its_code(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(value(text)) == shown


TRICK = "ada\u202emoc.elpmaxe@lave\u2066\u200b"
HIDDEN = ("\u202e", "\u2066", "\u200b")
HIDDEN_FIELD = re.compile(r'<input type="hidden"[^>]*>')
WITHOUT_A_TRICK = {
    "/console",
    "/console/",
    "/console/deliveries/1/dismiss",
    "/console/deliveries/1/replay",
    "/console/drift/check",
    "/console/drift/repair",
    "/console/subscriptions",
    "/console/subscriptions/mail/resume",
    "/console/subscriptions/mail/retry",
    "/console/subscriptions/mail/rewind",
    "/console/subscriptions/mail/skip",
    f"/console/{NOWHERE}",
}
"""They show nothing that others wrote."""


async def test_no_page_has_a_character_that_turns_or_hides_text(
    operator: Visitor, service: Service, clerk: ClerkEmulator, database: Database, sql: Sql
) -> None:
    here = await everything(operator, clerk, database, sql, text=TRICK)
    silent = set[str]()
    for path in GUARDED:
        page = await operator.http.get(here.at(path))
        assert page.status_code == (404 if path.endswith(NOWHERE) else 200), path
        text = HIDDEN_FIELD.sub("", page.text)  # it goes back as it came
        assert [one for one in HIDDEN if one in text] == [], path
        silent |= set() if "[U+202E]" in text else {path}
    assert silent == WITHOUT_A_TRICK
    page = await operator.get(f"/users/{here.person}")
    assert "<bdi>ada[U+202E]moc.elpmaxe@lave[U+2066][U+200B]</bdi>" in page.text


async def test_what_is_typed_comes_back_as_it_was(operator: Visitor) -> None:
    page = (await operator.get("/users?q=a%E2%80%AEb")).text
    assert 'value="a\u202eb"' in page
    assert '<code class="wrap">a[U+202E]b</code>' in page
