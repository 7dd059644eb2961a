"""Where our table and Clerk disagree: the last comparison, a new one, and the repair."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Response

from domain.console import ListedDrift, OperatorAction
from domain.drift import Drift, DriftKind, Findings, Sweep, load_sweep, save_sweep
from domain.errors import IdentityProviderUnavailable
from domain.reconcile import LAST_FULL, ReconcileOptions, TombstoneLimit
from domain.user import LocalUser
from domain.words import span
from service.console.answers import ConsoleRoute, Refused
from service.console.room import Room
from service.console.runs import Run
from service.console.visit import Acting, Posted, Reading, Visit

pages = APIRouter(route_class=ConsoleRoute)
actions = APIRouter(route_class=ConsoleRoute)

CHECK = "drift check"
REPAIR = "drift repair"

FRESH = timedelta(hours=1)
CONFIRMED_BY = (
    f"A repair is confirmed by the findings of a check that is at most {span(FRESH)} old."
)

KEPT = 200
"""Differences that a run lists: ids, names of fields and times, without values."""

ENDED_AT = "ended_at"
"""When a run's comparison ended: the name that its list and the kept comparison have in common."""

KINDS = {
    DriftKind.MISSING: "at Clerk, and not here",
    DriftKind.DIFFERING: "on both sides, with different contents",
    DriftKind.DELETED: "live here, and no longer at Clerk",
    DriftKind.AHEAD: "our version is newer than Clerk's: to overwrite it, use Trust Clerk on the "
    "user's page",
    DriftKind.TOMBSTONED: "a tombstone here, live at Clerk: there is no way back",
}

EFFECTS = {
    DriftKind.MISSING: "will be created",
    DriftKind.DIFFERING: "will be overwritten with what Clerk has",
    DriftKind.DELETED: "will become a tombstone, within the limit below",
    DriftKind.AHEAD: "will be left: our version is newer",
    DriftKind.TOMBSTONED: "will be left: a tombstone stands",
}
"""What a repair does to a row."""


@pages.get("/drift")
async def drift(visit: Reading) -> Response:
    store = visit.room.store
    last_full, run = (
        await store.checkpoints.load(LAST_FULL),
        await store.audit.last_of(CHECK, REPAIR),
    )
    sweep = await load_sweep(store.checkpoints)
    listed = _listed(run) if run else []
    return visit.page(
        "drift.html",
        active="drift",
        kinds=KINDS,
        sweep=sweep,
        last_full=_moment(last_full),
        run=run,
        names=await store.reads.names_of([one.clerk_id for one in listed]),
        changed=await store.reads.changed_since(listed),
        may_repair=sweep is not None and _is_fresh(sweep),
        at_most=KEPT,
        confirmed_by=CONFIRMED_BY,
    )


async def sweep_by_now(room: Room) -> Sweep | None:
    """The last comparison, less the users who are settled since it listed them."""
    sweep, run = (
        await load_sweep(room.store.checkpoints),
        await room.store.audit.last_of(CHECK, REPAIR),
    )
    if sweep is None or run is None or run.detail.get(ENDED_AT) != sweep.ended_at.isoformat():
        return sweep  # the list is of another comparison
    changed = await room.store.reads.changed_since(_listed(run))
    settled = Counter(
        one["kind"]
        for one in run.detail["drifts"]
        if one["clerk_id"] in changed and not one.get("repaired")
    )
    return replace(sweep, repaired={**(settled + Counter(sweep.repaired))})


def _listed(run: OperatorAction) -> list[ListedDrift]:
    return [
        ListedDrift(
            clerk_id=one["clerk_id"],
            moment=run.started_at + timedelta(seconds=one.get("after", 0)),
            observed_at=_moment(one.get("observed_at")),
            is_deleted=one["kind"] == DriftKind.DELETED,
        )
        for one in run.detail.get("drifts", ())
    ]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@actions.get("/drift/check")
async def confirm_check(visit: Acting) -> Response:
    return visit.page(
        "confirm.html",
        active="drift",
        title="Check for drift",
        about=None,
        words="It reads all users at Clerk, with a third of the calls that Clerk allows, and "
        "changes nothing.",
        fields={},
        grave=False,
        to="/drift/check",
        back="/drift",
        button="Check now",
    )


@actions.post("/drift/check")
async def check(visit: Acting, form: Posted) -> Response:
    del form  # it is ours, and has no fields
    return await _begin(visit, CHECK, TombstoneLimit(), repair=False)


