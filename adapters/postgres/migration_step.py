"""The parameter of every migration's functions, which runs their statements."""

from textwrap import dedent

from alembic.runtime.migration import MigrationContext

from adapters.postgres.session import qualified


class Step:
    """Runs the statements of one migration, or prints them for `migrate --sql`.

    A statement names our tables as `our.users`. `users_in` is the schema where that table was
    before the first step; None if it was not there. `commits` is false inside a host's transaction,
    which a migration must not commit.
    """

    def __init__(
        self,
        context: MigrationContext,
        schema: str | None,
        users_in: str | None = None,
        *,
        commits: bool,
    ) -> None:
        self._context = context
        self._schema = schema
        self._users_in = users_in
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

    def index(self, name: str, on: str) -> None:
        """Build an index of `users` apart. `on` is what follows the word in SQL."""
        # An interrupted concurrent build has left an invalid index, if the table was there.
        if self._users_in:
            self.drop_index(name)
        self.apart(f"create index concurrently {name} on {on}")

    def drop_index(self, name: str) -> None:
        """Drop an index of `users` apart, if it is there.

        Its schema is named: the search path may lead to an index of the host's own `users`.
        """
        schema = self._users_in or self._schema
        self.apart(qualified(f"drop index concurrently if exists our.{name}", schema))
