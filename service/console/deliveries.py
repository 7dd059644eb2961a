"""What arrived: the list of deliveries with its filters, and one delivery."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from domain.journal import DISMISSED, JOURNAL_OUTCOMES, JournalEntry, JournalQuery
from domain.sync_user import FOLLOWED_EVENTS
from domain.user import Source, parse_user_id
from domain.words import past_moment, span
from service.console.answers import ConsoleRoute, Refused
from service.console.charts import OUTCOMES
from service.console.rendering import SHOWN_OF_A_BODY, indented
from service.console.visit import Reading, Visit, seeing_bodies

pages = APIRouter(route_class=ConsoleRoute)

LONGEST_SEARCH = 320

VIEW = "view body"

FILTERS = ("outcome", "type", "from", "user", "svix_id", "error", "since", "until")
"""The parameters of the list's address."""

HIGHEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A query, the words in the address that asked for it, and those that make no sense."""

    query: JournalQuery
    before: int | None
    words: Mapping[str, str]
    mistakes: tuple[str, ...] = field(default=())

    @property
    def narrowed(self) -> bool:
        """Whether there is any filter."""
        return any(self.words.values())

    def link(self, **changes: object) -> str:
        """The same query with changes, as the part of an address after `?`."""
        words = {**self.words, **changes}
        return urlencode({name: str(word) for name, word in words.items() if word})


@pages.get("/deliveries")
async def deliveries(visit: Reading, request: Request) -> Response:
    asked = asked_for(await _with_clerks_id(visit, request.query_params))
    found = await visit.room.store.journal_pages.page(asked.query, asked.before)
    ids = {entry.clerk_id for entry in found.entries if entry.clerk_id}
    return visit.page(
        "deliveries.html",
        active="deliveries",
        asked=asked,
        found=found,
        names=await visit.room.store.reads.names_of(ids),
        outcomes=(*OUTCOMES, DISMISSED),
        sources=tuple(Source),
        types=FOLLOWED_EVENTS,
    )


@pages.get("/deliveries/{entry_id}")
async def delivery(visit: Reading, entry_id: str) -> Response:
    entry = await entry_of(visit, entry_id)
    ids = [entry.clerk_id] if entry.clerk_id else []
    return visit.page(
        "delivery.html",
        active="deliveries",
        entry=replace(entry, body=None),
        names=await visit.room.store.reads.names_of(ids),
        has_body=entry.body is not None,
        took=_took(entry),
        actions=await visit.room.store.audit.about(entry.svix_id) if entry.svix_id else (),
    )


@pages.get("/deliveries/{entry_id}/body", dependencies=[Depends(seeing_bodies)])
async def body(visit: Reading, entry_id: str) -> Response:
    entry = await entry_of(visit, entry_id)
    if entry.body is not None:
        await visit.on_the_trail(VIEW, entry.svix_id, {"entry": entry.id}, _shown)
    return visit.page(
        "body.html",
        active="deliveries",
        entry=replace(entry, body=None),
        size=len(entry.body or b""),
        at_most=SHOWN_OF_A_BODY,
        text=None if entry.body is None else indented(entry.body),
    )


async def _shown() -> str:
    return "shown"


async def entry_of(visit: Visit, unverified_id: str) -> JournalEntry:
    """Raises `Refused` where there is none, and for a text that is no id."""
    try:
        entry = await visit.room.store.journal_pages.entry(_id(unverified_id))
    except ValueError:
        raise no_such_delivery() from None
    if entry is None:
        raise no_such_delivery()
    return entry


def no_such_delivery() -> Refused:
    words = "It may be removed: entries are kept for JOURNAL_DAYS."
    return Refused(404, "There is no such delivery", words)


def asked_for(unverified: Mapping[str, str], now: datetime | None = None) -> Asked:
    """Reads the address leniently: a filter that makes no sense is left out, and reported."""
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
        event_types=read("type", lambda text: frozenset({_plain(text)})) or frozenset(),
        source=read("from", _source),
        user_id=read("user", _user),
        svix_id=read("svix_id", _plain),
        error=read("error", _plain),
        since=read("since", lambda text: past_moment(text, now)),
        until=read("until", lambda text: past_moment(text, now)),
    )
    before = read("before", _id)
    words = {name: unverified.get(name, "").strip()[:200] for name in FILTERS}
    return Asked(query=query, before=before, words=words, mistakes=tuple(mistakes))


def is_user_id(text: str) -> bool:
    try:
        return bool(parse_user_id(text))
    except ValueError:
        return False


def _id(text: str) -> int:
    """The id of an entry or an action. Raises `ValueError`."""
    # The length comes first: Python reads no number of more than 4,300 digits.
    if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= HIGHEST:
        return int(text)
    raise ValueError("that page does not exist; this is the newest one")


def _outcome(text: str) -> frozenset[str]:
    if text in JOURNAL_OUTCOMES:
        return frozenset({text})
    raise ValueError(f"there is no outcome {text[:40]!r}")


def _source(text: str) -> Source:
    try:
        return Source(text)
    except ValueError:
        raise ValueError(f"there is no source {text[:40]!r}") from None


def _user(text: str) -> str:
    try:
        return parse_user_id(text)
    except ValueError:
        raise ValueError("no user, or more than one, has that id or e-mail address") from None


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be searched for")
    return text[:200]


async def _with_clerks_id(visit: Visit, unverified: Mapping[str, str]) -> Mapping[str, str]:
    """The same with the user's Clerk id, the only one that the journal has."""
    text = unverified.get("user", "").strip().replace("\0", "")[:LONGEST_SEARCH]
    if not text or is_user_id(text):
        return unverified
    found = await visit.room.store.reads.find_users(text)
    return {**unverified, "user": found[0].clerk_id} if len(found) == 1 else unverified


def _took(entry: JournalEntry) -> str | None:
    """The time from the event at Clerk to its arrival here."""
    if entry.occurred_at is None or entry.received_at < entry.occurred_at:
        return None
    return span(entry.received_at - entry.occurred_at)
