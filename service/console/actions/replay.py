"""Deliveries that were verified once, applied again: one, or a whole group in quarantine."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from domain.errors import AlreadyRunning
from domain.journal import QUARANTINED, JournalEntry, JournalQuery
from domain.replay import (
    RecordedDelivery,
    RehearseDelivery,
    ReplayDelivery,
    Replayed,
    Verdict,
    recorded,
)
from domain.user import Outcome
from service.console.actions.recording import on_the_trail
from service.console.actions.refusals import held_by
from service.console.answers import ConsoleRoute, Refused
from service.console.names import REPLAY, REPLAY_QUARANTINED
from service.console.pages.deliveries import entry_of
from service.console.permission import Acting, Posted, Visit
from service.console.reasons import because
from service.console.room import Room

router = APIRouter(route_class=ConsoleRoute)

WORDS = {
    Outcome.CREATED: "It brings in a user we do not have: a row will be created.",
    Outcome.UPDATED: "It is newer than our row: that will be overwritten with it.",
    Outcome.UNCHANGED: "We have what it says: nothing will change.",
    Outcome.STALE: "Our row is newer than it: nothing will change.",
    Outcome.DELETED: "Our row will become a tombstone, and everything personal in it is erased. "
    "There is no way back.",
    Outcome.GONE: "Our row is a tombstone, and stays one: nothing will change.",
    Verdict.QUARANTINED: "It still cannot be read, and stays in quarantine",
    Verdict.FAILED: "It cannot be read, and nothing will change",
    Verdict.IGNORED: "It is not for us, and nothing will change",
    Verdict.NO_BODY: "Its body is erased or has expired: there is nothing to replay.",
}

REHEARSED = 500
"""Deliveries of a group that a confirmation goes through: somebody is waiting."""

Destination = Callable[[RecordedDelivery], Awaitable[Replayed]]


@router.get("/deliveries/{entry_id:int}/replay")
async def confirm_one(visit: Acting, entry_id: int) -> Response:
    entry = await _delivery(visit, entry_id)
    rehearsed = await _once(visit.room, entry, _rehearsal(visit.room))
    return visit.page(
        "confirm.html",
        active="deliveries",
        title="Replay this delivery",
        about=entry.svix_id,
        words=_foretold(rehearsed),
        fields={},
        grave=rehearsed.verdict == "deleted",
        to=f"/deliveries/{entry_id}/replay",
        back=f"/deliveries/{entry_id}",
        button="Replay",
    )


@router.post("/deliveries/{entry_id:int}/replay")
async def replay_one(visit: Acting, form: Posted, entry_id: int) -> Response:
    del form  # proven, and empty
    entry = await _delivery(visit, entry_id)

    async def work() -> str:
        return _in_words(await _once(visit.room, entry, _replay(visit.room)))

    await on_the_trail(visit, REPLAY, entry.svix_id, {"entry": entry_id}, work)
    return visit.go_on(f"/deliveries/{entry_id}")


@router.get("/quarantine/replay")
async def confirm_group(visit: Acting, request: Request) -> Response:
    error = request.query_params.get("error", "").replace("\0", "")
    total = await visit.room.store.journal.count(_quarantined(error))
    verdicts = await _rehearsed(visit.room, error)
    return visit.page(
        "confirm.html",
        active="quarantine",
        title="Replay what is quarantined",
        about=error or None,
        words=_group_words(total, verdicts),
        fields={"error": error},
        grave=bool(verdicts[Outcome.DELETED]),
        to="/quarantine/replay",
        back="/quarantine",
        button=f"Replay {total:,}",
    )


@router.post("/quarantine/replay")
async def replay_group(visit: Acting, form: Posted) -> Response:
    error = form.get("error", "").replace("\0", "")
    detail: dict[str, Any] = {
        "total": await visit.room.store.journal.count(_quarantined(error)),
        "done": 0,
        "verdicts": {},
    }
    try:
        await visit.room.runs.start(
            who=visit.visitor.name,
            action=REPLAY_QUARANTINED,
            target=error or None,
            detail=detail,
            work=lambda detail: _replay_all(visit.room, error, detail),
        )
    except AlreadyRunning as running:
        raise held_by(running) from None
    return visit.go_on("/quarantine")


async def _replay_all(room: Room, error: str, detail: dict[str, Any]) -> str:
    verdicts: Counter[str] = Counter()
    async for replayed in _each(room, _quarantined(error), _replay(room)):
        verdicts[replayed.verdict.value] += 1
        detail.update(done=verdicts.total(), verdicts=dict(verdicts))
    return _tally(verdicts)


async def _rehearsed(room: Room, error: str) -> Counter[str]:
    wanted = _quarantined(error, limit=REHEARSED)
    replayed = [one async for one in _each(room, wanted, _rehearsal(room))]
    return Counter(one.verdict.value for one in replayed)


def _group_words(total: int, verdicts: Counter[str]) -> str:
    if not total:
        return "Nothing is waiting there any more."
    many = "1 delivery" if total == 1 else f"{total:,} deliveries"
    which = f"the first {REHEARSED}" if total > REHEARSED else "they"
    tally = f"By what runs now, {which} would come out as: {_tally(verdicts)}."
    return f"{many} will be read again. {tally}"


def _foretold(rehearsed: Replayed) -> str:
    words = WORDS[rehearsed.verdict]
    if words.endswith("."):
        return words
    return f"{words}: {because(rehearsed.reason)}." if rehearsed.reason else f"{words}."


async def _once(room: Room, entry: JournalEntry, destination: Destination) -> Replayed:
    wanted = JournalQuery(svix_id=entry.svix_id, limit=1)
    return await anext(_each(room, wanted, destination))


async def _each(
    room: Room, wanted: JournalQuery, destination: Destination
) -> AsyncIterator[Replayed]:
    async for delivery in recorded(room.store.journal, wanted, room.clerk.delivery_reader):
        yield delivery if isinstance(delivery, Replayed) else await destination(delivery)


def _rehearsal(room: Room) -> Destination:
    return RehearseDelivery(room.clerk.delivery_reader, room.store.users)


def _replay(room: Room) -> Destination:
    return ReplayDelivery(room.clerk.delivery_reader, room.store.users)


def _quarantined(error: str, limit: int | None = None) -> JournalQuery:
    return JournalQuery(outcomes=frozenset({QUARANTINED}), error=error or None, limit=limit)


async def _delivery(visit: Visit, entry_id: int) -> JournalEntry:
    """Raises `Refused` for what did not come as a delivery."""
    entry = await entry_of(visit, entry_id)
    if entry.svix_id is None:
        raise Refused(409, "That was no delivery", "Only what Clerk delivered can be replayed.")
    return entry


def _in_words(replayed: Replayed) -> str:
    if replayed.verdict is Verdict.NO_BODY:
        return "skipped: its body is erased or has expired"
    return f"{replayed.verdict}: {replayed.reason}" if replayed.reason else str(replayed.verdict)


def _tally(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items()) or "none"
