"""The parameters of `POST /v1/users` and `PATCH /v1/users/{id}` (OpenAPI `CreateUser`,
`UpdateUser`).

Passwords, their digests and second factors are accepted and not stored. The record only says
whether there is a password.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from scripts.clerk_emulator import errors, readers
from scripts.clerk_emulator.config import new_id
from scripts.clerk_emulator.user import Identification, IdentificationKind, User

Params = Mapping[str, Any]

METADATA = frozenset({"public_metadata", "private_metadata", "unsafe_metadata"})

_NULLABLE: dict[str, Callable[[str, Any], Any]] = {
    "external_id": readers.text_or_removed,
    "first_name": readers.text,
    "last_name": readers.text,
    "legal_accepted_at": readers.time,
    "username": readers.text_or_removed,
}
_KEPT_IF_NULL: dict[str, Callable[[str, Any], Any]] = {
    "created_at": readers.time,
}
_STANDING: dict[str, Callable[[str, Any], Any]] = {
    "banned": readers.flag,
    "locked": readers.flag,
}
_IDENTIFICATIONS: dict[IdentificationKind, Callable[[str, str], str]] = {
    "email_address": readers.email_address,
    "phone_number": readers.phone_number,
}
_PRIMARIES: dict[str, IdentificationKind] = {
    "primary_email_address_id": "email_address",
    "primary_phone_number_id": "phone_number",
}
_NOT_STORED = frozenset(
    {
        "backup_codes",
        "bypass_client_trust",
        "create_organization_enabled",
        "create_organizations_limit",
        "delete_self_enabled",
        "locale",
        "notify_primary_email_address_changed",
        "password",
        "password_digest",
        "password_hasher",
        "profile_image_id",
        "sign_out_of_other_sessions",
        "skip_legal_checks",
        "skip_password_checks",
        "skip_password_requirement",
        "skip_user_requirement",
        "totp_secret",
    }
)
_BOTH = _NULLABLE.keys() | _KEPT_IF_NULL.keys() | METADATA | _NOT_STORED
_OF_CREATE = (
    _BOTH
    | _STANDING.keys()
    | _IDENTIFICATIONS.keys()
    | {
        "email_address_identification_status",
        "phone_number_identification_status",
    }
)
_OF_UPDATE = _BOTH | _PRIMARIES.keys()


def new_user(params: Params, now: int) -> User:
    """The user with these parameters. Raises `ClerkApiError` 422 where Clerk refuses them."""
    _refuse_unknown(params, _OF_CREATE)
    user = User(id=new_id("user"), created_at=now, updated_at=now, last_active_at=now)
    user = replace(user, **_values(params, now), **_given(_STANDING, params))
    user = _with_identifications(user, params, now)
    if not (user.identifications or user.username or params.get("skip_user_requirement")):
        raise errors.user_data_missing()
    return user


def changes(user: User, params: Params, now: int) -> dict[str, Any]:
    """The fields of `user` that these parameters set. Raises as `new_user` does."""
    _refuse_unknown(params, _OF_UPDATE)
    return _values(params, now) | _primaries(user, params)


def metadata_only(params: Params) -> dict[str, Mapping[str, Any]]:
    """The parameters of `PATCH /v1/users/{id}/metadata`."""
    _refuse_unknown(params, METADATA)
    return _metadata(params)


def merged(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The deep merge of `PATCH /v1/users/{id}/metadata`: null removes a key, at any level."""
    result = dict(stored)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            nested = result.get(key)
            result[key] = merged(nested if isinstance(nested, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _refuse_unknown(params: Params, known: Iterable[str]) -> None:
    for name in sorted(params.keys() - set(known)):
        raise errors.param_unknown(name)


def _values(params: Params, now: int) -> dict[str, Any]:
    nullable = {
        name: read(name, params[name]) for name, read in _NULLABLE.items() if name in params
    }
    password = params.get("password") or params.get("password_digest")
    changed_password = {"password_last_updated_at": now} if password else {}
    return nullable | _given(_KEPT_IF_NULL, params) | _metadata(params) | changed_password


def _given(read: Mapping[str, Callable[[str, Any], Any]], params: Params) -> dict[str, Any]:
    present = read.keys() & {name for name, value in params.items() if value is not None}
    return {name: read[name](name, params[name]) for name in present}


def _metadata(params: Params) -> dict[str, Mapping[str, Any]]:
    return {name: readers.json_object(name, params[name]) for name in METADATA & params.keys()}


def _primaries(user: User, params: Params) -> dict[str, str]:
    given = [name for name in _PRIMARIES if params.get(name) is not None]
    return {name: _own_identification(user, name, params[name]) for name in given}


def _own_identification(user: User, name: str, value: object) -> str:
    """OpenAPI: "It must be verified, and present on the current user"."""
    for one in user.of_kind(_PRIMARIES[name]):
        if one.id == value and not one.reserved:
            return one.id
    raise errors.param_invalid(name, value)


def _with_identifications(user: User, params: Params, now: int) -> User:
    """All addresses and numbers. The first of each kind is the primary one."""
    found = {kind: _identifications(kind, params, now) for kind in _IDENTIFICATIONS}
    primaries: dict[str, Any] = {
        name: found[kind][0].id for name, kind in _PRIMARIES.items() if found[kind]
    }
    everything = tuple(one for several in found.values() for one in several)
    return replace(user, identifications=everything, **primaries)


def _identifications(kind: IdentificationKind, params: Params, now: int) -> list[Identification]:
    values = readers.texts(kind, params.get(kind) or [])
    name = f"{kind}_identification_status"
    statuses = params.get(name) or ["verified"] * len(values)
    if len(statuses) != len(values):
        raise errors.param_invalid(name, statuses)
    return [
        Identification(
            id=new_id("idn"),
            kind=kind,
            value=_IDENTIFICATIONS[kind](kind, value),
            created_at=now,
            updated_at=now,
            reserved=status == "reserved",
        )
        for value, status in zip(values, statuses, strict=True)
    ]
