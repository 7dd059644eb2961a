"""`GET /v1/users` and `/v1/users/count`: filters, order and paging (OpenAPI `GetUserList`)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from scripts.clerk_emulator import errors
from scripts.clerk_emulator.user import User
from scripts.clerk_emulator.users import TimeOrder, Users

Keep = Callable[[User], bool]

MAX_LIMIT = 500
MAX_VALUES = 100
DEFAULT_ORDER = "-created_at"
SIGNS = ("+", "-", " ")
"""The last is a plus that was not percent-encoded."""


def _first_text(values: list[str]) -> str:
    return values[0] if values else ""


def _names(user: User) -> list[str]:
    return [name for name in (user.first_name, user.last_name) if name]


def _everything_searched(user: User) -> list[str]:
    values = [one.value for one in user.identifications]
    return [user.id, *values, *_names(user), *([user.username] if user.username else [])]


_ORDERS: dict[str, Callable[[User], Any]] = {
    "created_at": lambda user: user.created_at,
    "updated_at": lambda user: user.updated_at,
    "email_address": lambda user: _first_text(user.values("email_address")),
    "phone_number": lambda user: _first_text(user.values("phone_number")),
    "web3wallet": lambda user: _first_text(user.values("web3_wallet")),
    "first_name": lambda user: user.first_name or "",
    "last_name": lambda user: user.last_name or "",
    "username": lambda user: user.username or "",
    "last_active_at": lambda user: user.last_active_at or 0,
    "last_sign_in_at": lambda user: user.last_sign_in_at or 0,
}
_ANY_OF: dict[str, Callable[[User], list[str]]] = {
    "email_address": lambda user: user.values("email_address"),
    "phone_number": lambda user: user.values("phone_number"),
    "web3_wallet": lambda user: user.values("web3_wallet"),
    "username": lambda user: [user.username] if user.username else [],
}
_WITH_OR_WITHOUT: dict[str, Callable[[User], str | None]] = {
    "user_id": lambda user: user.id,
    "external_id": lambda user: user.external_id,
}
_PARTIAL: dict[str, Callable[[User], list[str]]] = {
    "query": _everything_searched,
    "email_address_query": lambda user: user.values("email_address"),
    "phone_number_query": lambda user: user.values("phone_number"),
    "username_query": lambda user: [user.username] if user.username else [],
    "name_query": _names,
}
_TIMES: dict[str, Callable[[User], int | None]] = {
    "created_at": lambda user: user.created_at,
    "last_active_at": lambda user: user.last_active_at,
    "last_sign_in_at": lambda user: user.last_sign_in_at,
}
_NOT_EMULATED = ("organization_id", "provider", "provider_user_id", "last_active_at_since")


@dataclass(frozen=True, kw_only=True)
class Page:
    limit: int
    offset: int
    order: str
    newest_first: bool
    after: User | None


def list_users(users: Users, query: QueryParams, *, cursors: bool = True) -> list[User]:
    """One page. `ClerkApiError` 422 for a parameter Clerk refuses.

    `cursors=False` refuses `starting_after` as unknown.
    """
    if not cursors and "starting_after" in query:
        raise errors.param_unknown("starting_after")
    page = _page(users, query)
    filters = _filters(query)
    index = _index(users, page.order)
    if index is None or filters:
        return _sorted_page(_candidates(users, query), filters, page)
    return _indexed_page(users, index, page)


def count_users(users: Users, query: QueryParams) -> int:
    filters = _filters(query)
    if not filters:
        return len(users)
    return sum(1 for _ in _kept(_candidates(users, query), filters))


def _page(users: Users, query: QueryParams) -> Page:
    order = query.getlist("order_by")[0] if "order_by" in query else DEFAULT_ORDER
    name = order[1:] if order[:1] in SIGNS else order
    if name not in _ORDERS:
        raise errors.param_invalid("order_by", order)
    offset = _number(query, "offset", 0, lowest=0)
    return Page(
        limit=_number(query, "limit", 10, lowest=1, highest=MAX_LIMIT),
        offset=offset,
        order=name,
        newest_first=order.startswith("-"),
        after=_cursor(users, query, name, offset),
    )


def _cursor(users: Users, query: QueryParams, order: str, offset: int) -> User | None:
    """OpenAPI: requires ordering by `created_at` and no offset; anything else is a 422.

    What Clerk says to the id of a user deleted meanwhile is not documented: here a 422 too.
    """
    user_id = query.get("starting_after")
    if user_id is None:
        return None
    if order != "created_at" or offset:
        raise errors.param_invalid("starting_after", user_id)
    user = users.find(user_id)
    if user is None:
        raise errors.param_invalid("starting_after", user_id)
    return user


def _number(
    query: QueryParams, name: str, default: int, *, lowest: int, highest: int | None = None
) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise errors.param_invalid(name, text)
    number = int(text)
    if number < lowest or (highest is not None and number > highest):
        raise errors.param_invalid(name, text)
    return number


def _index(users: Users, order: str) -> TimeOrder | None:
    return {"created_at": users.by_created_at, "updated_at": users.by_updated_at}.get(order)


def _indexed_page(users: Users, index: TimeOrder, page: Page) -> list[User]:
    after = (page.after.created_at, page.after.id) if page.after else None
    ids = index.page(
        newest_first=page.newest_first, skip=page.offset, limit=page.limit, after=after
    )
    return [users.get(user_id) for user_id in ids]


def _sorted_page(candidates: Iterable[User], filters: list[Keep], page: Page) -> list[User]:
    value = _ORDERS[page.order]

    def place(user: User) -> tuple[Any, str]:
        return value(user), user.id

    def follows(user: User) -> bool:
        if page.after is None:
            return True
        here, last = place(user), place(page.after)
        return here < last if page.newest_first else here > last

    kept = (user for user in _kept(candidates, filters) if follows(user))
    ordered = sorted(kept, key=place, reverse=page.newest_first)
    return ordered[page.offset : page.offset + page.limit]


def _candidates(users: Users, query: QueryParams) -> Iterable[User]:
    """Everybody, or only those asked for by id."""
    wanted, _ = _signed(query.getlist("user_id"))
    if not wanted:
        return users
    return [user for user_id in wanted if (user := users.find(user_id))]


def _kept(candidates: Iterable[User], filters: list[Keep]) -> Iterator[User]:
    return (user for user in candidates if all(keep(user) for keep in filters))


def _filters(query: QueryParams) -> list[Keep]:
    for name in _NOT_EMULATED:
        if name in query:
            raise errors.param_unknown(name)
    banned = [_banned(query["banned"])] if "banned" in query else []
    return [
        *banned,
        *(_any_of(name, query) for name in _ANY_OF if name in query),
        *(_with_or_without(name, query) for name in _WITH_OR_WITHOUT if name in query),
        *(_partial(name, query[name]) for name in _PARTIAL if name in query),
        *(_before(name, query) for name in _TIMES if f"{name}_before" in query),
        *(_after(name, query) for name in _TIMES if f"{name}_after" in query),
    ]


def _any_of(name: str, query: QueryParams) -> Keep:
    wanted = {value.lower() for value in _values(name, query)}
    read = _ANY_OF[name]
    return lambda user: any(value.lower() in wanted for value in read(user))


def _with_or_without(name: str, query: QueryParams) -> Keep:
    wanted, unwanted = _signed(_values(name, query))
    read = _WITH_OR_WITHOUT[name]
    return lambda user: (not wanted or read(user) in wanted) and read(user) not in unwanted


def _signed(values: list[str]) -> tuple[dict[str, None], set[str]]:
    """`+id` and `id` include, `-id` excludes. The order is kept."""
    unwanted = {value[1:] for value in values if value.startswith("-")}
    wanted = {value.lstrip("+ "): None for value in values if not value.startswith("-")}
    return wanted, unwanted


def _values(name: str, query: QueryParams) -> list[str]:
    values = query.getlist(name)
    if len(values) > MAX_VALUES:
        raise errors.too_many_values(name)
    return values


def _partial(name: str, text: str) -> Keep:
    sought = text.lower()
    read = _PARTIAL[name]
    return lambda user: any(sought in value.lower() for value in read(user))


def _before(name: str, query: QueryParams) -> Keep:
    limit = _number(query, f"{name}_before", 0, lowest=0)
    read = _TIMES[name]
    return lambda user: (time := read(user)) is not None and time < limit


def _after(name: str, query: QueryParams) -> Keep:
    limit = _number(query, f"{name}_after", 0, lowest=0)
    read = _TIMES[name]
    return lambda user: (time := read(user)) is not None and time > limit


def _banned(text: str) -> Keep:
    if text not in {"true", "false"}:
        raise errors.param_invalid("banned", text)
    return lambda user: user.banned == (text == "true")
