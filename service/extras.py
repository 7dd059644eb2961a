"""Libraries that only some installations need. `pyproject.toml` names them as extras."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """A part was asked for whose libraries are not installed. Its text says how to get them."""


@contextmanager
def extra(name: str, part: str) -> Iterator[None]:
    """For the imports of `part`, which need the extra `name`. Raises `MissingExtra`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in FIRST_PARTY:
            raise
        words = f"{part} needs {error.name}: pip install 'clerk-user-sync[{name}]'"
        raise MissingExtra(words, name=error.name) from None


FIRST_PARTY = ("clerk_user_sync", "domain", "adapters", "service", "scripts", "testing")
"""A module of ours that is missing is a fault, not an extra."""
