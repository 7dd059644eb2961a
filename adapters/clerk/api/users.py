"""Reads users, sessions and roles from Clerk's Backend API, and writes our id there."""

import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.clerk.api.calls import BULK_LIMITS, REQUEST_LIMITS, ClerkCalls, ClerkLimits, Report
from adapters.clerk.api.client import DEVELOPMENT_RATE
from adapters.clerk.api.paging import PAGE_SIZE, NewestFirst, Position
from adapters.clerk.http import Answer, HttpClient
from adapters.clerk.translate.json import Unreadable, read_json
from adapters.clerk.translate.user import read_user
from domain.console import ClerkSessions
from domain.errors import IdentityProviderUnavailable, UserUnreadable
from domain.ports import IdentityProvider, IdentityProviderClock, IdentityWriter, LeftOut, UserPage
from domain.user import User, UserId, parse_user_id

_SESSION_ID = re.compile(r"sess_[A-Za-z0-9]{1,120}")

_UNCOUNTED, _UNCOUNTED_SHARE = 10, 0.01
"""A walk may lack so many users, or that share of all: some are created while it ends."""

_REFUSED = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


class ClerkIdentityProvider(IdentityProvider, IdentityProviderClock, IdentityWriter, ClerkSessions):
    """Reads users and sessions, and writes our id, with a client made by `clerk_client`.

    `max_rate` is in requests per 10 seconds. `report` is called after every HTTP attempt. `clock`
    counts seconds and never goes back.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        max_rate: float = DEVELOPMENT_RATE,
        limits: ClerkLimits = REQUEST_LIMITS,
        bulk_limits: ClerkLimits = BULK_LIMITS,
        report: Report = lambda _operation, _status: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = ClerkCalls(client, max_rate=max_rate, report=report, clock=clock)
        self._limits = limits
        self._bulk_limits = bulk_limits

    def within(self, limits: ClerkLimits) -> "ClerkIdentityProvider":
        """The same with other limits of a call. Both have one quota and one circuit breaker."""
        other = copy(self)
        other._limits = limits  # noqa: SLF001 - of the same class
        return other

    @property
    def answers(self) -> bool:
        """False after repeated failures: until a call succeeds, and at most for a minute."""
        return self._calls.answers

    async def fetch(self, user_id: UserId) -> User | None:
        """The user. Also raises `ValueError` for an id that is not safe in a path."""
        path = f"/users/{parse_user_id(user_id)}"
        answer = await self._calls.get("fetch", path, {}, self._limits)
        if _says_not_found(answer):
            return None
        fields = _json(answer)
        if not isinstance(fields, dict) or fields.get("id") != user_id:
            raise IdentityProviderUnavailable("the answer is not the user asked for")
        try:
            return _user(fields, answer)
        except Unreadable as unreadable:
            raise UserUnreadable(unreadable.reason) from unreadable

    async def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[UserPage]:
        """All users, page by page, and one empty page of an instance without users. Unreadable
        users are listed in `left_out`.

        A short page need not be the last one: a proxy may cap `limit`. So the number of users is
        compared with Clerk's count when a walk ends. Also raises `IdentityProviderUnavailable` if
        it falls short. Deletions meanwhile lower the count, so a page as long as the one before it
        need not be the last either. Users who sign up meanwhile do not prolong a walk for ever.
        """
        position = Position(cursor=starting_after)
        is_whole, shown, began = starting_after is None, None, None
        before, looks_again = PAGE_SIZE, False
        while True:
            answer = await self._list("+created_at", PAGE_SIZE, position.params)
            if answer.status in _REFUSED and position.params:
                position = position.otherwise()
                continue
            entries = _entries(answer)
            ids = _ids(entries)
            is_short = len(entries) < PAGE_SIZE
            began = began or answer.date
            if not entries or (is_short and ids == shown):
                total = await self.count() if is_whole else 0
                if not _lacks_many(position.seen, total):
                    if is_whole and not position.seen:
                        yield _page([], answer)
                    return
                if looks_again:
                    raise IdentityProviderUnavailable(
                        f"its list ended after {position.seen:,} of {total:,} users"
                    )
                looks_again = True  # they may have been created between the list and the count
                continue
            looks_again = False
            yield _page(entries, answer)
            if is_short and not ids:
                return
            is_new = _are_new(entries, began)
            if is_short and (is_new or len(entries) < before):
                lacking = await self.count() - position.seen - len(entries) if is_whole else 1
                if lacking <= 0 or (is_new and lacking < PAGE_SIZE):
                    return
            position, shown, before = position.after(len(entries), ids), ids, len(entries)

    async def newest_first(self) -> AsyncIterator[UserPage]:
        """All users, the last updated first.

        By offset, because Clerk's cursor requires creation order (OpenAPI, `GetUserList`).
        """
        walk = NewestFirst()
        while not walk.has_ended:
            answer = await self._list("-updated_at", walk.limit, {"offset": walk.offset})
            entries = _entries(answer)
            new = [entry for entry in entries if walk.is_new(_id(entry))]
            walk.advance(len(entries), _ids(entries))
            if new:
                yield _page(new, answer)

    async def instance_ids(self) -> frozenset[str]:
        """The ids of the keys: Clerk's `kid` is the instance id (Backend API, `GetJWKS`)."""
        answer = await self._calls.get("jwks", "/jwks", {}, self._limits)
        fields = _json(answer)
        keys = fields.get("keys") if isinstance(fields, dict) else None
        if not isinstance(keys, list):
            raise IdentityProviderUnavailable("the answer is not a set of keys")
        ids = (key.get("kid") for key in keys if isinstance(key, dict))
        return frozenset(kid for kid in ids if isinstance(kid, str))

    async def count(self) -> int:
        answer = await self._calls.get("count", "/users/count", {}, self._limits)
        fields = _json(answer)
        total = fields.get("total_count") if isinstance(fields, dict) else None
        if type(total) is not int:
            raise IdentityProviderUnavailable("the answer is not a count")
        return total

    async def now(self) -> datetime | None:
        answer = await self._calls.get("count", "/users/count", {}, self._limits)
        if answer.status != httpx.codes.OK:
            raise IdentityProviderUnavailable(f"status {answer.status}")
        return answer.date

    async def write_our_id(self, user_id: UserId, our_id: str, key: str | None) -> bool:
        """Sources: OpenAPI, `UpdateUser` and `UpdateUserMetadata`, which is a deep merge."""
        path = f"/users/{parse_user_id(user_id)}"
        json: dict[str, object] = {"external_id": our_id}
        if key is not None:
            path, json = f"{path}/metadata", {"public_metadata": {key: our_id}}
        else:
            at_clerk = await self.fetch(user_id)  # our row may not have its latest update yet
            if at_clerk is None or at_clerk.external_id is not None:
                return at_clerk is not None
        answer = await self._calls.patch("update", path, json, self._bulk_limits)
        if _says_not_found(answer):
            return False
        if answer.status != httpx.codes.OK:
            raise IdentityProviderUnavailable(f"status {answer.status}")
        return True

    async def is_active(self, session_id: str, user_id: UserId) -> bool:
        if not _SESSION_ID.fullmatch(session_id):  # it must not reach a path
            return False
        answer = await self._calls.get("session", f"/sessions/{session_id}", {}, self._limits)
        if _says_not_found(answer):
            return False
        fields = _json(answer)
        if not isinstance(fields, dict) or fields.get("id") != session_id:
            raise IdentityProviderUnavailable("the answer is not the session asked for")
        return (fields.get("status"), fields.get("user_id")) == ("active", user_id)

    async def has_role(self, user_id: UserId, organisation: str, role: str) -> bool:
        """Of the first 500 organisations of the user, which is Clerk's own maximum of a page."""
        path = f"/users/{parse_user_id(user_id)}/organization_memberships"
        answer = await self._calls.get("memberships", path, {"limit": PAGE_SIZE}, self._limits)
        if _says_not_found(answer):
            return False
        fields = _json(answer)
        entries = fields.get("data") if isinstance(fields, dict) else None
        if not isinstance(entries, list):
            raise IdentityProviderUnavailable("the answer is not a list of memberships")
        return any(_is_membership(entry, organisation, role) for entry in entries)

    async def _list(self, order_by: str, limit: int, position: Mapping[str, str | int]) -> Answer:
        params = {"limit": limit, "order_by": order_by, **position}
        return await self._calls.get("list", "/users", params, self._bulk_limits)


