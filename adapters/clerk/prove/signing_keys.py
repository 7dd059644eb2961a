"""The keys that verify session tokens: a pinned one, or Clerk's JWKS, cached and refreshed.

Clerk's `kid` is the instance id, so a rotated key keeps its `kid`: a bad signature may mean a new
key. Anybody can send an unknown `kid` or a bad signature, so these cause at most one fetch per
cooldown, and do not delay tokens signed with known keys.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from adapters.clerk.http import HttpClient, UnusableAnswer, bounded_request
from adapters.clerk.prove.key_set import read_key_set, read_pem
from adapters.clerk.translate.json import Unreadable
from domain.cancelling import cancel_all
from domain.errors import InvalidSession, SigningKeysUnavailable

FRESH_FOR = 300.0
STALE_FOR = 3600.0
COOLDOWN = 30.0
RETRY_AFTER = 1.0
"""Seconds: see `JwksKeys`."""

MAX_BYTES = 64 * 1024
MAX_KEYS = 64


class SigningKeys(Protocol):
    """The source of the keys for `ClerkSessionVerifier`."""

    @property
    def loaded(self) -> bool:
        """Whether there are keys to check tokens with."""
        ...

    @property
    def age(self) -> float:
        """Seconds since they were fetched."""
        ...

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the keys, as far as they are known: a pinned key has none."""
        ...

    @property
    def in_doubt(self) -> bool:
        """Whether the last set of keys is still to be confirmed."""
        ...

    @property
    def version(self) -> int:
        """Changes whenever the keys change: tokens verified before are then verified again."""
        ...

    async def key(self, unverified_kid: str | None) -> RSAPublicKey:
        """The key with that id. Raises `InvalidSession` or `SigningKeysUnavailable`."""
        ...

    async def refreshed_key(
        self, unverified_kid: str | None, rejected: RSAPublicKey
    ) -> RSAPublicKey | None:
        """A new key with that id, after a signature did not match `rejected`; None if the same."""
        ...

    async def load(self) -> None:
        """Fetch the keys. A failure shows in `loaded`; nothing is raised."""
        ...

    async def close(self) -> None:
        """Cancel a fetch in the background."""
        ...


