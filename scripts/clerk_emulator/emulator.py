"""A Clerk instance with its HTTP face."""

from functools import cached_property

from starlette.types import ASGIApp

from scripts.clerk_emulator.app import build_app
from scripts.clerk_emulator.instance import ClerkInstance


class ClerkEmulator(ClerkInstance):
    """In process: `create_user`, `session_token`, `faults`, `sender`, …; over HTTP: `app`."""

    @cached_property
    def app(self) -> ASGIApp:
        return build_app(self)
