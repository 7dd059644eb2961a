"""The templates, and the words in them: times, values, and reasons of the journal.

Everything is escaped, and an unknown name in a template is an error. A character that cannot be
seen, or that changes the direction of text, is shown by its code, as in `[U+202E]`.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from domain import explain
from domain.finding import command
from domain.journal import DISMISSED, QUARANTINED, JournalEntry
from domain.sync_user import FOLLOWED_EVENTS
from domain.user import EmailAddress, Source
from domain.words import span
from service.console.admission import full_name, state_of
from service.routes.webhooks import PATH

HERE = Path(__file__).parent

SHOWN = 4096
"""Characters of one value that a page shows."""

SHOWN_OF_A_BODY = 64 * 1024
"""Characters of a body, indented, that a page shows."""

_PARSED = 256 * 1024
"""Bytes of a body that are parsed to be indented. A longer one is shown as it came."""

# Letters and marks that are drawn as nothing, though `str.isprintable` counts them as printable.
# The last two choose between text and emoji after a symbol; after anything else they are a trick.
_DRAWN_AS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
    "\U000e0100-\U000e01ef]|(?<![\u2000-\ufdff\U00010000-\U0010ffff])[\ufe0e\ufe0f]"
)

_NUMBER_AND_UNIT = re.compile("(?<=[0-9]) (?=(?:ms|s|min|h|d)\\b)")

_REASONS: Mapping[str, str] = {
    "not_json": "its body is not JSON",
    "not_an_object": "a value is not an object where Clerk documents one",
    "no_type": "it does not say what kind of event it is",
    "no_data": "it has no data",
    "no_user_id": "it does not name a user",
    "no_instance_id": "it does not say which Clerk instance it is of",
    "no_updated_at": "it does not say when the user was changed",
    "updated_at_absurd": "the time at which the user was changed cannot be true",
    "created_at_absurd": "the time at which the user was created cannot be true",
    "timestamp_absurd": "the time at which it was sent cannot be true",
    "wrong_type": "a field is not of the kind that Clerk documents",
    "nul_character": "a text in it has a NUL character, which Postgres cannot keep",
    "lone_surrogate": "a text in it has half a character, which Postgres cannot keep",
    "not_storable": "a value in it cannot be kept in Postgres",
    "too_large": "a value in it is larger than what is kept",
    "unstorable": "the store refuses it",
    "event_not_followed": "events of its kind are not followed",
    "other_instance": "it is of another Clerk instance",
}


class Templates:
    """Renders a page from its own facts and those that every page needs."""

    def __init__(self) -> None:
        self._environment = _environment()

    def render(self, name: str, facts: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render({"now": datetime.now(UTC), **facts})


def ago(moment: datetime, now: datetime) -> str:
    """`12 s ago`, or `in 3 min` where clocks differ."""
    length = now - moment
    if length.total_seconds() < -1:
        return f"in {span(length)}"
    return "just now" if length.total_seconds() < 1 else f"{span(length)} ago"


def clock(moment: datetime) -> str:
    """To the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def exact(moment: datetime) -> str:
    """To the millisecond, as Clerk counts, in UTC."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"


def sentence(text: str) -> str:
    """With a capital letter at its beginning; the rest stays, since it may hold names."""
    return text[:1].upper() + text[1:]


def source(came_by: Source | str) -> str:
    """How an observation came to us."""
    return "just in time" if came_by == Source.JIT else str(came_by)


def event(entry: JournalEntry) -> str:
    """What an entry is of, in a word or two."""
    if entry.event_type:
        return entry.event_type[:80]
    return "unreadable event" if entry.svix_id else "observation"


def unbroken(text: str) -> Markup:
    """Text in which a line does not end between a number and its unit."""
    return Markup(_NUMBER_AND_UNIT.sub("\u00a0", escape(visible(text))))  # noqa: S704 (escaped)


def visible(text: str) -> str:
    """The same text, with the code of every character that cannot be seen, as in `[U+202E]`."""
    if text.isprintable() and not _DRAWN_AS_NOTHING.search(text):
        return text
    text = _DRAWN_AS_NOTHING.sub(lambda found: _code(found[0]), text)
    return "".join(one if one.isprintable() else _code(one) for one in text)


def block(text: str) -> Markup:
    """Lines of text: their ends and tabs stay."""
    lines = ("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))
    return escape("\n".join(lines))


def indented(body: bytes) -> str:
    """At most `SHOWN_OF_A_BODY` characters of a body, indented if it is JSON, else as it came.

    Bytes that are not text become `�`.
    """
    if len(body) <= _PARSED:
        try:
            return _json(json.loads(body), SHOWN_OF_A_BODY, indent=2)
        except (ValueError, RecursionError):
            pass
    return _cut(body[: 4 * SHOWN_OF_A_BODY].decode(errors="replace"), SHOWN_OF_A_BODY)


def value(anything: Any) -> str:
    """A field of a user, as text of at most `SHOWN` characters."""
    match anything:
        case None:
            text = "—"
        case "":
            text = "“”"
        case bool():
            text = "yes" if anything else "no"
        case datetime():
            text = exact(anything)
        case Mapping():
            return _json(anything, SHOWN)
        case tuple():
            text = ", ".join(map(_address, anything))
        case _:
            text = str(anything)
    return _cut(text, SHOWN)


def because(code: str) -> str:
    """A reason of the journal in words, with its particulars; an unknown one stays as it is."""
    known, _, particular = code.partition(": ")
    if known not in _REASONS:
        return code
    return f"{_REASONS[known]} ({particular})" if particular else _REASONS[known]


def why(entry: JournalEntry) -> str:
    """What an entry did, and why: `quarantined: its body is not JSON`."""
    if entry.outcome in (QUARANTINED, DISMISSED) and entry.error:
        return f"{entry.outcome}: {because(entry.error)}"
    return explain.why(entry)


def _json(anything: Any, length: int, indent: int | None = None) -> str:
    """At most `length` characters. The rest is not even encoded, however deep or long it is."""
    encoder = json.JSONEncoder(ensure_ascii=False, indent=indent, default=_plain)
    text = ""
    try:
        for chunk in encoder.iterencode(anything):
            text += chunk
            if len(text) > length:
                break
    except RecursionError:
        return f"{text[:length]}…"
    return _cut(text, length)


def _plain(anything: Any) -> Any:
    """What the JSON encoder does not know: an immutable mapping, an e-mail address."""
    return dict(anything) if isinstance(anything, Mapping) else str(anything)


def _address(one: EmailAddress) -> str:
    primary = " (primary)" if one.primary else ""
    return f"{one.address}{primary}{'' if one.verified else ' (not verified)'}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def _code(character: str) -> str:
    return f"[U+{ord(character):04X}]"


def _visible_where_text(anything: Any) -> Any:
    """What Jinja calls for everything that it writes. Markup has been through it already."""
    if isinstance(anything, str) and not isinstance(anything, Markup):
        return visible(anything)
    return anything


@cache
def static_version() -> str:
    """Changes when a file under `static/` does, so that a browser may keep each for good."""
    digest = sha256()
    for file in sorted((HERE / "static").iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _environment() -> Environment:
    """All templates, compiled before the first request. It takes the time of many requests, so the
    applications of one process share them.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible_where_text,
    )
    environment.filters.update(
        ago=ago,
        because=because,
        block=block,
        clock=clock,
        event=event,
        exact=exact,
        full_name=full_name,
        iso=datetime.isoformat,
        moment=datetime.fromisoformat,
        seconds=lambda number: span(timedelta(seconds=number)),
        sentence=sentence,
        source=source,
        span=span,
        unbroken=unbroken,
        unchanged=escape,
        user_state=state_of,
        value=value,
        why=why,
    )
    environment.globals.update(
        version=static_version(),
        command=command,
        followed_events=FOLLOWED_EVENTS,
        webhook_path=PATH,
    )
    for name in environment.list_templates():
        environment.get_template(name)  # compiled now: no request waits for it
    return environment
