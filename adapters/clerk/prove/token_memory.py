"""A cache of verified tokens: verifying one again gives the same result until it expires."""

import time
from collections.abc import Callable

from cachetools import FIFOCache

from domain.ports import Session


class TokenMemory:
    """Sessions by a digest of their token, so that no token is kept. At most `size` of them.

    An entry is valid until its token expires, `leeway` included, and for at most `seconds`, so that
    signing keys are checked again now and then. All entries are dropped when the keys change.
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
        self._seconds = seconds
        self._clock = clock
        self._version = 0
        self._entries: FIFOCache[bytes, tuple[Session, float, float]] = FIFOCache(size)

    def recall(self, digest: bytes, version: int) -> Session | None:
        """The session of a token verified under this version of the keys, unless it has expired."""
        entry = self._entries.get(digest)
        if entry is None or version != self._version:
            return None
        session, expires_at, dropped_at = entry
        # Both clocks, because a monotonic one may stop while the machine sleeps.
        if expires_at <= time.time() or dropped_at <= self._clock():
            return None
        return session

    def remember(self, digest: bytes, version: int, session: Session) -> None:
        if version != self._version:
            self._entries.clear()
            self._version = version
        expires_at = session.expires_at.timestamp() + self._leeway
        self._entries[digest] = (session, expires_at, self._clock() + self._seconds)
