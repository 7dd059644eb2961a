"""The audit trail, and the answer to every path that is unknown."""

from fastapi import APIRouter, Request, Response

from domain.console import ACTIONS_ON_A_PAGE
from service.console.access import ATTEMPTS, FAILURES_ON_THE_TRAIL
from service.console.answers import ConsoleRoute, Refused
from service.console.deliveries import asked_for
from service.console.visit import Reading

pages = APIRouter(route_class=ConsoleRoute)


@pages.get("/audit")
async def audit(visit: Reading, request: Request) -> Response:
    before = asked_for(request.query_params).before
    actions = await visit.room.store.audit.latest(before=before)
    targets = {action.target for action in actions if action.target}
    people = {action.who for action in actions} | targets
    return visit.page(
        "audit.html",
        active="audit",
        actions=actions,
        names=await visit.room.store.reads.names_of(people),
        older=actions[-1].id if len(actions) == ACTIONS_ON_A_PAGE else None,
        before=before,
        attempts=ATTEMPTS,
        failures=FAILURES_ON_THE_TRAIL,
    )


@pages.get("/{path:path}")
async def unknown(visit: Reading, path: str) -> Response:
    """Only a person who has signed in learns which paths exist."""
    del visit, path
    raise Refused(404, "There is no such page", "The address may be cut short.")
