"""A host application with its own SQLAlchemy models, Alembic chain and foreign keys."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import USER_COLUMNS
from adapters.postgres.database import Database
from adapters.postgres.joins import users_table
from adapters.postgres.migrate import migrate
from adapters.postgres.schema import head, schema_state
from adapters.postgres.users import PostgresUserRepository
from domain.schema import Standing
from domain.user import DeletedUser, LocalUser
from tests.people import deleted, delivered, new_id, user
from tests.postgres_server import Sql

ROOT = Path(__file__).parents[3]


async def test_the_view_has_only_users_that_are_not_deleted(url: str, host: Sql) -> None:
    await migrate(url)
    database = Database(url)
    await database.open()
    users = PostgresUserRepository(database)
    ada, gone = user(new_id()), user(new_id())
    for change in (ada, gone, deleted(gone.clerk_id)):
        await users.sync(delivered(change))
    await database.close()
    live = await host.fetch("select * from users_live")
    assert [one["clerk_id"] for one in live] == [ada.clerk_id]
    assert set(USER_COLUMNS) <= set(live[0].keys())


@pytest.mark.parametrize("schema", [None, "clerk"])
async def test_declarative_models_join_our_table(url: str, schema: str | None) -> None:
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __table__ = users_table(Base.metadata, schema)

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        user_id: Mapped[UUID] = mapped_column(ForeignKey(User.__table__.c.id))
        user: Mapped[User] = relationship()

    await migrate(url, schema)
    ada = await synced(url, schema)
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add(Order(user_id=ada.id))
        await session.commit()
        [(order, email)] = (
            await session.execute(select(Order, User.__table__.c.email).join(Order.user))
        ).all()
        assert (order.user_id, email) == (ada.id, ada.email)
    await engine.dispose()


async def test_sqlmodel_models_join_our_table(url: str) -> None:
    metadata = MetaData()
    users = users_table(metadata)

    class Order(SQLModel, table=True):
        metadata = users.metadata
        id: int | None = Field(default=None, primary_key=True)
        user_id: UUID = Field(foreign_key="users.id")

    await migrate(url)
    ada = await synced(url, None)
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add(Order(user_id=ada.id))
        await session.commit()
        joined = select(users.c.clerk_id).join(Order, Order.user_id == users.c.id)  # type: ignore[arg-type]
        assert (await session.execute(joined)).scalars().all() == [ada.clerk_id]
    await engine.dispose()


def test_the_same_table_is_given_twice_and_another_ones_name_is_refused() -> None:
    metadata = MetaData()
    assert users_table(metadata) is users_table(metadata)
    theirs = MetaData()
    Table("users", theirs, Column("id", Text, primary_key=True))
    with pytest.raises(ValueError, match="set DATABASE_SCHEMA"):
        users_table(theirs)
    assert users_table(theirs, "clerk").fullname == "clerk.users"


async def test_an_open_insert_that_references_a_user_holds_up_no_webhook(
    url: str, host: Sql
) -> None:
    await migrate(url)
    ada = await synced(url, None)
    await host.execute("create table orders (user_id uuid not null references users (id))")
    database = Database(url)
    await database.open()
    users = PostgresUserRepository(database)
    async with host.transaction():
        await host.execute("insert into orders values ($1)", ada.id)
        async with asyncio.timeout(2):
            await users.sync(delivered(user(ada.clerk_id, updated=1, email="new@example.com")))
            await users.sync(delivered(deleted(ada.clerk_id)))
    assert isinstance(await users.get(ada.clerk_id), DeletedUser)
    await database.close()


async def synced(url: str, schema: str | None) -> LocalUser:
    database = Database(url, schema=schema)
    await database.open()
    users = PostgresUserRepository(database)
    person = user(new_id())
    await users.sync(delivered(person))
    found = await users.get(person.clerk_id)
    await database.close()
    assert isinstance(found, LocalUser)
    return found


GUIDE = (ROOT / "docs" / "guides" / "joins-and-migrations.md").read_text()
MODELS, REVIEWS, ENV, WITH_OURS = (
    # The wheel exports these names; in the repository they are in their modules.
    block.replace(
        "from clerk_user_sync import upgrade", "from adapters.postgres.upgrade import upgrade"
    ).replace("from clerk_user_sync import", "from adapters.postgres.joins import")
    for block in re.findall(r"(?s)```python\n(.*?)```", GUIDE)
)

BEFORE_OURS = """
revision = "a1"
down_revision = None
from alembic import op

def upgrade():
    op.execute("create table before_ours (id int)")

def downgrade():
    op.execute("drop table before_ours")
