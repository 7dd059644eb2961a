"""A user record, and Clerk's JSON of it.

The record holds only the fields that differ between users, so that 100,000 of them fit in memory.
`user_json` adds the constant rest of Clerk's shape (OpenAPI `User`, every required field).
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

IdentificationKind = Literal["email_address", "phone_number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """An e-mail address or a phone number. A reserved one is not verified."""

    id: str
    kind: IdentificationKind
    value: str
    created_at: int
    updated_at: int
    reserved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One state of a user. Times are milliseconds since 1970."""

    id: str
    created_at: int
    updated_at: int
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    external_id: str | None = None
    identifications: tuple[Identification, ...] = ()
    primary_email_address_id: str | None = None
    primary_phone_number_id: str | None = None
    image_url: str | None = None
    public_metadata: Mapping[str, Any] = field(default_factory=dict)
    private_metadata: Mapping[str, Any] = field(default_factory=dict)
    unsafe_metadata: Mapping[str, Any] = field(default_factory=dict)
    password_last_updated_at: int | None = None
    last_sign_in_at: int | None = None
    last_active_at: int | None = None
    legal_accepted_at: int | None = None
    banned: bool = False
    locked: bool = False
    deprovisioned: bool = False
    two_factor_enabled: bool = False

    def of_kind(self, kind: IdentificationKind) -> Iterator[Identification]:
        return (one for one in self.identifications if one.kind == kind)

    def values(self, kind: IdentificationKind) -> list[str]:
        return [one.value for one in self.of_kind(kind)]


_VERIFIED = {
    "object": "verification_admin",
    "status": "verified",
    "strategy": "admin",
    "attempts": None,
    "expire_at": None,
}
"""The verification of an address that was created through the Backend API."""


def user_json(user: User, instance_id: str) -> dict[str, Any]:
    """The object in the answer of `GET /v1/users/{id}` and in `user.created`."""
    image_url = user.image_url
    if image_url is None:
        image = orjson.dumps({"type": "default", "iid": instance_id, "rid": user.id})
        image_url = f"https://img.clerk.com/{base64.b64encode(image).decode().rstrip('=')}"
    return {
        "backup_code_enabled": False,
        "banned": user.banned,
        "bypass_client_trust": False,
        "create_organization_enabled": True,
        "create_organizations_limit": None,
        "created_at": user.created_at,
        "delete_self_enabled": True,
        "deprovisioned": user.deprovisioned,
        "email_addresses": [_email_address(one) for one in user.of_kind("email_address")],
        "enterprise_accounts": [],
        "external_accounts": [],
        "external_id": user.external_id,
        "first_name": user.first_name,
        "has_image": user.image_url is not None,
        "id": user.id,
        "image_url": image_url,
        "last_active_at": user.last_active_at,
        "last_name": user.last_name,
        "last_sign_in_at": user.last_sign_in_at,
        "legal_accepted_at": user.legal_accepted_at,
        "locale": None,
        "locked": user.locked,
        "lockout_expires_in_seconds": 3600 if user.locked else None,
        "mfa_disabled_at": None,
        "mfa_enabled_at": None,
        "object": "user",
        "passkeys": [],
        "password_enabled": user.password_last_updated_at is not None,
        "password_last_updated_at": user.password_last_updated_at,
        "phone_numbers": [_phone_number(one) for one in user.of_kind("phone_number")],
        "primary_email_address_id": user.primary_email_address_id,
        "primary_phone_number_id": user.primary_phone_number_id,
        "primary_web3_wallet_id": None,
        "private_metadata": user.private_metadata,
        "profile_image_url": "https://www.gravatar.com/avatar?d=mp",
        "public_metadata": user.public_metadata,
        "saml_accounts": [],
        "totp_enabled": False,
        "two_factor_enabled": user.two_factor_enabled,
        "unsafe_metadata": user.unsafe_metadata,
        "updated_at": user.updated_at,
        "username": user.username,
        "verification_attempts_remaining": 100,
        "web3_wallets": [],
    }


def _email_address(one: Identification) -> dict[str, Any]:
    return _identification(one) | {"linked_to": [], "matches_sso_connection": False}


def _phone_number(one: Identification) -> dict[str, Any]:
    return _identification(one) | {
        "backup_codes": None,
        "default_second_factor": False,
        "linked_to": [],
        "reserved_for_second_factor": False,
    }


def _identification(one: Identification) -> dict[str, Any]:
    return {
        "created_at": one.created_at,
        one.kind: one.value,
        "id": one.id,
        "object": one.kind,
        "reserved": one.reserved,
        "updated_at": one.updated_at,
        "verification": None if one.reserved else _VERIFIED,
    }
