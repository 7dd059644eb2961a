"""Where the table and Clerk disagree: the last full comparison, and the run under way."""

from datetime import datetime

from fastapi import APIRouter, Response

from domain.drift import DriftKind, load_sweep
from domain.reconcile import LAST_FULL
from service.console.answers import ConsoleRoute
from service.console.names import CHECK, REPAIR
from service.console.permission import Reading, Visit

router = APIRouter(route_class=ConsoleRoute)

KINDS = {
    DriftKind.MISSING: "at Clerk, and not here",
    DriftKind.DIFFERING: "on both sides, with different contents",
    DriftKind.DELETED: "live here, and no longer at Clerk",
    DriftKind.AHEAD: "ours claims to be newer: no repair takes that back",
    DriftKind.TOMBSTONED: "a tombstone here, live at Clerk: there is no way back",
}

EFFECTS = {
    DriftKind.MISSING: "will be created",
    DriftKind.DIFFERING: "will be overwritten with what Clerk has",
    DriftKind.DELETED: "will become a tombstone, if the brake lets it",
    DriftKind.AHEAD: "will be left: ours claims to be newer",
    DriftKind.TOMBSTONED: "will be left: a tombstone stands",
}
"""What a repair does to a row."""


@router.get("/drift")
async def drift(visit: Reading) -> Response:
    return visit.page(
        "drift.html",
        active="drift",
        kinds=KINDS,
        sweep=await load_sweep(visit.room.store.checkpoints),
        last_full=await _last_full(visit),
        run=await visit.room.store.audit.last_of(CHECK, REPAIR),
    )


async def _last_full(visit: Visit) -> datetime | None:
    saved = await visit.room.store.checkpoints.load(LAST_FULL)
    return datetime.fromisoformat(saved) if saved else None
