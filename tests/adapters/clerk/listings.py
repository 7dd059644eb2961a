"""Clerk's list of users, for tests: the users, and the answers to requests for its pages."""

import json
from collections.abc import Sequence
from typing import Any

from tests.adapters.clerk.http_server import Asked, HttpServer, Reply, json_reply
from tests.adapters.clerk.payloads import UPDATED_MS, api_bytes, changed

USER = json.loads(api_bytes("get_user_200"))


def person(number: int, **changes: Any) -> dict[str, Any]:
    return changed(
        {**USER, "id": f"user_{number:05}", "updated_at": UPDATED_MS + number}, **changes
    )


def listing(people: Sequence[dict[str, Any]], *, cursor: bool = True) -> Any:
    """Clerk's list of users, with or without `starting_after`."""

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/count"):
            return json_reply({"total_count": len(people)})
        query = {name: values[0] for name, values in asked.query.items()}
        start = int(query.get("offset", 0))
        if "starting_after" in query:
            if not cursor:
                return json_reply({"errors": [{"code": "form_param_unknown"}]}, status=422)
            start = 1 + [one.get("id") for one in people].index(query["starting_after"])
        return json_reply(people[start : start + int(query.get("limit", 10))])

    return answer


def counted(reply: Reply, total: int) -> Any:
    """That reply to every request but one for the count."""
    return lambda asked: (
        json_reply({"total_count": total}) if asked.path.endswith("/count") else reply
    )


def lists(clerk: HttpServer) -> list[Asked]:
    """The requests but those for the count."""
    return [asked for asked in clerk.asked if not asked.path.endswith("/count")]


async def ids(pages: Any) -> list[str]:
    return [user.clerk_id async for page in pages for user in page.users]


async def sizes(pages: Any) -> list[int]:
    return [len(page.users) async for page in pages]


PEOPLE = [person(number) for number in range(1203)]
