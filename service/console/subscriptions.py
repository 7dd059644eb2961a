"""Subscriptions to changes: their state, the changes they set aside, and the actions on them."""

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet

from fastapi import APIRouter, Request, Response

from domain.change_log import LogEnds
from domain.changes import Kind
from domain.subscription_health import standings_now
from domain.subscriptions import (
    RETRIED,
    SKIPPED,
    USUAL_SOURCES,
    AsideState,
    SubscriptionStanding,
    Wants,
)
from domain.user import Source
from domain.words import count_of
from service.console.answers import ConsoleRoute, Refused
from service.console.rendering import sentence, source
from service.console.visit import Acting, Posted, Reading, Visit, require_confirmed

pages = APIRouter(route_class=ConsoleRoute)
actions = APIRouter(route_class=ConsoleRoute)

SHOWN = 200
"""Changes that are set aside, on the page of one subscription."""

# On the audit trail these have the names of the commands.
RETRY = "changes retry"
SKIP = "changes skip"
RESUME = "changes resume"
START_OVER = "changes rewind"


@pages.get("/subscriptions")
async def subscriptions(visit: Reading) -> Response:
    return visit.page(
        "subscriptions.html",
        active="subscriptions",
        standings=await standings_now(visit.room.store.changes, visit.room.store.desk),
        state=state,
        wanted=wanted,
    )


@pages.get("/subscriptions/{name}")
async def subscription(visit: Reading, name: str) -> Response:
    one = await _known(visit, name)
    asides = await visit.room.store.desk.set_aside(name, SHOWN)
    return visit.page(
        "subscription.html",
        active="subscriptions",
        one=one,
        state=state(one),
        wanted=wanted(one.wants),
        asides=asides,
        names=await visit.room.store.reads.names_of({aside.clerk_id for aside in asides}),
        ends=await visit.room.store.changes.ends(),
        actions=await visit.room.store.audit.about(name),
    )


@actions.get("/subscriptions/{name}/retry")
async def confirm_retry(visit: Acting, name: str, request: Request) -> Response:
    position = _position(request.query_params)
    number = await _affected(visit, name, RETRIED, position)
    which = _of(position, number, "waiting or parked")
    words = f"{which} will be tried again at once, from the first try."
    return _confirmation(visit, name, "retry", words, _fields(position), title="Try again")


@actions.post("/subscriptions/{name}/retry")
async def retry(visit: Acting, form: Posted, name: str) -> Response:
    position = _position(form)
    await _affected(visit, name, RETRIED, position)  # any number of them: it moves by itself

    async def work() -> str:
        number = await visit.room.store.desk.retry(name, position)
        return f"{count_of(number, 'change')} to be tried again"

    return await _done(visit, RETRY, name, {"position": position}, work)


@actions.get("/subscriptions/{name}/skip")
async def confirm_skip(visit: Acting, name: str, request: Request) -> Response:
    position = _position(request.query_params)
    number = await _affected(visit, name, SKIPPED, position)
    words = (
        f"{_of(position, number, 'parked')} will be given up: {name} is never told. "
        "The later changes of the same user are delivered."
    )
    return _confirmation(
        visit,
        name,
        "skip",
        words,
        {**_fields(position), "confirmed": str(number)},
        title="Give up",
        grave=True,
    )


@actions.post("/subscriptions/{name}/skip")
async def skip(visit: Acting, form: Posted, name: str) -> Response:
    position = _position(form)
    require_confirmed(form, await _affected(visit, name, SKIPPED, position))

    async def work() -> str:
        number = await visit.room.store.desk.skip(name, position)
        return f"{count_of(number, 'change')} to be given up"

    return await _done(visit, SKIP, name, {"position": position}, work)


@actions.get("/subscriptions/{name}/resume")
async def confirm_resume(visit: Acting, name: str) -> Response:
    one = await _known(visit, name)
    if one.paused_at is None:
        raise Refused(409, "It is not paused", "Only a paused subscription can be resumed.")
    words = f"It continues after position {one.position:,}. Its receiver should work again first."
    return _confirmation(visit, name, "resume", words, title="Resume")


@actions.post("/subscriptions/{name}/resume")
async def resume(visit: Acting, form: Posted, name: str) -> Response:
    del form  # it is ours, and has no fields
    await _known(visit, name)

    async def work() -> str:
        return "resumed" if await visit.room.store.desk.resume(name) else "it was not paused"

    return await _done(visit, RESUME, name, {}, work)