class PinnedKey(SigningKeys):
    """Clerk's "JWKS public key" (`CLERK_JWT_KEY`): no network, and the `kid` is ignored.

    Raises `ValueError` unless it is the PEM of an RSA public key that `key_set` takes.
    """

    def __init__(self, pem: str) -> None:
        self._key = read_pem(pem)

    @property
    def loaded(self) -> bool:
        return True

    @property
    def ids(self) -> frozenset[str]:
        return frozenset()

    @property
    def in_doubt(self) -> bool:
        return False

    @property
    def age(self) -> float:
        return 0.0

    @property
    def version(self) -> int:
        return 0

    async def key(self, unverified_kid: str | None) -> RSAPublicKey:  # noqa: ARG002
        return self._key

    async def refreshed_key(
        self,
        unverified_kid: str | None,  # noqa: ARG002
        rejected: RSAPublicKey,  # noqa: ARG002
    ) -> RSAPublicKey | None:
        return None

    async def load(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""


class JwksKeys(SigningKeys):
    """Clerk's public keys at `url`, fetched with `client`. Times in seconds.

    Keys older than `FRESH_FOR` are used while a fetch runs in the background; keys older than
    `STALE_FOR` are not used. After a fetch, failed or not, there is none for `COOLDOWN`, or for
    `RETRY_AFTER` if there are no usable keys. `clock` counts seconds and never goes back.

    A set that shares no key with the last one is doubted: it may be a wrong answer, or Clerk may
    have rotated its only key. The keys of both are good until another fetch confirms or refutes it.
    """

    def __init__(
        self,
        client: HttpClient,
        url: str,
        *,
        deadline: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._url = url
        self._deadline = deadline
        self._clock = clock
        self._keys: dict[str, RSAPublicKey] = {}
        self._doubted: dict[str, RSAPublicKey] = {}
        self._version = 0
        self._fetched_at = -math.inf
        self._next_fetch = -math.inf
        self._in_flight: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        return self.age <= STALE_FOR

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    @property
    def in_doubt(self) -> bool:
        return bool(self._doubted)

    @property
    def age(self) -> float:
        return self._clock() - self._fetched_at

    @property
    def version(self) -> int:
        return self._version

    async def key(self, unverified_kid: str | None) -> RSAPublicKey:
        if unverified_kid is None:
            raise InvalidSession("no kid")
        if not self.loaded:
            await self._refreshed()
        elif self.age > FRESH_FOR or self._doubted:
            self._refresh()
        return self._known(unverified_kid) or await self._fetched(unverified_kid)

    async def refreshed_key(
        self, unverified_kid: str | None, rejected: RSAPublicKey
    ) -> RSAPublicKey | None:
        key = self._other_key(unverified_kid, rejected)
        if key is None:
            await self._refreshed()
            key = self._other_key(unverified_kid, rejected)
        return key

    async def load(self) -> None:
        await self._refreshed()

    async def close(self) -> None:
        if self._in_flight is not None:
            await cancel_all([self._in_flight])

    def _known(self, unverified_kid: str) -> RSAPublicKey | None:
        if not self.loaded:
            wait = max(RETRY_AFTER, self._next_fetch - self._clock())
            raise SigningKeysUnavailable("no signing keys", retry_after=wait)
        return self._keys.get(unverified_kid) or self._doubted.get(unverified_kid)

    def _other_key(self, unverified_kid: str | None, rejected: RSAPublicKey) -> RSAPublicKey | None:
        found = (keys.get(unverified_kid or "") for keys in (self._keys, self._doubted))
        return next((key for key in found if key is not None and key != rejected), None)

    async def _fetched(self, unverified_kid: str) -> RSAPublicKey:
        await self._refreshed()
        key = self._known(unverified_kid)
        if key is None:
            raise InvalidSession("unknown kid")
        return key

    async def _refreshed(self) -> None:
        """Wait for the fetch, if one is due or in flight."""
        fetch = self._refresh()
        if fetch is not None:
            # Not `await fetch`: a cancelled caller would cancel it for all others.
            await asyncio.wait([fetch])

    def _refresh(self) -> asyncio.Task[None] | None:
        if self._in_flight is None and self._clock() >= self._next_fetch:
            self._in_flight = asyncio.create_task(self._fetch())
        return self._in_flight

    async def _fetch(self) -> None:
        try:
            # An outage or an empty set must not discard the keys we have.
            if keys := await self._download():
                self._adopt(keys)
        finally:
            pause = COOLDOWN if self.loaded else RETRY_AFTER
            self._next_fetch = self._clock() + pause
            self._in_flight = None

    async def _download(self) -> dict[str, RSAPublicKey] | None:
        try:
            answer = await bounded_request(
                self._client, self._url, seconds=self._deadline, max_bytes=MAX_BYTES
            )
            if answer.status != httpx.codes.OK:
                return None
            return read_key_set(answer.body, max_keys=MAX_KEYS)
        except (TimeoutError, httpx.HTTPError, UnusableAnswer, Unreadable):
            return None

    def _adopt(self, keys: dict[str, RSAPublicKey]) -> None:
        is_news = self.loaded and not _share(keys, self._keys) and not _share(keys, self._doubted)
        self._fetched_at = self._clock()
        if is_news:
            self._doubted = keys
        elif keys != self._keys or self._doubted:
            # What a doubted key has proven is checked again.
            self._keys, self._doubted = keys, {}
            self._version += 1


def _share(one: dict[str, RSAPublicKey], other: dict[str, RSAPublicKey]) -> bool:
    """Whether a key is in both, under whatever id."""
    return any(key == another for key in one.values() for another in other.values())
