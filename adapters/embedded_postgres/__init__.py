"""A PostgreSQL server that this process starts and stops, without Docker, root or setup."""

from adapters.embedded_postgres.cluster import EmbeddedPostgresUnavailable
from adapters.embedded_postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresUnavailable"]
