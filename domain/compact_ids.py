"""A set of very many ids in little memory."""

import hashlib
import secrets
from array import array
from bisect import bisect_left


class CompactIds:
    """A set of ids at eight bytes each: 800 kB for 100,000.

    Two ids may share a key, in about one of a billion sets of 100,000. Then one of them counts as
    present. Every set has a salt of its own, so the next set does not repeat that.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._keys = array("Q")
        self._in_order = True

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, one: str) -> None:
        self._keys.append(self._key(one))
        self._in_order = False

    def __contains__(self, one: str) -> bool:
        if not self._in_order:
            self._keys = array("Q", sorted(self._keys))
            self._in_order = True
        key = self._key(one)
        place = bisect_left(self._keys, key)
        return place < len(self._keys) and self._keys[place] == key

    def _key(self, one: str) -> int:
        digest = hashlib.blake2b(one.encode(), digest_size=8, salt=self._salt).digest()
        return int.from_bytes(digest, "big")
