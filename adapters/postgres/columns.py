"""The columns of a user, derived from the fields of `domain.user.User`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from domain.user import KEPT_FIELDS, User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserColumn:
    """A column that holds a field of a user. `type` is the name of its type in Postgres.

    `empty` is the SQL value to read in place of null if the field cannot be None: an older release
    leaves null in the columns that it does not know. It is None if the field can be None.
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
"""The columns that hold `KEPT_FIELDS`, by name."""

JSON_COLUMNS = tuple(name for name, column in USER_COLUMNS.items() if column.type == "jsonb")
