"""What is no page: told to whoever may look, and to nobody else."""

from fastapi import APIRouter, Response

from service.console.answers import ConsoleRoute, Refused
from service.console.permission import Reading

router = APIRouter(route_class=ConsoleRoute)


@router.get("/{path:path}")
async def nowhere(visit: Reading, path: str) -> Response:
    del visit, path  # who sees that it is not there has signed in
    raise Refused(404, "There is no such page", "The address may have been cut short.")
