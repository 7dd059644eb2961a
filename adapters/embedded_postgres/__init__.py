"""A PostgreSQL server that this process starts and stops: no Docker, no root, no setup."""

from adapters.embedded_postgres.errors import EmbeddedPostgresUnavailable
from adapters.embedded_postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresUnavailable"]
