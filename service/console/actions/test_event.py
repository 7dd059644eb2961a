"""A webhook to see arrive, where Clerk is only emulated."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from service.console.actions.recording import on_the_trail
from service.console.answers import ConsoleRoute, Refused
from service.console.names import TEST_EVENT
from service.console.permission import Acting, Posted, Visit

router = APIRouter(route_class=ConsoleRoute)


@router.get("/test-event")
async def confirm(visit: Acting) -> Response:
    _sign_up(visit)
    return visit.page(
        "confirm.html",
        active="overview",
        title="Send a test event",
        about=None,
        words="A test user signs up at the emulated Clerk. Its signed webhook comes in by the "
        "front door, and a row is created.",
        fields={},
        grave=False,
        to="/test-event",
        back="/",
        button="Send it",
    )


@router.post("/test-event")
async def send(visit: Acting, form: Posted) -> Response:
    del form  # proven, and empty
    user_id = await on_the_trail(visit, TEST_EVENT, None, {}, _sign_up(visit))
    return visit.go_on(f"/users/{user_id}")


def _sign_up(visit: Visit) -> Callable[[], Awaitable[str]]:
    """Raises `Refused`: a real Clerk gets no test users from us."""
    if visit.room.sign_up_a_test_user is None:
        raise Refused(404, "There is no such page", "That is for an emulated Clerk only.")
    return visit.room.sign_up_a_test_user
