"""Keeps your own Postgres `users` table in agreement with Clerk.

    from clerk_user_sync import CurrentUser, mount, user_sync

In the wheel this file is `clerk_user_sync/__init__.py`. A name is imported on first use (PEP 562);
`service/surface.py` lists the names.
"""

from collections.abc import Mapping
from importlib import import_module

PLACES: Mapping[str, tuple[str, str]] = {}  # the build fills this in, from service/surface.py


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - on first use, as all names

        return version("clerk-user-sync")
    if name not in PLACES:
        raise AttributeError(f"{__name__} has no {name!r}")
    module, name_there = PLACES[name]
    return getattr(import_module(f".{module}", __name__), name_there)


def __dir__() -> list[str]:
    return [*PLACES, "__version__"]
