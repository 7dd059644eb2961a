"""What could not be applied, by cause."""

from fastapi import APIRouter, Response

from service.console.answers import ConsoleRoute
from service.console.names import REPLAY_QUARANTINED
from service.console.permission import Reading

router = APIRouter(route_class=ConsoleRoute)


@router.get("/quarantine")
async def quarantine(visit: Reading) -> Response:
    return visit.page(
        "quarantine.html",
        active="quarantine",
        groups=await visit.room.store.reads.quarantine_groups(),
        total=await visit.room.store.journal.quarantined(),
        run=await visit.room.store.audit.last_of(REPLAY_QUARANTINED),
    )
