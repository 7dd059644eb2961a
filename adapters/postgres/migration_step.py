"""What the functions of a migration are given: they run statements through it."""

from textwrap import dedent

from alembic.runtime.migration import MigrationContext

from adapters.postgres.session import qualified


class Step:
    """Runs the statements of one migration, or writes them down for `migrate --sql`.

    A statement names our tables as `our.users`. `commits` is false in a transaction of the host's,
    which must not be committed in between.
    """

    def __init__(self, context: MigrationContext, schema: str | None, *, commits: bool) -> None:
        self._context = context
        self._schema = schema
        self._commits = commits

    def __call__(self, statement: str) -> None:
        self._context.execute(qualified(dedent(statement).strip(), self._schema))

    def apart(self, *statements: str) -> None:
        """Each in a transaction of its own, so that no lock is held for long.

        An index can be built `concurrently` in no other way. In a transaction of the host's that
        word is left out, and the locks are held until the host commits.
        """
        if not self._commits:
            for statement in statements:
                self(statement.replace(" concurrently", ""))
            return
        with self._context.autocommit_block():
            for statement in statements:
                self(statement)
