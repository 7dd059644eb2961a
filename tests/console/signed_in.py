"""Browsers that a user of Clerk has signed in with, and the audit trail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA
from tests.console.visitors import Visitor, visitor_of
from tests.postgres_server import Sql
from tests.running import Service

ORGANISATION = "org_2abc"
GRANTS: dict[str, Any] = {
    "console_readers": f"{ADA},{ORGANISATION}:member",
    "console_operators": f"user_operator,{ORGANISATION}:admin",
}
TRAIL = "select who, action, target, result, detail from operator_actions order by id"


class Browser(Visitor):
    """With Clerk's cookie beside ours."""

    def show(self, token: str | None) -> None:
        """What the application's own pages have put into Clerk's cookie."""
        self.http.cookies.delete("__session") if "__session" in self.http.cookies else None
        if token is not None:
            self.http.cookies.set("__session", token, domain="localhost.local")


@asynccontextmanager
async def signed_in(
    service: Service, clerk: ClerkEmulator, user: str = ADA, **claims: Any
) -> AsyncIterator[Browser]:
    async with visitor_of(service.app) as visitor:
        browser = Browser(visitor.http)
        browser.show(clerk.session_token(user, **claims))
        assert (await browser.post("/sign-in")).status_code == 303
        assert (await browser.get()).status_code == 200
        yield browser


async def trail(sql: Sql) -> list[tuple[Any, ...]]:
    return [tuple(row)[:4] for row in await sql.fetch(TRAIL)]
