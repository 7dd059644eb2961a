"""A user as the emulator keeps it, and Clerk's JSON of it.

The record holds only what can differ, so that 100,000 of them fit in memory; `user_json` adds
the rest of Clerk's shape (OpenAPI `User`, every required field) when somebody asks.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

IdentificationKind = Literal["email_address", "phone_number", "web3_wallet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """An e-mail address, phone number or wallet. Reserved: claimed, but not verified."""

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
    locale: str | None = None
    identifications: tuple[Identification, ...] = ()
    primary_email_address_id: str | None = None
    primary_phone_number_id: str | None = None
    primary_web3_wallet_id: str | None = None
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
    delete_self_enabled: bool = True
    create_organization_enabled: bool = True
    create_organizations_limit: int | None = None
    bypass_client_trust: bool = False

    def of_kind(self, kind: IdentificationKind) -> Iterator[Identification]:
        return (one for one in self.identifications if one.kind == kind)

    def values(self, kind: IdentificationKind) -> list[str]:
        return [one.value for one in self.of_kind(kind)]


def user_json(user: User, instance_id: str) -> dict[str, Any]:
    """The full object that GET /v1/users/{id} answers and `user.created` carries."""
    image_url = user.image_url or _default_image_url(user.id, instance_id)
    return {
        "backup_code_enabled": False,
        "banned": user.banned,
        "bypass_client_trust": user.bypass_client_trust,
        "create_organization_enabled": user.create_organization_enabled,
        "create_organizations_limit": user.create_organizations_limit,
        "created_at": user.created_at,
        "delete_self_enabled": user.delete_self_enabled,
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
        "locale": user.locale,
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
        "primary_web3_wallet_id": user.primary_web3_wallet_id,
        "private_metadata": user.private_metadata,
        "profile_image_url": "https://www.gravatar.com/avatar?d=mp",
        "public_metadata": user.public_metadata,
        "saml_accounts": [],
        "totp_enabled": False,
        "two_factor_enabled": False,
        "unsafe_metadata": user.unsafe_metadata,
        "updated_at": user.updated_at,
        "username": user.username,
        "verification_attempts_remaining": 100,
        "web3_wallets": [_web3_wallet(one) for one in user.of_kind("web3_wallet")],
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


def _web3_wallet(one: Identification) -> dict[str, Any]:
    wallet = _identification(one)
    del wallet["reserved"]
    return wallet


def _identification(one: Identification) -> dict[str, Any]:
    return {
        "created_at": one.created_at,
        one.kind: one.value,
        "id": one.id,
        "object": one.kind,
        "reserved": one.reserved,
        "updated_at": one.updated_at,
        "verification": None if one.reserved else _verified_by_admin(),
    }


def _verified_by_admin() -> dict[str, Any]:
    """What the Backend API writes on an address it creates."""
    return {
        "object": "verification_admin",
        "status": "verified",
        "strategy": "admin",
        "attempts": None,
        "expire_at": None,
    }


def _default_image_url(user_id: str, instance_id: str) -> str:
    image = orjson.dumps({"type": "default", "iid": instance_id, "rid": user_id})
    return f"https://img.clerk.com/{base64.b64encode(image).decode().rstrip('=')}"