"""

NOTHING_TO_DO = "auto generated by Alembic - please adjust! ###\n    pass\n"


JOIN = """
from sqlmodel import select
print(select(Review, Reviewer.email).join(Review.reviewer))
"""


@pytest.mark.parametrize("schema", ["", "clerk."])
def test_the_guides_sqlmodel_classes_join_our_table(schema: str) -> None:
    """In its own process, because SQLModel has one global `MetaData`."""
    environment = {"PYTHONPATH": str(ROOT), "DATABASE_SCHEMA": schema.rstrip(".")}
    code = (sys.executable, "-W", "error", "-c", REVIEWS + JOIN)
    said = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)
    users = f"{schema}users"
    join = f"FROM reviews JOIN {users} ON {users}.id = reviews.reviewer_id"
    assert join in said.stdout, said.stderr


class HostChain:
    """The host's `alembic` command, in its folder."""

    def __init__(self, folder: Path, url: str, schema: str | None) -> None:
        self._folder = folder
        self._environment = {
            "PATH": "",
            "PYTHONPATH": f"{ROOT}:{folder}",
            "HOST_URL": url.replace("postgresql://", "postgresql+asyncpg://"),
            **({} if schema is None else {"DATABASE_SCHEMA": schema}),
        }
        (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/chain\n")
        (folder / "chain" / "versions").mkdir(parents=True)
        (folder / "chain" / "env.py").write_text(ENV)
        (folder / "chain" / "script.py.mako").write_text(
            "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n"
            "from alembic import op\nimport sqlalchemy as sa\n"
            "def upgrade() -> None:\n    ${upgrades if upgrades else 'pass'}\n"
        )
        (folder / "models.py").write_text(MODELS)

    def write(self, name: str, text: str) -> None:
        (self._folder / "chain" / "versions" / f"{name}.py").write_text(text)

    def alembic(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def generate(self, revision: str) -> str:
        """The revision that `--autogenerate` writes."""
        self.alembic("revision", "--autogenerate", "--rev-id", revision, "-m", revision)
        [file] = (self._folder / "chain" / "versions").glob(f"{revision}_*.py")
        return file.read_text()


@pytest.mark.parametrize("schema", [None, "", "clerk"])
async def test_a_hosts_chain_stays_clean_before_between_and_after_ours(
    url: str, host: Sql, tmp_path: Path, schema: str | None
) -> None:
    """A schema of somebody else's stays out of it too."""
    await host.execute("create schema analytics create table visits (id int)")
    chain = HostChain(tmp_path, url, schema)
    chain.write("a1_before", BEFORE_OURS)
    await asyncio.to_thread(chain.alembic, "upgrade", "head")
    chain.write("b2_with", WITH_OURS)
    await asyncio.to_thread(chain.alembic, "upgrade", "head")
    assert await standing(url, schema) is Standing.AT_HEAD
    await host.execute("drop table before_ours, after_ours")

    orders = await asyncio.to_thread(chain.generate, "c3")
    assert "create_table('orders'" in orders
    assert "sync_journal" not in orders
    assert "drop_" not in orders.partition("def upgrade")[2]
    await asyncio.to_thread(chain.alembic, "upgrade", "head")

    await migrate(url, schema)
    assert NOTHING_TO_DO in await asyncio.to_thread(chain.generate, "d4")
    await asyncio.to_thread(chain.alembic, "upgrade", "head")
    assert await host.fetchval("select version_num from alembic_version") == "d4"
    assert await standing(url, schema) is Standing.AT_HEAD


async def test_a_revision_of_the_hosts_that_fails_takes_ours_back_with_it(
    url: str, host: Sql, tmp_path: Path
) -> None:
    chain = HostChain(tmp_path, url, None)
    chain.write("a1_before", BEFORE_OURS)
    chain.write("b2_with", WITH_OURS.replace("create table after_ours", "create nonsense"))
    with pytest.raises(AssertionError, match="nonsense"):
        await asyncio.to_thread(chain.alembic, "upgrade", "head")
    assert await standing(url, None) is Standing.BEHIND
    assert await host.fetchval("select to_regclass('users')") is None
    assert head() >= "0009"


CALL = "bring_users_to_head(op.get_bind()"


async def test_a_hosts_chain_that_is_written_as_sql_is_told_how_to_write_ours(
    url: str, tmp_path: Path
) -> None:
    chain = HostChain(tmp_path, url, None)
    chain.write("a1_before", BEFORE_OURS)
    chain.write("b2_with", WITH_OURS)
    with pytest.raises(AssertionError, match=r"SchemaRefused: .* `clerk-user-sync migrate --sql`"):
        await asyncio.to_thread(chain.alembic, "upgrade", "head", "--sql")
    guarded = WITH_OURS.replace("import op", "import context, op").replace(
        CALL, f"if not context.is_offline_mode(): {CALL}"
    )
    chain.write("b2_with", guarded)
    assert "create table after_ours" in await asyncio.to_thread(
        chain.alembic, "upgrade", "head", "--sql"
    )


async def standing(url: str, schema: str | None) -> Standing:
    database = Database(url, schema=schema)
    await database.open()
    state = await schema_state(database)
    await database.close()
    return state.standing
