"""Alembic's way in. `adapters/postgres/migrate.py` hands over the connection."""

from alembic import context

from adapters.postgres.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata
)
context.run_migrations()
