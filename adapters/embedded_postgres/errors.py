class EmbeddedPostgresUnavailable(Exception):
    """The embedded server cannot be started. The message says what to install, set or stop."""
