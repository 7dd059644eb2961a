"""Tokens already proven. Checking one again gives the same answer until it expires."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from domain.ports import Session


@dataclass(frozen=True, slots=True)
class _Entry:
    session: Session
    refused_at: float
    forgotten_at: float


class TokenMemory:
    """Bounded, oldest first out. Keyed by a digest of the token, so that no token is kept.

    An entry is good until the token expires, `leeway` included, and for `seconds` at most: the
    signing keys want to be looked at once in a while. All of them go when the keys change.
    `clock` counts seconds and never goes back.
    """

    def __init__(
        self,
        *,
        leeway: float,
        size: int = 10_000,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leeway = leeway
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._version = 0
        self._entries: dict[bytes, _Entry] = {}

    def recall(self, digest: bytes, version: int) -> Session | None:
        """The session of a token proven under this version of the keys, unless it has expired."""
        entry = self._entries.get(digest)
        if entry is None or version != self._version:
            return None
        if entry.refused_at <= time.time() or entry.forgotten_at <= self._clock():
            return None
        return entry.session

    def remember(self, digest: bytes, version: int, session: Session) -> None:
        if version != self._version:
            self._entries.clear()
            self._version = version
        self._entries.pop(digest, None)
        if len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[digest] = _Entry(
            session,
            refused_at=session.expires_at.timestamp() + self._leeway,
            forgotten_at=self._clock() + self._seconds,
        )
