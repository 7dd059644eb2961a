"""The templates, and the words in them: times, values, and reasons of the journal.

Everything is escaped, and an unknown name in a template is an error.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from domain import explain
from domain.journal import QUARANTINED, JournalEntry
from domain.user import Source
from domain.words import span

HERE = Path(__file__).parent

_REASONS: Mapping[str, str] = {
    "not_json": "its body is not JSON",
    "not_an_object": "a value is not an object where Clerk documents one",
    "no_type": "it does not say what kind of event it is",
    "no_data": "it has no data",
    "no_user_id": "it does not name a user",
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
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            ago=ago,
            because=because,
            clock=clock,
            exact=exact,
            iso=datetime.isoformat,
            moment=datetime.fromisoformat,
            sentence=sentence,
            source=source,
            span=span,
            value=value,
            why=why,
        )
        self._environment.globals["version"] = _version()
        for name in self._environment.list_templates():
            self._environment.get_template(name)  # compiled now: no request waits for it

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


def value(anything: Any) -> str:
    """A field of a user, as text."""
    if anything is None:
        return "—"
    if anything == "":
        return "“”"
    if isinstance(anything, bool):
        return "yes" if anything else "no"
    if isinstance(anything, datetime):
        return exact(anything)
    if isinstance(anything, Mapping):
        return orjson.dumps(dict(anything), default=str).decode()
    return str(anything)


def because(code: str) -> str:
    """A reason of the journal in words, with its particulars; an unknown one stays as it is."""
    known, _, particular = code.partition(": ")
    if known not in _REASONS:
        return code
    return f"{_REASONS[known]} ({particular})" if particular else _REASONS[known]


def why(entry: JournalEntry) -> str:
    """What an entry did, and why: `quarantined: its body is not JSON`."""
    if entry.outcome == QUARANTINED and entry.error:
        return f"{QUARANTINED}: {because(entry.error)}"
    return explain.why(entry)


def _version() -> str:
    """Changes when a file under `static/` does, so that a browser may keep each for good."""
    digest = sha256()
    for file in sorted((HERE / "static").iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
