"""Optional libraries. `pyproject.toml` lists them as extras."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """A library of an extra is not installed. The text says how to install it."""


@contextmanager
def extra(name: str, part: str) -> Iterator[None]:
    """Wrap the imports of `part`, which need the extra `name`. Raises `MissingExtra`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in FIRST_PARTY:
            raise
        words = f"{part} needs {error.name}: pip install 'clerk-user-sync[{name}]'"
        raise MissingExtra(words, name=error.name) from None


FIRST_PARTY = ("clerk_user_sync", "domain", "adapters", "service", "scripts", "testing")
"""If a module of ours is missing, that is a bug and not a missing extra."""
