"""The body of a request while it arrives."""

from collections.abc import Mapping, MutableMapping
from typing import Any

_BODY = "clerk_user_sync.body"


class Body:
    """The part of a body that has arrived and is not read yet."""

    __slots__ = ("_parts", "is_whole", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0
        self.is_whole = False
        """Whether no more will arrive."""

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)

    def take(self) -> bytes:
        parts, self._parts, self.size = self._parts, [], 0
        return b"".join(parts)


def body_for(scope: MutableMapping[str, Any]) -> Body:
    """A new body, which `whole_body` finds for this request."""
    scope[_BODY] = body = Body()
    return body


def whole_body(scope: Mapping[str, Any]) -> bytes | None:
    """The body of a request, if all of it has arrived; otherwise None, as with another server.

    An endpoint that reads it here need not wait for it, nor set a deadline.
    """
    body = scope.get(_BODY)
    return body.take() if body is not None and body.is_whole else None
