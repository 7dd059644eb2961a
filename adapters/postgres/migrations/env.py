"""Alembic's entry point. `adapters/postgres/migrate.py` hands over the connection."""

from alembic import context

from adapters.postgres.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
