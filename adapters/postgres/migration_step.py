"""The parameter of every migration's functions, which runs their statements."""

from textwrap import dedent

from alembic.runtime.migration import MigrationContext

from adapters.postgres.session import qualified


class Step:
    """Runs the statements of one migration, or prints them for `migrate --sql`.

    A statement names our tables as `our.users`. `commits` is false inside a host's transaction,
    which a migration must not commit.
    """

    def __init__(self, context: MigrationContext, schema: str | None, *, commits: bool) -> None:
        self._context = context
        self._schema = schema
        self._commits = commits

    def __call__(self, statement: str) -> None:
        self._context.execute(qualified(dedent(statement).strip(), self._schema))

    def apart(self, *statements: str) -> None:
        """Run each statement in its own transaction, so that no lock is held for long.

        An index can be built `concurrently` only in this way. Inside a host's transaction the word
        is removed, and the locks are held until the host commits.
        """
        if not self._commits:
            for statement in statements:
                self(statement.replace(" concurrently", ""))
            return
        with self._context.autocommit_block():
            for statement in statements:
                self(statement)