def _is_membership(entry: object, organisation: str, role: str) -> bool:
    """OpenAPI `OrganizationMembership`: the role has `org:` before its name."""
    if not isinstance(entry, dict) or not isinstance(entry.get("organization"), dict):
        return False
    named = str(entry.get("role")).removeprefix("org:")
    return (entry["organization"].get("id"), named) == (organisation, role)


def _lacks_many(seen: int, total: int) -> bool:
    """Whether a walk met far fewer users than Clerk counts."""
    return total - seen > max(_UNCOUNTED, total * _UNCOUNTED_SHARE)


def _are_new(entries: Sequence[object], began: datetime | None) -> bool:
    """Whether these users, in creation order, were created after a walk began.

    Then the walk has met everybody who was there when it began. HTTP's dates are whole seconds.
    """
    if began is None:
        return False
    since = (began + timedelta(seconds=1)).timestamp() * 1000
    times = [entry.get("created_at") if isinstance(entry, dict) else None for entry in entries]
    return all(isinstance(at, int) and at >= since for at in times)


def _page(entries: Sequence[object], answer: Answer) -> UserPage:
    users, left_out = [], []
    for entry in entries:
        try:
            users.append(_user(entry, answer))
        except Unreadable as unreadable:
            left_out.append(LeftOut(clerk_id=_id(entry) or "?", reason=unreadable.reason))
    read_at = _began(answer) or max((user.clerk_updated_at for user in users), default=None)
    return UserPage(users=users, left_out=left_out, read_at=read_at)


