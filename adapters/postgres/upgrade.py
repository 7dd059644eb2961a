"""Run the missing migrations on a given connection: ours in `migrate`, the host's in `upgrade`.

Alembic is used without its command line and its proxies `op` and `context`: in a revision of the
host's Alembic chain, from which `upgrade` is called, these belong to the host.
"""

import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from adapters.postgres.migration_step import Step
from adapters.postgres.relations import (
    HOST_VERSION_TABLE,
    RELATIONS,
    VERSION_TABLE,
    Catalogue,
    catalogue_query,
    read_catalogue,
)
from adapters.postgres.schema import VERSION, head, may_read_version, state_of
from adapters.postgres.session import qualified
from domain import health
from domain.errors import SchemaRefused, StorageUnavailable
from domain.schema import SchemaState, Standing

LOCK = 0x636C65726B
"""The advisory lock of a migration: an arbitrary number, the same in every process."""

ASK_AGAIN = 0.2
"""Seconds between two attempts to take that lock."""

_LONGEST_WAIT = 60.0
"""Seconds that `upgrade` waits for another migration."""

_LAST_IN_HOST_TABLE = "0008"
"""The newest revision that a release kept in `alembic_version`."""

_NOTE = """\
-- Run this statement by statement, not as one transaction (psql: without --single-transaction):
-- an index cannot be built CONCURRENTLY inside a transaction.
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """`revision` is that of the schema; None if it is empty. `users_in` is the schema of our
    `users`, if it is there. `moves` says that the revision is still in the host's table, and
    `makes_schema` that the schema has to be created.
    """

    state: SchemaState
    revision: str | None
    users_in: str | None
    moves: bool
    makes_schema: bool


def upgrade(connection: Connection, schema: str | None = None) -> SchemaState:
    """Migrate our schema to head from a revision of the host's own Alembic chain:

        def upgrade():
            clerk_user_sync.upgrade(op.get_bind())

    It runs in the host's transaction and commits nothing. `schema` is `DATABASE_SCHEMA`, and may
    be empty. Indexes are not built concurrently: if our tables are already large, run
    `clerk-user-sync migrate` first. Raises `SchemaRefused`, also for Alembic's offline mode, which
    has no connection; `StorageUnavailable`; or the errors of the host's driver.
    """
    if not isinstance(connection, Connection):
        raise SchemaRefused(
            "`upgrade` needs a connection, and `alembic --sql` has none: write our part with "
            "`clerk-user-sync migrate --sql`, and call this `if not context.is_offline_mode()`"
        )
    give_up_at = time.monotonic() + _LONGEST_WAIT
    # Polled: a statement that waits would keep a snapshot, and another process that builds an index
    # concurrently waits for all snapshots.
    while not connection.exec_driver_sql(f"select pg_try_advisory_xact_lock({LOCK})").scalar():
        if time.monotonic() > give_up_at:
            raise StorageUnavailable("another migration is under way")
        time.sleep(ASK_AGAIN)
    return bring_to_head(connection, schema or None, commits=False)


def bring_to_head(connection: Connection, schema: str | None, *, commits: bool) -> SchemaState:
    """Run the missing migrations. With `commits` each has its own transaction.

    Raises `SchemaRefused`.
    """
    plan = _plan(connection, schema)
    if plan.state.is_usable:
        return plan.state
    for statement in _preparing(plan, schema):
        connection.exec_driver_sql(statement)
    if commits:
        connection.commit()
    context = _context(schema, head(), connection=connection)
    with context.begin_transaction():
        context.run_migrations(step=Step(context, schema, plan.users_in, commits=commits))
    return _state(connection, schema)


def step_back(connection: Connection, schema: str | None, revision: str) -> None:
    """Undo the migrations after `revision`, and lose the data of their columns. For tests."""
    context = _context(schema, revision, connection=connection, back=True)
    with context.begin_transaction():
        context.run_migrations(step=Step(context, schema, commits=True))


def missing_sql(connection: Connection, schema: str | None) -> str:
    """The SQL that `bring_to_head` would run; empty if there is none. Raises `SchemaRefused`."""
    plan = _plan(connection, schema)
    return "" if plan.state.is_usable else _written(plan, schema)


def all_sql(schema: str | None) -> str:
    """The SQL of all migrations, for an empty database."""
    state = SchemaState(standing=Standing.BEHIND)
    return _written(_Plan(state, None, None, moves=False, makes_schema=schema is not None), schema)


def _written(plan: _Plan, schema: str | None) -> str:
    text = StringIO(_NOTE)
    text.seek(0, 2)
    if preparing := _preparing(plan, schema):
        text.write("\n".join(["\nBEGIN;", *(f"{one};" for one in preparing), "COMMIT;\n"]))
    text.write("\n")
    context = _context(schema, head(), as_sql=True, output_buffer=text, starting_rev=plan.revision)
    with context.begin_transaction():
        context.run_migrations(step=Step(context, schema, plan.users_in, commits=True))
    return text.getvalue()


def _plan(connection: Connection, schema: str | None) -> _Plan:
    catalogue, version = _look(connection, schema)
    state = state_of(catalogue, version)
    old = None if version else _revision_in_host_table(connection, schema, catalogue)
    if version is None and old is None and catalogue.tables:
        state = SchemaState(standing=Standing.INCOMPLETE, names=(VERSION_TABLE,))
    if state.standing is not Standing.BEHIND and not state.is_usable:
        finding = health.schema(state)
        raise SchemaRefused(f"{finding.words}: {finding.advice}")
    makes_schema = schema is not None and not catalogue.target_exists
    revision = version or old
    return _Plan(
        state, revision, catalogue.users_in, moves=old is not None, makes_schema=makes_schema
    )


def _state(connection: Connection, schema: str | None) -> SchemaState:
    return state_of(*_look(connection, schema))


def _look(connection: Connection, schema: str | None) -> tuple[Catalogue, str | None]:
    catalogue = read_catalogue(connection.exec_driver_sql(catalogue_query(schema)).mappings())
    if not may_read_version(catalogue):
        return catalogue, None
    return catalogue, connection.exec_driver_sql(qualified(VERSION, schema)).scalar()


def _revision_in_host_table(
    connection: Connection, schema: str | None, catalogue: Catalogue
) -> str | None:
    """Our revision in `alembic_version`, if our tables are those of that revision.

    The number alone could be a revision of the host's.
    """
    if HOST_VERSION_TABLE not in catalogue.relations or catalogue.lacking[HOST_VERSION_TABLE]:
        return None
    statement = qualified(f"select version_num from our.{HOST_VERSION_TABLE}", schema)  # noqa: S608
    revisions = set(connection.exec_driver_sql(statement).scalars())
    ours = [
        script.revision
        for script in _scripts().walk_revisions()
        if script.revision in revisions and script.revision <= _LAST_IN_HOST_TABLE
    ]
    return ours[0] if len(ours) == 1 and _had(ours[0], catalogue) else None


def _had(revision: str, catalogue: Catalogue) -> bool:
    tables = {name for name, relation in RELATIONS.items() if relation.since <= revision}
    return catalogue.tables == tables and (revision >= "0007") == (
        "email_addresses" in catalogue.relations["users"]
    )


def _preparing(plan: _Plan, schema: str | None) -> list[str]:
    statements = [f'create schema "{schema}"'] if plan.makes_schema else []
    if not plan.moves:
        return statements
    # If ours was the only row of that table, an older release of ours had created it.
    moving = f"""
create table our.{VERSION_TABLE} (
    version_num varchar(32) not null constraint {VERSION_TABLE}_pkc primary key
)
~
insert into our.{VERSION_TABLE} values ('{plan.revision}')
~
delete from our.{HOST_VERSION_TABLE} where version_num = '{plan.revision}'
~
do $$ begin if not exists (select from our.{HOST_VERSION_TABLE})
then drop table our.{HOST_VERSION_TABLE}; end if; end $$
"""  # noqa: S608
    return statements + [qualified(one.strip(), schema) for one in moving.split("~")]


def _context(
    schema: str | None,
    revision: str,
    *,
    connection: Connection | None = None,
    back: bool = False,
    **options: Any,
) -> MigrationContext:
    scripts = _scripts()
    # Private, although Alembic's documentation of `EnvironmentContext` says to call them.
    steps = scripts._downgrade_revs if back else scripts._upgrade_revs  # noqa: SLF001
    return MigrationContext.configure(
        connection,
        dialect_name="postgresql",
        opts={
            "script": scripts,
            "fn": lambda current, _: steps(revision, current),
            "version_table": VERSION_TABLE,
            "version_table_schema": schema,
            "transaction_per_migration": True,
            **options,
        },
    )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))
