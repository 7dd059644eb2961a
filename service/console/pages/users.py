"""One user: our row beside Clerk's answer now, and the story of how it came about."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from domain.errors import IdentityProviderUnavailable, UserUnreadable
from domain.explain import Comparison, beside
from domain.journal import JournalQuery
from domain.sync_now import NOBODY, SyncPlan
from domain.user import DeletedUser, UserId, UserState, parse_user_id
from service.console.answers import ConsoleRoute, Refused
from service.console.permission import Reading, Visit
from service.console.words import sentence

router = APIRouter(route_class=ConsoleRoute)

PATIENCE = 10.0
"""Seconds for Clerk's answer: somebody is waiting."""

LONGEST_SEARCH = 320


@router.get("/users")
async def search(visit: Reading, request: Request) -> Response:
    text = request.query_params.get("q", "").strip().replace("\0", "")[:LONGEST_SEARCH]
    found = await visit.room.store.reads.find_users(text) if text else ()
    if len(found) == 1:
        return RedirectResponse(f"{visit.base}/users/{found[0].clerk_id}", 303)
    if delivery := await _delivery(visit, text):
        return RedirectResponse(f"{visit.base}/deliveries/{delivery}", 303)
    if not found and is_user_id(text):
        return RedirectResponse(f"{visit.base}/users/{text}", 303)
    return visit.page("users.html", active="users", text=text, found=found)


@router.get("/users/{user_id}")
async def user(visit: Reading, user_id: str) -> Response:
    """Clerk is not asked here: the page does that once it is shown."""
    checked = checked_id(user_id)
    record = await visit.room.store.users.get(checked)
    rows = await visit.room.store.reads.find_users(checked)
    story = await visit.room.store.journal_pages.page(JournalQuery(user_id=checked))
    return visit.page(
        "user.html",
        active="users",
        user_id=checked,
        record=record,
        row=rows[0] if rows else None,
        their_requests=_their_requests(record),
        rows=_rows(beside(record, None)),
        story=story,
        actions=await visit.room.store.audit.about(checked),
    )


@router.get("/users/{user_id}/clerk")
async def at_clerk(visit: Reading, user_id: str) -> Response:
    """Our row beside Clerk's answer now; where Clerk gives none, why."""
    checked = checked_id(user_id)
    trouble, plan = "", None
    try:
        plan = await planned(visit, checked)
    except IdentityProviderUnavailable as error:
        trouble = unanswered(error)
    record = plan.ours if plan else await visit.room.store.users.get(checked)
    rows = _rows(beside(record, plan.clerks if plan else None))
    return visit.page(
        "at_clerk.html",
        active="users",
        user_id=checked,
        trouble=trouble,
        record=record,
        plan=plan,
        nobody=NOBODY,
        rows=sorted(rows, key=lambda row: row.same) if plan else rows,
    )


def _rows(rows: list[Comparison]) -> list[Comparison]:
    """Whether there is anybody is said above them."""
    return [row for row in rows if row.field != "exists"]


def _their_requests(record: UserState) -> str:
    """What somebody meets who says that they cannot get in. See `domain.resolve_user`."""
    if record is None:
        return "Their first request asks Clerk, and brings them in."
    if isinstance(record, DeletedUser):
        return "Their requests are refused: 401 user_deleted."
    if record.banned:
        return "Their requests are refused: 403 user_banned."
    return "Their requests are served."


async def planned(visit: Visit, user_id: UserId) -> SyncPlan:
    """Raises `IdentityProviderUnavailable` or `StorageUnavailable`."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await visit.room.sync_now.plan(user_id)
    except TimeoutError:
        raise IdentityProviderUnavailable(f"no answer in {PATIENCE:.0f} s") from None


def unanswered(error: IdentityProviderUnavailable) -> str:
    """Why Clerk's side stays empty."""
    if isinstance(error, UserUnreadable):
        return f"Clerk has this user, in a form we cannot keep: {error}."
    return f"{sentence(error.explained)}."


def checked_id(unverified: str) -> UserId:
    """Raises `Refused` for what has not the shape of one."""
    try:
        return parse_user_id(unverified)
    except ValueError:
        words = "A Clerk user id is user_ and letters or digits."
        raise Refused(404, "There is no such user", words) from None


def is_user_id(text: str) -> bool:
    try:
        return bool(parse_user_id(text))
    except ValueError:
        return False


async def _delivery(visit: Visit, text: str) -> int | None:
    """The entry of that svix id."""
    if not text.startswith("msg_"):
        return None
    found = await visit.room.store.journal_pages.page(JournalQuery(svix_id=text, limit=1))
    return found.entries[0].id if found.entries else None
