"""What the address asks for, read leniently: what makes no sense is said, and left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from domain.journal import JOURNAL_OUTCOMES, JournalQuery
from domain.user import Source, parse_user_id
from domain.words import past_moment

NAMES = ("outcome", "type", "from", "user", "svix_id", "error", "since", "until")

HIGHEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The query, the words it was asked in, and what could not be understood."""

    query: JournalQuery
    before: int | None
    words: Mapping[str, str]
    mistakes: tuple[str, ...] = field(default=())

    @property
    def narrowed(self) -> bool:
        """Whether anything is asked for at all."""
        return any(self.words.values())

    def link(self, **changes: object) -> str:
        """The same query with something changed, as the part of an address after `?`."""
        words = {**self.words, **changes}
        return urlencode({name: str(word) for name, word in words.items() if word})


def asked_for(unverified: Mapping[str, str], now: datetime | None = None) -> Asked:
    """Raises nothing."""
    now = now or datetime.now(UTC)
    mistakes: list[str] = []

    def read(name: str, reader: Callable[[str], Any]) -> Any:
        text = unverified.get(name, "").strip()
        try:
            return reader(text) if text else None
        except ValueError as error:
            mistakes.append(f"{error}")
            return None

    query = JournalQuery(
        outcomes=read("outcome", _outcome) or frozenset(),
        event_types=read("type", _event_type) or frozenset(),
        source=read("from", _source),
        user_id=read("user", _user),
        svix_id=read("svix_id", _plain),
        error=read("error", _plain),
        since=read("since", lambda text: past_moment(text, now)),
        until=read("until", lambda text: past_moment(text, now)),
    )
    before = read("before", cursor)
    words = {name: unverified.get(name, "").strip()[:200] for name in NAMES}
    return Asked(query=query, before=before, words=words, mistakes=tuple(mistakes))


def cursor(text: str) -> int:
    """The id of an entry or an action. Raises `ValueError`."""
    if text.isascii() and text.isdigit() and 0 < int(text[:20]) <= HIGHEST:
        return int(text[:20])
    raise ValueError("that page does not exist; here is the newest")


def _outcome(text: str) -> frozenset[str]:
    if text in JOURNAL_OUTCOMES:
        return frozenset({text})
    raise ValueError(f"there is no outcome {text[:40]!r}")


def _source(text: str) -> Source:
    try:
        return Source(text)
    except ValueError:
        raise ValueError(f"nothing comes from {text[:40]!r}") from None


def _user(text: str) -> str:
    try:
        return parse_user_id(text)
    except ValueError:
        raise ValueError("nobody here goes by that, or several do: look under Users") from None


def _event_type(text: str) -> frozenset[str]:
    return frozenset({_plain(text)})


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("a name has no NUL in it")
    return text[:200]