@actions.get("/subscriptions/{name}/rewind")
async def confirm_start_over(visit: Acting, name: str, request: Request) -> Response:
    one = await _known(visit, name)
    ends = await _ends(visit)
    position = _place(request.query_params.get("to", ""), ends)
    words = f"It is at position {one.position:,}, and will continue after {position:,}."
    if position < one.position:
        again = count_of(one.position - position, "change")
        words += f" {sentence(again)} will be delivered again, if wanted."
    elif position > one.position:
        words += f" {count_of(position - one.position, 'change')} will never be delivered."
    return _confirmation(
        visit, name, "rewind", words, {"to": str(position)}, title="Start over", grave=True
    )


@actions.post("/subscriptions/{name}/rewind")
async def start_over(visit: Acting, form: Posted, name: str) -> Response:
    await _known(visit, name)
    position = _place(form.get("to", ""), await _ends(visit))

    async def work() -> str:
        await visit.room.store.desk.rewind(name, position)
        return f"continues after {position}"

    return await _done(visit, START_OVER, name, {"to": position}, work)


def state(one: SubscriptionStanding) -> str:
    """The worst trouble of a subscription, in a word or two."""
    if one.fell_behind:
        return "fell behind"
    if one.paused_at is not None:
        return "paused"
    return "not running" if one.holder is None else "running"


def wanted(wants: Wants) -> str:
    """The changes that a subscription wants: `created; updated of email; not from backfill`."""
    words = "; ".join(_kind(kind, wants) for kind in Kind if kind in wants.kinds)
    if wants.kinds == frozenset(Kind) and not wants.fields:
        words = "every change"
    if wants.sources == USUAL_SOURCES:
        return f"{words}; not from backfill"
    if wants.sources == frozenset(Source):
        return words
    return f"{words}; by {', '.join(source(one) for one in Source if one in wants.sources)}"


def _kind(kind: Kind, wants: Wants) -> str:
    is_narrowed = kind is Kind.UPDATED and bool(wants.fields)
    return f"{kind} of {', '.join(sorted(wants.fields))}" if is_narrowed else str(kind)


def _confirmation(
    visit: Visit,
    name: str,
    action: str,
    words: str,
    fields: Mapping[str, str] | None = None,
    *,
    title: str,
    grave: bool = False,
) -> Response:
    return visit.page(
        "confirm.html",
        active="subscriptions",
        title=title,
        about=name,
        words=words,
        fields=fields or {},
        grave=grave,
        to=f"/subscriptions/{name}/{action}",
        back=f"/subscriptions/{name}",
        button=title,
    )


async def _done(
    visit: Visit,
    action: str,
    name: str,
    detail: Mapping[str, int | None],
    work: Callable[[], Awaitable[str]],
) -> Response:
    await visit.on_the_trail(action, name, detail, work)
    return visit.go_on(f"/subscriptions/{name}")


async def _known(visit: Visit, name: str) -> SubscriptionStanding:
    """Raises `Refused` where there is none."""
    for one in await visit.room.store.desk.standings():
        if one.name == name:
            return one
    raise Refused(404, "There is no such subscription", "The page Subscriptions lists all.")


async def _affected(
    visit: Visit, name: str, states: AbstractSet[AsideState], position: int | None
) -> int:
    """How many changes an action on that position, or on all in these states, is about.

    Raises `Refused` if there are none.
    """
    await _known(visit, name)
    number = await visit.room.store.desk.chosen(name, states, position)
    if not number:
        raise Refused(409, "There is nothing to do", "No such change is set aside any more.")
    return number


async def _ends(visit: Visit) -> LogEnds:
    """With every visible change numbered, so that `now` is now."""
    await visit.room.store.changes.number()
    return await visit.room.store.changes.ends()


def _place(text: str, ends: LogEnds) -> int:
    """Raises `Refused`."""
    try:
        return ends.place(text.strip())
    except ValueError as error:
        raise Refused(400, "There is no such place", f"{sentence(str(error))}.") from None


def _position(fields: Mapping[str, str]) -> int | None:
    """Raises `Refused` for a text that is no position."""
    text = fields.get("position", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(400, "That is no position", "A position is a number.")
    return int(text) if text else None


def _fields(position: int | None) -> Mapping[str, str]:
    return {"position": "" if position is None else str(position)}


def _of(position: int | None, number: int, states: str) -> str:
    return count_of(number, f"{states} change") if position is None else f"Change {position:,}"
