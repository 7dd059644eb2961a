"""Who did what."""

from fastapi import APIRouter, Request, Response

from domain.console import ACTIONS_ON_A_PAGE
from service.console.answers import ConsoleRoute
from service.console.pages.queries import asked_for
from service.console.permission import Reading

router = APIRouter(route_class=ConsoleRoute)


@router.get("/audit")
async def audit(visit: Reading, request: Request) -> Response:
    before = asked_for(request.query_params).before
    actions = await visit.room.store.audit.latest(before=before)
    older = actions[-1].id if len(actions) == ACTIONS_ON_A_PAGE else None
    return visit.page("audit.html", active="audit", actions=actions, older=older, before=before)
