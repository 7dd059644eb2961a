"""The emulated Clerk, over HTTP: its Backend API as anyone would use it, and its post office."""

from typing import Any

import httpx


class Clerk:
    """What happens at Clerk, and when its webhooks leave."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def sign_up(self, email: str, first_name: str) -> str:
        """The new user's id."""
        body = {"email_address": [email], "first_name": first_name}
        user: str = (await self._call("POST", "/v1/users", body))["id"]
        return user

    async def rename(self, user_id: str, first_name: str) -> str:
        """The svix id of the webhook that tells of it."""
        await self._call("PATCH", f"/v1/users/{user_id}", {"first_name": first_name})
        return await self.last_message(user_id)

    async def delete(self, user_id: str) -> str:
        """The svix id of the webhook that tells of it."""
        await self._call("DELETE", f"/v1/users/{user_id}")
        return await self.last_message(user_id)

    async def session(self, user_id: str) -> str:
        session: str = (await self._call("POST", "/v1/sessions", {"user_id": user_id}))["id"]
        return session

    async def token(self, session_id: str) -> str:
        """A session token, good for a minute."""
        jwt: str = (await self._call("POST", f"/v1/sessions/{session_id}/tokens"))["jwt"]
        return jwt

    async def plan(self, **plan: Any) -> None:
        """What becomes of the next webhook: `hold=True`, `repeat=2`, …"""
        await self._call("POST", "/emulator/delivery", {"for_next": [plan]})

    async def release(self, svix_id: str) -> None:
        """Let a held webhook go."""
        await self._call("POST", f"/emulator/messages/{svix_id}/release")

    async def fetches(self) -> int:
        """How often a user was asked for at the Backend API."""
        calls = await self._call("GET", "/emulator/calls")
        total: int = calls.get("GetUser", {"total": 0})["total"]
        return total

    async def last_message(self, user_id: str) -> str:
        """The svix id of the newest webhook about a user."""
        messages = await self._call("GET", "/emulator/messages")
        about = [one["svix_id"] for one in messages if f'"id":"{user_id}"' in one["body"]]
        newest: str = about[-1]
        return newest

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()
