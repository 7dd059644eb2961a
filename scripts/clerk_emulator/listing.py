"""`GET /v1/users` and `/v1/users/count`: filters, order and pages (OpenAPI `GetUserList`).

Clerk has more filters and orders than these. A parameter that is not emulated is a 422, because
a filter without effect would return the wrong users.
"""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from scripts.clerk_emulator import errors
from scripts.clerk_emulator.user import User
from scripts.clerk_emulator.users import Users

MAX_LIMIT = 500
MAX_VALUES = 100
DEFAULT_ORDER = "-created_at"
ORDERS = frozenset({"created_at", "updated_at"})
PARAMETERS = frozenset(
    {"limit", "offset", "order_by", "starting_after", "user_id", "email_address"}
)


@dataclass(frozen=True, kw_only=True)
class _Page:
    limit: int
    offset: int
    order: str
    newest_first: bool
    after: User | None


def list_users(users: Users, query: QueryParams, *, cursors: bool = True) -> list[User]:
    """One page. Raises `ClerkApiError` 422 for a parameter that Clerk refuses.

    `cursors=False` refuses `starting_after` as an unknown parameter.
    """
    if not cursors and "starting_after" in query:
        raise errors.param_unknown("starting_after")
    keep, page = _filter(query), _page(users, query)
    index = users.by_created_at if page.order == "created_at" else users.by_updated_at
    after = (page.after.created_at, page.after.id) if page.after else None
    # With a filter the page is cut after it, so the index gives all users that follow `after`.
    ids = index.page(
        newest_first=page.newest_first,
        skip=0 if keep else page.offset,
        limit=len(users) if keep else page.limit,
        after=after,
    )
    found = [users.get(user_id) for user_id in ids]
    if keep is None:
        return found
    return [user for user in found if keep(user)][page.offset : page.offset + page.limit]


def count_users(users: Users, query: QueryParams) -> int:
    keep = _filter(query)
    return len(users) if keep is None else sum(keep(user) for user in users)


def _page(users: Users, query: QueryParams) -> _Page:
    # Of several orders Clerk uses the first. A "+" that was not percent-encoded arrives as " ".
    order = query.getlist("order_by")[0] if "order_by" in query else DEFAULT_ORDER
    name = order[1:] if order[:1] in {"+", "-", " "} else order
    if name not in ORDERS:
        raise errors.param_invalid("order_by", order)
    offset = _number(query, "offset", default=0, lowest=0)
    return _Page(
        limit=_number(query, "limit", default=10, lowest=1, highest=MAX_LIMIT),
        offset=offset,
        order=name,
        newest_first=order.startswith("-"),
        after=_cursor(users, query, name, offset),
    )


def _cursor(users: Users, query: QueryParams, order: str, offset: int) -> User | None:
    """OpenAPI: it requires the order `created_at` and no offset; anything else is a 422.

    Clerk's answer to the id of a deleted user is not documented. Here it is a 422 too.
    """
    user_id = query.get("starting_after")
    if user_id is None:
        return None
    user = users.find(user_id)
    if user is None or order != "created_at" or offset:
        raise errors.param_invalid("starting_after", user_id)
    return user


def _number(
    query: QueryParams, name: str, *, default: int, lowest: int, highest: int | None = None
) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise errors.param_invalid(name, text)
    number = int(text)
    if number < lowest or (highest is not None and number > highest):
        raise errors.param_invalid(name, text)
    return number


def _filter(query: QueryParams) -> Callable[[User], bool] | None:
    """Whether a user is wanted; None if every user is. Checks the names of all parameters."""
    for name in query:
        if name not in PARAMETERS:
            raise errors.param_unknown(name)
    ids, addresses = _values(query, "user_id"), _values(query, "email_address")
    if not ids and not addresses:
        return None
    # OpenAPI: an id with "+" or without a sign is included, one with "-" is excluded.
    excluded = {value[1:] for value in ids if value.startswith("-")}
    included = {value.lstrip("+ ") for value in ids if not value.startswith("-")}
    wanted = {address.lower() for address in addresses}

    def keep(user: User) -> bool:
        has_id = (not included or user.id in included) and user.id not in excluded
        return has_id and (
            not wanted or any(one.lower() in wanted for one in user.values("email_address"))
        )

    return keep


def _values(query: QueryParams, name: str) -> list[str]:
    values = query.getlist(name)
    if len(values) > MAX_VALUES:
        raise errors.too_many_values(name)
    return values
