"""One user: our row beside Clerk's answer, what arrived about them, and "sync now"."""

from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from domain.console import USERS_ON_A_PAGE, FoundUser
from domain.errors import IdentityProviderUnavailable
from domain.explain import Comparison, beside
from domain.journal import JournalQuery
from domain.sync_now import CHANGED_MEANWHILE, NOBODY, SyncPlan
from domain.user import LocalUser, Outcome, UserId, parse_user_id
from service.changes_of import changes_of
from service.console.admission import ADMISSIONS, name_of, state_of
from service.console.answers import ConsoleRoute, Refused
from service.console.deliveries import LONGEST_SEARCH, is_user_id
from service.console.rendering import sentence
from service.console.visit import Acting, Posted, Reading, Visit

pages = APIRouter(route_class=ConsoleRoute)
actions = APIRouter(route_class=ConsoleRoute)

CHANGES_SHOWN = 50
"""Changes on the page of one user."""

SHOWN = 12
"""Deliveries on the page of one user; a link leads to the others."""

SYNC = "sync now"
TRUST = "trust clerk"

EFFECTS = {
    "created": "Clerk has this user and we do not: a row will be created.",
    "updated": "Clerk's version is newer: our row will be overwritten with it.",
    "unchanged": "The contents agree. A newer version or last sign-in of Clerk's is taken over.",
    "stale": "Our row is newer than Clerk's answer: nothing will change.",
    "gone": "Our row is a tombstone, and stays one: nothing will change.",
    "deleted": "Clerk does not know this user any more: our row will become a tombstone, and "
    "everything personal in it is erased. There is no way back.",
    NOBODY: "Neither side has a live user by this id: there is nothing to do.",
}
"""What a sync does, by its expected outcome."""


@pages.get("/users")
async def search(visit: Reading, request: Request) -> Response:
    text = request.query_params.get("q", "").strip().replace("\0", "")[:LONGEST_SEARCH]
    reads = visit.room.store.reads
    if not text:
        return _listed(visit, text, await reads.newest_users())
    found = await reads.find_users(text)
    if len(found) == 1:
        return RedirectResponse(f"{visit.base}/users/{found[0].clerk_id}", 303)
    if delivery := await _delivery(visit, text):
        return RedirectResponse(f"{visit.base}/deliveries/{delivery}", 303)
    if not found and is_user_id(text):
        return RedirectResponse(f"{visit.base}/users/{text}", 303)
    found = found or await reads.users_like(text)
    return _listed(visit, text, found)


def _listed(visit: Visit, text: str, found: Sequence[FoundUser]) -> Response:
    return visit.page("users.html", active="users", text=text, found=found, at_most=USERS_ON_A_PAGE)


@pages.get("/users/{user_id}")
async def user(visit: Reading, user_id: str) -> Response:
    """Does not ask Clerk: the page asks for `at_clerk` once it is shown."""
    checked = _checked_id(user_id)
    record = await visit.room.store.users.get(checked)
    # The search also finds a user who has that id as their external id.
    found = await visit.room.store.reads.find_users(checked)
    story = await visit.room.store.journal_pages.page(JournalQuery(user_id=checked, limit=SHOWN))
    changes = await changes_of(visit.room.store, checked, newest=CHANGES_SHOWN + 1)
    return visit.page(
        "user.html",
        active="users",
        user_id=checked,
        record=record,
        row=next((one for one in found if one.clerk_id == checked), None),
        state=state_of(record),
        admission=ADMISSIONS[state_of(record)],
        name=name_of(record),
        rows=_fields(beside(record, None)),
        story=story,
        changes=changes,
        newest=changes.rows[: -CHANGES_SHOWN - 1 : -1],
        actions=await visit.room.store.audit.about(checked),
    )


@pages.get("/users/{user_id}/clerk")
async def at_clerk(visit: Reading, user_id: str) -> Response:
    """Our row beside Clerk's answer, or beside the reason why there is none."""
    checked = _checked_id(user_id)
    trouble, plan = "", None
    try:
        plan = await visit.room.sync_now.plan(checked)
    except IdentityProviderUnavailable as error:
        trouble = f"{sentence(error.explained)}."
    record = plan.ours if plan else await visit.room.store.users.get(checked)
    rows = _fields(beside(record, plan.clerks if plan else None))
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


