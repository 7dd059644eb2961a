"""Whether a changed statement is still valid SQL."""

import asyncio
import os
from types import ModuleType

import asyncpg

from tests.mutants.targets import Target

_NAME = "mutants"


def prepared_database() -> None:
    """Create a database with our tables, on which statements are prepared."""
    child = os.fork()
    if child == 0:  # in a child, because the parent must not import our modules yet
        try:
            asyncio.run(_prepare())
        except BaseException as error:  # noqa: BLE001 - printed; the child must not return into the parent's code
            print(error)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the database could not be created")


async def _prepare() -> None:
    from adapters.postgres.migrate import migrate

    connection = await asyncpg.connect(os.environ["TEST_POSTGRES_URL"])
    await connection.execute(f"drop database if exists {_NAME}")
    await connection.execute(f"create database {_NAME}")
    await connection.close()
    await migrate(_url())


def is_stillborn(target: Target, spoilt: ModuleType) -> bool:
    """Whether a statement that was valid SQL no longer is."""
    if not target.sql:
        return False
    original = ModuleType(target.module)
    exec(compile(target.path.read_text(), target.module, "exec"), original.__dict__)
    before, after = _texts(original), _texts(spoilt)
    changed = [name for name, text in after.items() if text != before.get(name)]
    return asyncio.run(_broken([(before[name], after[name]) for name in changed]))


def _texts(module: ModuleType) -> dict[str, str]:
    ours = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    return {name: value for name, value in ours.items() if isinstance(value, str)}


async def _broken(pairs: list[tuple[str, str]]) -> bool:
    connection = await asyncpg.connect(_url())
    try:
        for before, after in pairs:
            if await _is_one(connection, before) and not await _is_one(connection, after):
                return True
    finally:
        await connection.close()
    return False


async def _is_one(connection: "asyncpg.Connection[asyncpg.Record]", text: str) -> bool:
    try:
        await connection.prepare(text)
    except asyncpg.PostgresError:
        return False
    return True


def _url() -> str:
    return os.environ["TEST_POSTGRES_URL"].rpartition("/")[0] + f"/{_NAME}"
