"""The quarantine: its deliveries are replayed or dismissed, one or a group."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from domain.journal import JOURNAL_OUTCOMES, QUARANTINED, JournalEntry, JournalQuery
from domain.replay import (
    RecordedDelivery,
    RehearseDelivery,
    ReplayDelivery,
    Replayed,
    Verdict,
    recorded,
)
from domain.user import Outcome
from domain.words import count_of
from service.console.answers import ConsoleRoute, Refused
from service.console.deliveries import entry_of, no_such_delivery
from service.console.rendering import because
from service.console.room import Room
from service.console.runs import Run
from service.console.visit import Acting, Posted, Reading, Visit, require_confirmed

pages = APIRouter(route_class=ConsoleRoute)
actions = APIRouter(route_class=ConsoleRoute)

DISMISS = "dismiss"
REPLAY = "replay"
REPLAY_QUARANTINED = "replay quarantined"

EFFECTS = {
    Outcome.CREATED: "We do not have its user: a row will be created.",
    Outcome.UPDATED: "It is newer than our row: that will be overwritten with it.",
    Outcome.UNCHANGED: "We have what it says: nothing will change.",
    Outcome.STALE: "Our row is newer than it: nothing will change.",
    Outcome.DELETED: "Our row will become a tombstone, and everything personal in it is erased. "
    "There is no way back.",
    Outcome.GONE: "Our row is a tombstone, and stays one: nothing will change.",
    Verdict.QUARANTINED: "It still cannot be read, and stays in quarantine",
    Verdict.FAILED: "It cannot be read, and nothing will change",
    Verdict.IGNORED: "It is not followed, and nothing will change",
    Verdict.NO_BODY: "Its body is erased or has expired: there is nothing to replay.",
}
"""What a replay does, by its rehearsed verdict. Those without a full stop have a reason."""

LONGEST_REASON = 500

REHEARSED = 500
"""Deliveries of a group that are rehearsed before a confirmation is shown."""

Destination = Callable[[RecordedDelivery], Awaitable[Replayed]]


@pages.get("/quarantine")
async def quarantine(visit: Reading) -> Response:
    return visit.page(
        "quarantine.html",
        active="quarantine",
        groups=await visit.room.store.reads.quarantine_groups(),
        total=await visit.room.store.journal.quarantined(),
        run=await visit.room.store.audit.last_of(REPLAY_QUARANTINED),
    )


@actions.get("/deliveries/{entry_id}/replay")
async def confirm_one(visit: Acting, entry_id: str) -> Response:
    entry = await _delivery(visit, entry_id)
    rehearsed = await _once(visit.room, entry, _rehearsal(visit.room))
    words = EFFECTS[rehearsed.verdict]
    if not words.endswith("."):
        words = f"{words}: {because(rehearsed.reason)}." if rehearsed.reason else f"{words}."
    return visit.page(
        "confirm.html",
        active="deliveries",
        title="Replay this delivery",
        about=entry.svix_id,
        words=words,
        fields={"confirmed": rehearsed.verdict.value},
        grave=rehearsed.verdict == "deleted",
        to=f"/deliveries/{entry.id}/replay",
        back=f"/deliveries/{entry.id}",
        button="Replay",
    )


@actions.post("/deliveries/{entry_id}/replay")
async def replay_one(visit: Acting, form: Posted, entry_id: str) -> Response:
    entry = await _delivery(visit, entry_id)
    rehearsed = await _once(visit.room, entry, _rehearsal(visit.room))
    require_confirmed(form, rehearsed.verdict.value)

    async def work() -> str:
        return _in_words(await _once(visit.room, entry, _replay(visit.room)))

    await visit.on_the_trail(REPLAY, entry.svix_id, {"entry": entry.id}, work)
    return visit.go_on(f"/deliveries/{entry.id}")


@actions.get("/quarantine/replay")
async def confirm_group(visit: Acting, request: Request) -> Response:
    error = _without_nul(request.query_params.get("error", ""))
    total, group = await _group(visit, error)
    verdicts = await _rehearsed(visit, error)
    return visit.page(
        "confirm.html",
        active="quarantine",
        title="Replay the quarantine",
        about=error or None,
        words=_group_words(total, verdicts),
        fields={"error": error, "confirmed": f"{group}: {_tally(verdicts)}"},
        grave=bool(verdicts[Outcome.DELETED]),
        to="/quarantine/replay",
        back="/quarantine",
        button=f"Replay {total:,}",
    )


@actions.post("/quarantine/replay")
async def replay_group(visit: Acting, form: Posted) -> Response:
    error = _without_nul(form.get("error", ""))
    total, group = await _group(visit, error)
    require_confirmed(form, f"{group}: {_tally(await _rehearsed(visit, error))}")
    run = Run(
        who=visit.visitor.name,
        action=REPLAY_QUARANTINED,
        target=error or None,
        detail={"total": total, "done": 0, "verdicts": {}},
        work=lambda detail: _replay_all(visit.room, error, detail),
    )
    await visit.room.runs.start(run)
    return visit.go_on("/quarantine")


@actions.get("/deliveries/{entry_id}/dismiss")
async def confirm_dismissal(visit: Acting, entry_id: str) -> Response:
    entry = await _in_quarantine(visit, entry_id)
    words = "It is given up, and no longer in quarantine. It stays in the journal as dismissed."
    return _dismissal(visit, entry.svix_id, words, {}, f"/deliveries/{entry.id}")


@actions.post("/deliveries/{entry_id}/dismiss")
async def dismiss(visit: Acting, form: Posted, entry_id: str) -> Response:
    entry = await _in_quarantine(visit, entry_id)
    wanted = JournalQuery(svix_id=entry.svix_id)
    await _dismiss(visit, entry.svix_id, wanted, form)
    return visit.go_on(f"/deliveries/{entry.id}")


@actions.get("/quarantine/dismiss")
async def confirm_dismissal_of_group(visit: Acting, request: Request) -> Response:
    error = _without_nul(request.query_params.get("error", ""))
    total, group = await _group(visit, error)
    many = count_of(total, "delivery", "deliveries")
    words = f"{many} with this cause will be given up, and no longer be in quarantine."
    fields = {"error": error, "confirmed": group}
    return _dismissal(visit, error, words, fields, "/quarantine")


@actions.post("/quarantine/dismiss")
async def dismiss_group(visit: Acting, form: Posted) -> Response:
    error = _without_nul(form.get("error", ""))
    if not error:
        raise Refused(400, "There is no cause", "Dismiss the deliveries of one cause at a time.")
    _, group = await _group(visit, error)
    require_confirmed(form, group)
    await _dismiss(visit, error, JournalQuery(error=error), form)
    return visit.go_on("/quarantine")


async def _group(visit: Visit, error: str) -> tuple[int, str]:
    """How many deliveries have that cause, and what tells them from those of another time.

    The number alone does not: while one leaves quarantine, another may come.
    """
    total = await visit.room.store.journal.count(_quarantined(error))
    newest = await visit.room.store.journal_pages.page(_quarantined(error, limit=1))
    return total, f"{total} up to {newest.entries[0].id if newest.entries else 0}"


async def _rehearsed(visit: Visit, error: str) -> Counter[str]:
    wanted = _quarantined(error, limit=REHEARSED)
    rehearsed = _each(visit.room, wanted, _rehearsal(visit.room))
    return Counter([one.verdict.value async for one in rehearsed])


def _dismissal(
    visit: Visit, about: str | None, words: str, fields: dict[str, str], back: str
) -> Response:
    return visit.page(
        "confirm.html",
        active="quarantine",
        title="Dismiss",
        about=about,
        words=words,
        fields=fields,
        longest_reason=LONGEST_REASON,
        grave=False,
        to=f"{back}/dismiss",
        back=back,
        button="Dismiss",
    )


async def _dismiss(
    visit: Visit, target: str | None, wanted: JournalQuery, form: Mapping[str, str]
) -> None:
    """Raises `Refused` without a reason."""
    reason = _without_nul(form.get("reason", "")).strip()[:LONGEST_REASON]
    if not reason:
        raise Refused(400, "There is no reason", "Say why: the audit trail keeps it.")

    async def work() -> str:
        return f"{await visit.room.store.journal.dismiss(wanted)} dismissed"

    await visit.on_the_trail(DISMISS, target, {"reason": reason}, work)


async def _replay_all(room: Room, error: str, detail: dict[str, Any]) -> str:
    verdicts: Counter[str] = Counter()
    async for replayed in _each(room, _quarantined(error), _replay(room)):
        verdicts[replayed.verdict.value] += 1
        detail.update(done=verdicts.total(), verdicts=dict(verdicts))
    return _tally(verdicts)


def _group_words(total: int, verdicts: Counter[str]) -> str:
    if not total:
        return "There is none left."
    many = count_of(total, "delivery", "deliveries")
    whose = f"the outcomes of the first {REHEARSED}" if total > REHEARSED else "their outcomes"
    tally = f"With this release {whose} would be: {_tally(verdicts)}."
    return f"{many} will be read again. {tally}"


async def _once(room: Room, entry: JournalEntry, destination: Destination) -> Replayed:
    """Raises `Refused` if the entry is gone meanwhile."""
    # All outcomes: a query without outcomes leaves dismissed deliveries out.
    wanted = JournalQuery(svix_id=entry.svix_id, outcomes=JOURNAL_OUTCOMES, limit=1)
    async for replayed in _each(room, wanted, destination):
        return replayed
    raise no_such_delivery()


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


def _without_nul(text: str) -> str:
    return text.replace("\0", "")


async def _delivery(visit: Visit, unverified_id: str) -> JournalEntry:
    """Raises `Refused` for an observation that did not come as a delivery."""
    entry = await entry_of(visit, unverified_id)
    if entry.svix_id is None:
        raise Refused(409, "That was no delivery", "Only what Clerk delivered can be replayed.")
    return entry


async def _in_quarantine(visit: Visit, unverified_id: str) -> JournalEntry:
    """Raises `Refused` for a delivery that is not, or no longer, in quarantine."""
    entry = await entry_of(visit, unverified_id)
    if entry.outcome != QUARANTINED:
        raise Refused(409, "It is not in quarantine", "Only what is there can be dismissed.")
    return entry


def _in_words(replayed: Replayed) -> str:
    if replayed.verdict is Verdict.NO_BODY:
        return "skipped: its body is erased or has expired"
    return f"{replayed.verdict}: {replayed.reason}" if replayed.reason else str(replayed.verdict)


def _tally(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.items()) or "none"