@actions.get("/drift/repair")
async def confirm_repair(visit: Acting) -> Response:
    sweep = await _fresh_sweep(visit.room)
    return visit.page(
        "repair.html",
        active="drift",
        sweep=sweep,
        limit=TombstoneLimit(),
        effects=EFFECTS,
        to_tombstone=sweep.found.get("deleted", 0) - sweep.repaired.get("deleted", 0),
    )


@actions.post("/drift/repair")
async def repair(visit: Acting, form: Posted) -> Response:
    await _fresh_sweep(visit.room)
    allowed = _allowed(form.get("allowed", ""))
    return await _begin(visit, REPAIR, TombstoneLimit(allowed=allowed), repair=True)


async def _begin(visit: Visit, action: str, limit: TombstoneLimit, *, repair: bool) -> Response:
    detail: dict[str, Any] = {
        "compared": 0,
        "total": None,
        "drifts": [],
        "found": {},
        "repaired": {},
    }
    if repair:
        detail["allowed"] = limit.allowed
    run = Run(
        who=visit.visitor.name,
        action=action,
        target=None,
        detail=detail,
        work=lambda detail: _compare(visit.room, detail, limit, repair=repair),
    )
    await visit.room.runs.start(run)
    return visit.go_on("/drift")


async def _compare(
    room: Room, detail: dict[str, Any], limit: TombstoneLimit, *, repair: bool
) -> str:
    """Keeps `detail` up to date. Returns the result in words."""
    begun = time.monotonic()

    def keep(drift: Drift) -> None:
        kind = drift.kind.value
        detail["found"][kind] = detail["found"].get(kind, 0) + 1
        if len(detail["drifts"]) < KEPT:
            detail["drifts"].append(
                {
                    "kind": kind,
                    "clerk_id": drift.clerk_id,
                    "fields": list(drift.fields),
                    "after": round(time.monotonic() - begun, 3),
                    "observed_at": here.observed_at.isoformat()
                    if isinstance(here := drift.here, LocalUser)
                    else None,
                }
            )

    def note_repaired(drift: Drift) -> None:
        kind = drift.kind.value
        detail["repaired"][kind] = detail["repaired"].get(kind, 0) + 1
        for one in detail["drifts"]:
            if one["clerk_id"] == drift.clerk_id:
                one["repaired"] = True

    def count(compared: int) -> None:
        detail["compared"] += compared

    detail["total"] = await _total(room)
    findings = Findings()
    options = ReconcileOptions(
        repair=repair,
        tombstone_limit=limit,
        on_drift=keep,
        on_repaired=note_repaired,
        on_compared=count,
    )
    await room.reconcile.full(options, findings)
    sweep = findings.as_sweep(datetime.now(UTC))
    detail.update(found=sweep.found, repaired=sweep.repaired)
    detail["left_out"] = [
        {"clerk_id": one.clerk_id, "reason": one.reason} for one in findings.left_out[:KEPT]
    ]
    detail[ENDED_AT] = sweep.ended_at.isoformat()
    await save_sweep(room.store.checkpoints, sweep)  # after a repair too, for this time of its end
    return _in_words(findings, repair=repair)


async def _total(room: Room) -> int | None:
    """How many users Clerk has, to show the progress; None if Clerk does not tell."""
    try:
        return await room.clerk.prompt.count()
    except IdentityProviderUnavailable:
        return None


async def _fresh_sweep(room: Room) -> Sweep:
    """Raises `Refused` without a recent comparison."""
    sweep = await load_sweep(room.store.checkpoints)
    if sweep is None or not _is_fresh(sweep):
        raise Refused(409, "Check first", f"{CONFIRMED_BY} Run one.")
    return sweep


def _is_fresh(sweep: Sweep) -> bool:
    return datetime.now(UTC) - sweep.ended_at <= FRESH


def _allowed(text: str) -> int | None:
    """How many rows may be tombstoned; None is the default limit. Raises `Refused`."""
    if not text.strip():
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    words = "Give the number of rows that may be tombstoned, or nothing."
    raise Refused(400, "That is not a number", words)


def _in_words(findings: Findings, *, repair: bool) -> str:
    drift, left = findings.found.total(), findings.left
    unreadable = len(findings.left_out)
    not_read = f", {unreadable:,} could not be read" if unreadable else ""
    if not drift:
        return f"{findings.compared:,} compared, no drift{not_read}"
    if not repair:
        return f"{findings.compared:,} compared, {drift:,} differ{not_read}"
    held_back = f", {findings.held_back:,} held back by the limit" if findings.held_back else ""
    return f"{drift:,} differed, {left:,} left{held_back}{not_read}"
