"""`python -m service` serves; `python -m service migrate` brings the schema to head; `python -m
service work` delivers changes to handlers, endpoints, a broker and Clerk.

`migrate` needs only the settings of the database. `migrate --sql` prints the SQL that `migrate`
would run, `migrate --sql all` the SQL for an empty database. In the package: `python -m
clerk_user_sync`, or the command `clerk-user-sync`.

Exit codes: 0 done, or stopped by a signal, 64 wrong usage, 69 the store is unreachable, 71 the port
is taken, 78 settings are wrong, the schema cannot be migrated, or a library is not installed; of
`migrate` also 74 its output failed, 130 stopped by Ctrl-C, 141 the reader of its output has gone.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext


def main(arguments: list[str]) -> int:
    """Run the command. Returns the exit code."""
    # Handlers, which only `work` imports, may use what structlog does with rich.
    with nullcontext() if arguments == ["work"] else _importing_without("pygments", "rich"):
        from service.commands import run  # noqa: PLC0415 - the block decides what it imports
    return run(arguments)


@contextmanager
def _importing_without(*libraries: str) -> Iterator[None]:
    """Imports in the block do not find these libraries, as if they were not installed.

    structlog and httpx import them where they are installed, for tracebacks in colour and for a
    command line. The service needs neither, and would take a fifth longer to start, and 5 MB more.
    """
    absent = [library for library in libraries if library not in sys.modules]
    for library in absent:
        # By the import system's reference ("The module cache"), None forbids the import.
        sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for library in absent:
            del sys.modules[library]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
