"""The table held against Clerk, and made to agree."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Response

from domain.drift import Drift, Findings, Sweep, load_sweep, save_sweep
from domain.errors import AlreadyRunning, IdentityProviderUnavailable
from domain.reconcile import Brake, ReconcileOptions
from service.console.actions.refusals import held_by
from service.console.answers import ConsoleRoute, Refused
from service.console.names import CHECK, REPAIR
from service.console.pages.drift import EFFECTS
from service.console.permission import Acting, Posted, Visit
from service.console.room import Room

router = APIRouter(route_class=ConsoleRoute)

FRESH = timedelta(hours=1)
"""A repair is confirmed by what a check of this age found, and no older one."""

KEPT = 200
"""Differences kept to look at. Ids and names of fields only: what they hold is asked for anew."""


@router.get("/drift/check")
async def confirm_check(visit: Acting) -> Response:
    return visit.page(
        "confirm.html",
        active="drift",
        title="Check for drift",
        about=None,
        words="It reads all users at Clerk, with a third of the calls Clerk allows, and changes "
        "nothing.",
        fields={},
        grave=False,
        to="/drift/check",
        back="/drift",
        button="Check now",
    )


@router.post("/drift/check")
async def check(visit: Acting, form: Posted) -> Response:
    del form  # proven, and empty
    return await _begin(visit, CHECK, _detail(), Brake(), repair=False)


@router.get("/drift/repair")
async def confirm_repair(visit: Acting) -> Response:
    sweep = await _fresh_sweep(visit.room)
    return visit.page(
        "repair.html",
        active="drift",
        sweep=sweep,
        brake=Brake(),
        effects=EFFECTS,
        to_tombstone=sweep.found.get("deleted", 0) - sweep.repaired.get("deleted", 0),
    )


@router.post("/drift/repair")
async def repair(visit: Acting, form: Posted) -> Response:
    await _fresh_sweep(visit.room)
    allowed = _allowed(form.get("allowed", ""))
    detail = {**_detail(), "allowed": allowed}
    return await _begin(visit, REPAIR, detail, Brake(allowed=allowed), repair=True)


async def _begin(
    visit: Visit, action: str, detail: dict[str, Any], brake: Brake, *, repair: bool
) -> Response:
    room = visit.room

    async def work(detail: dict[str, Any]) -> str:
        detail["total"] = await _total(room)
        findings = Findings()
        options = ReconcileOptions(
            repair=repair,
            brake=brake,
            on_drift=lambda drift: _keep(detail, drift),
            on_compared=lambda count: _count(detail, count),
        )
        await room.reconcile.full(options, findings)
        sweep = findings.as_sweep(datetime.now(UTC))
        detail.update(found=sweep.found, repaired=sweep.repaired)
        if not repair:
            await save_sweep(room.store.checkpoints, sweep)
        return _in_words(findings, repair=repair)

    try:
        await room.runs.start(
            who=visit.visitor.name, action=action, target=None, detail=detail, work=work
        )
    except AlreadyRunning as running:
        raise held_by(running) from None
    return visit.go_on("/drift")


def _detail() -> dict[str, Any]:
    return {"compared": 0, "total": None, "drifts": [], "found": {}, "repaired": {}}


def _keep(detail: dict[str, Any], drift: Drift) -> None:
    kind = drift.kind.value
    detail["found"][kind] = detail["found"].get(kind, 0) + 1
    if len(detail["drifts"]) < KEPT:
        one = {"kind": kind, "clerk_id": drift.clerk_id, "fields": list(drift.fields)}
        detail["drifts"].append(one)


def _count(detail: dict[str, Any], count: int) -> None:
    detail["compared"] += count


async def _total(room: Room) -> int | None:
    """How many there are at Clerk, to show how far it is; None where that cannot be had."""
    try:
        async with asyncio.timeout(10):
            return await room.clerk.bulk.count()
    except (IdentityProviderUnavailable, TimeoutError):
        return None


async def _fresh_sweep(room: Room) -> Sweep:
    """Raises `Refused` where nobody has looked lately."""
    sweep = await load_sweep(room.store.checkpoints)
    if sweep is None or datetime.now(UTC) - sweep.ended_at > FRESH:
        words = "A repair is confirmed by what a check found within the hour. Run one."
        raise Refused(409, "Check first", words)
    return sweep


def _allowed(text: str) -> int | None:
    """How many rows may be tombstoned; None leaves it to the brake. Raises `Refused`."""
    if not text.strip():
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise Refused(400, "That is no number", "Give how many rows may be tombstoned, or nothing.")


def _in_words(findings: Findings, *, repair: bool) -> str:
    drift, left = findings.found.total(), findings.left
    if not drift:
        return f"{findings.compared:,} compared, no drift"
    if not repair:
        return f"{findings.compared:,} compared, {drift:,} differ"
    held_back = f", {findings.held_back:,} held back by the brake" if findings.held_back else ""
    return f"{drift:,} differed, {left:,} left{held_back}"
