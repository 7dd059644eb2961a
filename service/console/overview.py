"""The overview: the state in one sentence, and the figures behind it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request, Response

from domain import health
from domain.console import Activity, Sizes
from domain.drift import Sweep
from domain.errors import IdentityProviderUnavailable
from domain.finding import Finding
from domain.subscription_health import changes
from domain.summary import sentence, troubles
from service.console.answers import ConsoleRoute
from service.console.charts import HEIGHT, OUTCOMES, WIDTH, bar_chart, line_chart
from service.console.drift import sweep_by_now
from service.console.room import Room
from service.console.timeouts import CLERK_TIMEOUT_OF_A_PAGE
from service.console.visit import Reading

pages = APIRouter(route_class=ConsoleRoute)


@dataclass(frozen=True, slots=True)
class Window:
    """The time that the charts span."""

    name: str
    steps: int
    step: timedelta


WINDOWS = (
    Window("1h", 60, timedelta(minutes=1)),
    Window("24h", 48, timedelta(minutes=30)),
    Window("7d", 56, timedelta(hours=3)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the overview shows. Of a store with a wrong schema there are findings alone."""

    findings: Sequence[Finding]
    sizes: Sizes | None = None
    last_delivery_at: datetime | None = None
    sweep: Sweep | None = None

    def sentence(self, now: datetime) -> str:
        return sentence(
            self.findings,
            sweep=self.sweep,
            last_delivery_at=self.last_delivery_at,
            any_entries=self.sizes is not None and self.sizes.any_entries,
            now=now,
        )


@pages.get("")
@pages.get("/", include_in_schema=False)
async def overview(visit: Reading, request: Request) -> Response:
    window = _window(request.query_params.get("window"))
    now = visit.now
    seen = await look(visit.room, now)
    activity = await _activity(visit.room, window, now) if seen.sizes else None
    return visit.page(
        "overview.html",
        active="overview",
        sentence=seen.sentence(now),
        troubles=troubles(seen.findings),
        seen=seen,
        window=window,
        windows=WINDOWS,
        activity=activity,
        sizes=seen.sizes,
        bars=bar_chart(activity) if activity else None,
        lines=line_chart(activity) if activity else None,
        outcomes=OUTCOMES,
        width=WIDTH,
        height=HEIGHT,
    )


async def look(room: Room, now: datetime) -> Seen:
    """Examines everything that the overview shows. Raises `StorageUnavailable`."""
    report = await room.services.readiness.report()
    if not report.store_is_usable:
        return Seen(findings=report.findings)
    store = room.store
    sweep, sizes = await sweep_by_now(room), await store.reads.sizes()
    last_at = await store.watch.last_delivery_at()
    found = [
        health.quarantine(await store.journal.quarantined()),
        health.drift(sweep),
        changes(await store.desk.standings()),
    ]
    if sizes.any_entries:
        expected = room.services.polling is None
        found.append(health.last_delivery(last_at, now, expected=expected))
    if not sizes.any_users and (at_clerk := await _users_at_clerk(room)) is not None:
        found.append(health.users(at_clerk))
    return Seen(
        findings=[*report.findings, *found], sizes=sizes, last_delivery_at=last_at, sweep=sweep
    )


async def _users_at_clerk(room: Room) -> int | None:
    """How many users Clerk has, or None if it does not tell. Asked once a minute at most."""
    if "count" not in room.asked:
        try:
            async with asyncio.timeout(CLERK_TIMEOUT_OF_A_PAGE):
                room.asked["count"] = await room.clerk.bulk.count()
        except (IdentityProviderUnavailable, TimeoutError):
            room.asked["count"] = None
    return room.asked["count"]


async def _activity(room: Room, window: Window, now: datetime) -> Activity:
    until = _next(window.step, now)
    return await room.store.reads.activity(steps=window.steps, step=window.step, until=until)


def _window(name: str | None) -> Window:
    return next((window for window in WINDOWS if window.name == name), WINDOWS[0])


def _next(step: timedelta, now: datetime) -> datetime:
    """The end of the current step, so that bars do not move between two refreshes."""
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    return begin + ((now - begin) // step + 1) * step
