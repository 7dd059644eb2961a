"""An application's table of accounts, and users to link with its rows."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.adoption import HostTable
from domain.sync_user import SyncUser
from domain.user import DeletedUser, EmailAddress, Source, User, UserChange, UserId
from tests.fakes.adoption import HostRow, InMemoryAdoption
from tests.people import at, user
from tests.postgres_server import Sql

TABLE = HostTable(name="accounts", email="email", verified="verified")


def person(
    number: int,
    email: str | None = None,
    *,
    verified: bool = True,
    others: tuple[str, ...] = (),
    external_id: str | None = None,
) -> User:
    addresses = [EmailAddress(address=one, verified=False, primary=False) for one in others]
    if email:
        addresses.append(EmailAddress(address=email, verified=verified, primary=True))
    return replace(
        user(UserId(f"user_{number}")),
        email=email,
        email_verified=bool(email) and verified,
        email_addresses=tuple(addresses),
        external_id=external_id,
    )


async def given_(
    sql: Sql, database: Database, rows: list[HostRow], users: list[User], *deleted: User
) -> InMemoryAdoption:
    """The same on both sides. Returns the fake."""
    await sql.execute("delete from accounts; delete from users; delete from adopted_users")
    await insert(sql, rows)
    await sync(database, [*users, *deleted])
    gone = [DeletedUser(clerk_id=one.clerk_id, deleted_at=at(1)) for one in deleted]
    await sync(database, gone)
    return InMemoryAdoption(rows=rows, users=users)


async def insert(sql: Sql, rows: list[HostRow]) -> None:
    values = [(row.id, row.email, row.external_id, row.verified) for row in rows]
    await sql.executemany(
        "insert into accounts (id, email, external_id, verified) values ($1, $2, $3, $4)", values
    )


async def sync(database: Database, changes: Sequence[UserChange]) -> None:
    repository = PostgresUserRepository(database)
    for change in changes:
        await repository.sync(SyncUser(change=change, source=Source.BACKFILL))


async def links(sql: Sql) -> dict[str, str]:
    found = await sql.fetch(
        "select row_id, clerk_id from adopted_users join users on users.id = user_id"
    )
    return {row["row_id"]: row["clerk_id"] for row in found}
