"""A service of somebody else's in the demo: it reads the changes, and acts on each once."""

import time
from dataclasses import dataclass, field

import httpx


@dataclass
class Shop:
    """Sends a welcome mail to each user, and keeps a workspace for each. `http` has the token."""

    http: httpx.AsyncClient
    mails: list[str] = field(default_factory=list)
    workspaces: set[str] = field(default_factory=set)
    _position: int = 0

    async def read(self) -> tuple[int, float]:
        """Act on what is new. Returns the last status, and the milliseconds that it took."""
        started = time.perf_counter()
        while True:
            answer = await self.http.get("/v1/changes", params={"after": self._position})
            milliseconds = (time.perf_counter() - started) * 1000
            if answer.status_code != httpx.codes.OK or not answer.json()["changes"]:
                return answer.status_code, milliseconds
            for change in answer.json()["changes"]:
                self._act(change["kind"], change["clerk_id"])
            self._position = answer.json()["next"]

    def _act(self, kind: str, user_id: str) -> None:
        if kind == "created":
            self.mails.append(user_id)
            self.workspaces.add(user_id)
        elif kind == "deleted":
            self.workspaces.discard(user_id)
