"""The columns of a user, derived from the fields of `domain.user.User`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from domain.user import KEPT_FIELDS, User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserColumn:
    """A column that holds a field of a user. `type` is Postgres' name for its type.

    `empty` is what null reads as, in SQL, where the field cannot be None: a live row that an older
    release wrote has null in the columns that the older release did not know.
    """

    type: str
    empty: str | None


_TYPES: Mapping[object, tuple[str, str]] = {
    str: ("text", "''"),
    bool: ("boolean", "false"),
    datetime: ("timestamptz", "null"),
    tuple: ("jsonb", "'[]'"),
    Mapping: ("jsonb", "'{}'"),
}


def _column(hint: Any) -> UserColumn:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    [kind] = [kind for kind in kinds if kind is not NoneType]
    type_, empty = _TYPES[get_origin(kind) or kind]
    return UserColumn(type=type_, empty=None if NoneType in kinds else empty)


_HINTS = get_type_hints(User)

USER_COLUMNS: Mapping[str, UserColumn] = {name: _column(_HINTS[name]) for name in KEPT_FIELDS}
"""Every column that holds what is kept of a user, by its name."""

JSON_COLUMNS = tuple(name for name, column in USER_COLUMNS.items() if column.type == "jsonb")
