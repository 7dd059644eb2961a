"""The named errors, of `domain/errors.py` and of adapters."""

from domain.errors import SyncError


def every(kind: type[SyncError] = SyncError) -> list[type[SyncError]]:
    """Its subclasses, theirs, and so on."""
    return [one for direct in kind.__subclasses__() for one in (direct, *every(direct))]


def every_of_the_domain() -> list[type[SyncError]]:
    return [kind for kind in every() if kind.__module__ == SyncError.__module__]
