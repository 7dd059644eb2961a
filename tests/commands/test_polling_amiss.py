"""Polls of an instance without users."""

from scripts.clerk_emulator import ClerkEmulator
from service.services import Operations
from tests.commands.scenes import reconcile_of
from tests.postgres_server import Sql


async def test_a_poll_that_finds_nobody_is_the_first_one_too(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    """So the first users are welcomed."""
    polling = reconcile_of(available, repair=True, insist=False)
    await polling.recent()
    clerk.create_user(email_address=["ada@example.com"])
    await polling.recent()
    changes = await sql.fetch("select kind, source from user_changes")
    assert [tuple(row) for row in changes] == [("created", "reconcile")]
