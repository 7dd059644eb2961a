"""Webhook envelopes: `{data, object: "event", type, timestamp, instance_id, event_attributes}`.

Sources: Clerk docs, "Webhooks overview"; OpenAPI `WebhookEventPayload`. `timestamp` is
milliseconds.
"""

from typing import Any

from scripts.clerk_emulator.user import User

Event = dict[str, Any]

_EXAMPLE_SUFFIX = "2g7np7Hrk0SN6kj5EDMLDaKNL0S"
_EXAMPLE_SECONDS = 1_716_883_200
_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)


def event(event_type: str, data: dict[str, Any], *, instance_id: str, timestamp: int) -> Event:
    return {
        "data": data,
        "event_attributes": {"http_request": {"client_ip": "203.0.113.10", "user_agent": _BROWSER}},
        "instance_id": instance_id,
        "object": "event",
        "timestamp": timestamp,
        "type": event_type,
    }


def deleted_user(user: User) -> dict[str, Any]:
    """The data of `user.deleted`. It has an `external_id` only if the user had one."""
    data: dict[str, Any] = {"deleted": True, "id": user.id, "object": "user"}
    if user.external_id is not None:
        data["external_id"] = user.external_id
    return data


def dashboard_example(event_type: str) -> Event:
    """The event of "Send Example" on the dashboard's Testing tab, from the OpenAPI examples.

    It is unlike real events: its timestamp is in seconds, its instance id is another instance's,
    and its primary e-mail address is not among the addresses. Raises `ValueError` for an event
    that has no example here.
    """
    examples = {
        "user.created": _EXAMPLE_CREATED,
        "user.updated": _EXAMPLE_CREATED | _EXAMPLE_UPDATED,
        "user.deleted": _EXAMPLE_DELETED,
    }
    if event_type not in examples:
        raise ValueError(f"no example of {event_type}")
    return event(
        event_type,
        examples[event_type],
        instance_id=f"ins_{_EXAMPLE_SUFFIX}",
        timestamp=_EXAMPLE_SECONDS,
    )


_EXAMPLE_CREATED: dict[str, Any] = {
    "backup_code_enabled": False,
    "banned": False,
    "create_organization_enabled": True,
    "create_organizations_limit": None,
    "created_at": _EXAMPLE_SECONDS * 1000,
    "delete_self_enabled": True,
    "email_addresses": [],
    "enterprise_accounts": [],
    "external_accounts": [],
    "external_id": None,
    "first_name": "John",
    "has_image": True,
    "id": f"user_{_EXAMPLE_SUFFIX}",
    "image_url": "https://img.clerk.com/xxxxxx",
    "last_active_at": _EXAMPLE_SECONDS * 1000,
    "last_name": "Doe",
    "last_sign_in_at": _EXAMPLE_SECONDS * 1000,
    "legal_accepted_at": _EXAMPLE_SECONDS * 1000,
    "locked": False,
    "lockout_expires_in_seconds": None,
    "mfa_disabled_at": None,
    "mfa_enabled_at": None,
    "object": "user",
    "passkeys": [],
    "password_enabled": True,
    "phone_numbers": [],
    "primary_email_address_id": f"idn_{_EXAMPLE_SUFFIX}",
    "primary_phone_number_id": None,
    "primary_web3_wallet_id": None,
    "private_metadata": None,
    "profile_image_url": "https://img.clerk.com/xxxxxx",
    "public_metadata": {},
    "saml_accounts": [],
    "totp_enabled": False,
    "two_factor_enabled": False,
    "unsafe_metadata": {},
    "updated_at": _EXAMPLE_SECONDS * 1000,
    "username": None,
    "verification_attempts_remaining": None,
    "web3_wallets": [],
}
_EXAMPLE_UPDATED: dict[str, Any] = {
    "image_url": "https://img.clerk.com/yyyyy",
    "last_active_at": _EXAMPLE_SECONDS * 1000 + 300_000,
    "last_name": "Doe Updated",
    "last_sign_in_at": _EXAMPLE_SECONDS * 1000 + 200_000,
    "mfa_enabled_at": _EXAMPLE_SECONDS * 1000,
    "profile_image_url": "https://img.clerk.com/yyyyy",
    "public_metadata": {"department": "engineering"},
    "totp_enabled": True,
    "two_factor_enabled": True,
    "updated_at": _EXAMPLE_SECONDS * 1000 + 300_000,
    "username": "johndoe",
}
_EXAMPLE_DELETED: dict[str, Any] = {
    "deleted": True,
    "external_id": "ex_123456789",
    "id": f"user_{_EXAMPLE_SUFFIX}",
    "object": "user",
}
