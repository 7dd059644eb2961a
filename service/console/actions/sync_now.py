"""One user, made right at once."""

from fastapi import APIRouter, Response

from domain.errors import UserUnreadable, WrongInstance
from domain.explain import Comparison, beside
from domain.sync_now import CHANGED_MEANWHILE, NOBODY, SyncPlan
from domain.user import Outcome
from service.console.actions.recording import on_the_trail
from service.console.answers import ConsoleRoute, Refused
from service.console.names import SYNC
from service.console.pages.users import checked_id, planned
from service.console.permission import Acting, Posted, Visit

router = APIRouter(route_class=ConsoleRoute)

WORDS = {
    "created": "Clerk has this user and we do not: a row will be created.",
    "updated": "Clerk's version is newer: our row will be overwritten with it.",
    "unchanged": "We have what Clerk has: nothing will change.",
    "stale": "Our row is newer than Clerk's answer: nothing will change.",
    "gone": "Our row is a tombstone, and stays one: nothing will change.",
    "deleted": "Clerk does not know this user any more: our row will become a tombstone, and "
    "everything personal in it is erased. There is no way back.",
    NOBODY: "Neither side has a live user by this id: there is nothing to do.",
}


@router.get("/users/{user_id}/sync")
async def confirm(visit: Acting, user_id: str) -> Response:
    checked = checked_id(user_id)
    plan = await planned(visit, checked)
    return visit.page(
        "confirm.html",
        active="users",
        title="Sync now",
        about=checked,
        words=WORDS[plan.expected],
        fields={"confirmed": plan.expected},
        changes=_changes(plan),
        grave=plan.expected == "deleted",
        to=f"/users/{checked}/sync",
        back=f"/users/{checked}",
        button="Make it a tombstone" if plan.expected == "deleted" else "Sync now",
    )


@router.post("/users/{user_id}/sync")
async def sync(visit: Acting, form: Posted, user_id: str) -> Response:
    checked = checked_id(user_id)
    confirmed = form.get("confirmed", "")
    result = await _refused_in_words(visit, checked, confirmed)
    if result == CHANGED_MEANWHILE:
        words = "Something changed since that page was made. Open it again."
        raise Refused(409, "That is not what would happen now", words)
    return visit.go_on(f"/users/{checked}")


def _changes(plan: SyncPlan) -> list[Comparison]:
    """What will be written, where something will."""
    if plan.expected not in (Outcome.CREATED, Outcome.UPDATED):
        return []
    rows = beside(plan.ours, plan.clerks)
    return [row for row in rows if not row.same and row.field != "exists"]


async def _refused_in_words(visit: Visit, user_id: str, confirmed: str) -> str:
    try:
        return await on_the_trail(
            visit,
            SYNC,
            user_id,
            {"confirmed": confirmed if confirmed in WORDS else "nothing we know"},
            lambda: visit.room.sync_now(checked_id(user_id), confirmed),
        )
    except WrongInstance as error:
        words = f"CLERK_SECRET_KEY is another instance's: {error}."
        raise Refused(409, "Nothing was done", words) from None
    except UserUnreadable as error:
        words = f"Clerk has this user, in a form we cannot keep: {error}."
        raise Refused(409, "Nothing was done", words) from None
