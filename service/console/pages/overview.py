"""How things stand, in a sentence; and the figures behind it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request, Response

from domain.console import Activity, Sizes
from domain.sweep import load_sweep
from domain.truth import Seen, sentence, troubles
from service.console.answers import ConsoleRoute
from service.console.charts import OUTCOMES, bar_chart, line_chart
from service.console.permission import Reading
from service.console.room import Room

router = APIRouter(route_class=ConsoleRoute)


@dataclass(frozen=True, slots=True)
class Window:
    """What the charts span."""

    name: str
    steps: int
    step: timedelta


WINDOWS = (
    Window("1h", 60, timedelta(minutes=1)),
    Window("24h", 48, timedelta(minutes=30)),
    Window("7d", 56, timedelta(hours=3)),
)


@router.get("")
@router.get("/", include_in_schema=False)
async def overview(visit: Reading, request: Request) -> Response:
    window = _window(request.query_params.get("window"))
    now = datetime.now(UTC)
    seen, sizes = await look(visit.room)
    activity = await _activity(visit.room, window, now) if sizes else None
    return visit.page(
        "overview.html",
        active="overview",
        sentence=sentence(seen, now),
        troubles=troubles(seen),
        seen=seen,
        window=window,
        windows=WINDOWS,
        activity=activity,
        sizes=sizes,
        bars=bar_chart(activity) if activity else None,
        lines=line_chart(activity) if activity else None,
        outcomes=OUTCOMES,
    )


async def look(room: Room) -> tuple[Seen, Sizes | None]:
    """At everything the sentence is about. A store that is away is one of its findings."""
    report = await room.readiness.report()
    seen = Seen(
        store=report.checks["store"],
        schema=report.checks["schema"],
        signing_keys=report.checks["signing_keys"],
        at_clerk="clerk" not in report.degraded,
    )
    if not (seen.store and seen.schema):
        return seen, None
    sizes = await room.reads.sizes()
    stored = replace(
        seen,
        quarantined=await room.journal.quarantined(),
        silent_users=await room.silent_users() if "webhooks" in report.degraded else 0,
        last_delivery_at=await room.reads.last_delivery_at(),
        sweep=await load_sweep(room.checkpoints),
        any_entries=sizes.any_entries,
    )
    return stored, sizes


async def _activity(room: Room, window: Window, now: datetime) -> Activity:
    until = _next(window.step, now)
    return await room.reads.activity(steps=window.steps, step=window.step, until=until)


def _window(name: str | None) -> Window:
    return next((window for window in WINDOWS if window.name == name), WINDOWS[0])


def _next(step: timedelta, now: datetime) -> datetime:
    """The end of the step that is under way: the bars stand still between two looks."""
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    return begin + ((now - begin) // step + 1) * step