@actions.get("/users/{user_id}/sync")
async def confirm_sync(visit: Acting, user_id: str) -> Response:
    checked = _checked_id(user_id)
    plan = await visit.room.sync_now.plan(checked)
    deletes = plan.expected == "deleted"
    return visit.page(
        "confirm.html",
        active="users",
        title="Sync now",
        about=checked,
        name=name_of(plan.ours or plan.clerks),
        words=EFFECTS[plan.expected],
        fields={"confirmed": plan.expected},
        changes=_changes(plan),
        grave=deletes,
        to=f"/users/{checked}/sync",
        back=f"/users/{checked}",
        button="Make it a tombstone" if deletes else "Sync now",
    )


@actions.post("/users/{user_id}/sync")
async def sync(visit: Acting, form: Posted, user_id: str) -> Response:
    checked = _checked_id(user_id)
    confirmed = form.get("confirmed", "")
    result = await visit.on_the_trail(
        SYNC,
        checked,
        {"confirmed": confirmed if confirmed in EFFECTS else "unknown"},
        lambda: visit.room.sync_now(checked, confirmed),
    )
    return _done(visit, checked, result)


@actions.get("/users/{user_id}/trust-clerk")
async def confirm_trust(visit: Acting, user_id: str) -> Response:
    checked = _checked_id(user_id)
    plan = await visit.room.sync_now.plan(checked)
    if not (plan.is_ahead and isinstance(plan.ours, LocalUser)):
        words = "Only a row whose version is newer than Clerk's own needs this. Use Sync now."
        raise Refused(409, "Our row is not ahead of Clerk", words)
    changes = [row for row in _fields(beside(plan.ours, plan.clerks)) if not row.same]
    return visit.page(
        "confirm.html",
        active="users",
        title="Trust Clerk",
        about=checked,
        name=name_of(plan.ours),
        words="The version of our row is newer than Clerk's own, so no sync overwrites it. Its "
        "version will be withdrawn, and the row overwritten with what Clerk has.",
        fields={"confirmed": plan.ours.clerk_updated_at.isoformat()},
        changes=changes,
        grave=True,
        to=f"/users/{checked}/trust-clerk",
        back=f"/users/{checked}",
        button="Overwrite with Clerk's version",
    )


@actions.post("/users/{user_id}/trust-clerk")
async def trust_clerk(visit: Acting, form: Posted, user_id: str) -> Response:
    checked = _checked_id(user_id)
    try:
        confirmed = datetime.fromisoformat(form.get("confirmed", ""))
    except ValueError:
        raise Refused(400, "That is not a version", "Open the page again.") from None
    result = await visit.on_the_trail(
        TRUST,
        checked,
        {"version_here": confirmed.isoformat()},
        lambda: visit.room.sync_now.trust_clerk(checked, confirmed),
    )
    return _done(visit, checked, result)


def _done(visit: Visit, user_id: UserId, result: str) -> Response:
    """Raises `Refused` where nothing was done."""
    if result == CHANGED_MEANWHILE:
        words = "Something changed since that page was made. Open it again."
        raise Refused(409, "The effect would be another one now", words)
    return visit.go_on(f"/users/{user_id}")


def _fields(rows: list[Comparison]) -> list[Comparison]:
    """Without `exists`, which the text above the table says."""
    return [row for row in rows if row.field != "exists"]


def _changes(plan: SyncPlan) -> list[Comparison]:
    """The fields that will be written."""
    if plan.expected != Outcome.CREATED and not plan.is_behind:
        return []
    return [row for row in _fields(beside(plan.ours, plan.clerks)) if not row.same]


def _checked_id(unverified: str) -> UserId:
    """Raises `Refused` for anything that is not the id of a Clerk user."""
    try:
        return parse_user_id(unverified)
    except ValueError:
        words = "A Clerk user id is user_ and letters or digits."
        raise Refused(404, "There is no such user", words) from None


async def _delivery(visit: Visit, text: str) -> int | None:
    """The entry with that svix id."""
    if not text.startswith("msg_"):
        return None
    found = await visit.room.store.journal_pages.page(JournalQuery(svix_id=text, limit=1))
    return found.entries[0].id if found.entries else None