def _user(data: object, answer: Answer) -> User:
    """The user, observed no later than when Clerk answered, by its clock; not before its update."""
    user = read_user(
        data,
        observed_at=_began(answer),
        # Our clock only bounds `updated_at` here; it never becomes part of a version.
        not_after=answer.date or datetime.now(UTC),
    )
    return replace(user, observed_at=max(user.observed_at, user.clerk_updated_at))


def _began(answer: Answer) -> datetime | None:
    """A time before Clerk started to answer, by its clock."""
    if answer.date is None:
        return None
    return answer.date - timedelta(milliseconds=math.ceil(answer.seconds * 1000))


def _says_not_found(answer: Answer) -> bool:
    """Whether it is Clerk's 404: one of a proxy says nothing about the user."""
    if answer.status != httpx.codes.NOT_FOUND:
        return False
    fields = _parsed(answer)
    errors = fields.get("errors") if isinstance(fields, dict) else None
    return isinstance(errors, list) and any(
        isinstance(error, dict) and error.get("code") == "resource_not_found" for error in errors
    )


def _entries(answer: Answer) -> list[object]:
    entries = _json(answer)
    if not isinstance(entries, list):
        raise IdentityProviderUnavailable("the answer is not a list of users")
    return entries


def _json(answer: Answer) -> Any:
    if answer.status != httpx.codes.OK:
        raise IdentityProviderUnavailable(f"status {answer.status}")
    return _parsed(answer)


def _parsed(answer: Answer) -> Any:
    try:
        return read_json(answer.body)
    except Unreadable as unreadable:
        raise IdentityProviderUnavailable("the answer is not JSON") from unreadable


def _ids(entries: Sequence[object]) -> list[UserId]:
    return [user_id for entry in entries if (user_id := _id(entry)) is not None]


def _id(entry: object) -> UserId | None:
    try:
        return parse_user_id(entry.get("id") if isinstance(entry, dict) else None)
    except ValueError:
        return None
