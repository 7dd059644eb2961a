"""The emulated Clerk over HTTP: its Backend API, and the control API for its webhooks."""

from typing import Any

import httpx


class Clerk:
    """`http` has the emulator's address and sends the Backend API key."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def sign_up(self, email: str, first_name: str) -> str:
        """Create a user. Returns its id."""
        body = {"email_address": [email], "first_name": first_name}
        return str((await self._call("POST", "/v1/users", body))["id"])

    async def rename(self, user_id: str, first_name: str) -> str:
        """Returns the svix id of the webhook."""
        await self._call("PATCH", f"/v1/users/{user_id}", {"first_name": first_name})
        return await self.last_message(user_id)

    async def delete(self, user_id: str) -> str:
        """Returns the svix id of the webhook."""
        await self._call("DELETE", f"/v1/users/{user_id}")
        return await self.last_message(user_id)

    async def session(self, user_id: str) -> str:
        """Create a session. Returns its id."""
        return str((await self._call("POST", "/v1/sessions", {"user_id": user_id}))["id"])

    async def token(self, session_id: str) -> str:
        """A session token that is valid for one minute."""
        return str((await self._call("POST", f"/v1/sessions/{session_id}/tokens"))["jwt"])

    async def plan(self, **plan: Any) -> None:
        """How the next webhook is delivered: a `DeliveryPlan`, such as `hold=True`."""
        await self._call("POST", "/emulator/delivery", {"for_next": [plan]})

    async def release(self, svix_id: str) -> None:
        """Send a held webhook."""
        await self._call("POST", f"/emulator/messages/{svix_id}/release")

    async def fetches(self) -> int:
        """How many calls to `GET /v1/users/{id}` there were."""
        calls = await self._call("GET", "/emulator/calls")
        return int(calls.get("GetUser", {"total": 0})["total"])

    async def last_message(self, user_id: str) -> str:
        """The svix id of the newest webhook about a user."""
        messages = await self._call("GET", "/emulator/messages")
        return str([one["svix_id"] for one in messages if one["user_id"] == user_id][-1])

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()
