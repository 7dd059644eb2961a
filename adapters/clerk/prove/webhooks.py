"""Verifies webhook deliveries with Svix's library, with strict checks where it is lenient.

Sources: Svix, "Verifying webhooks manually"; Standard Webhooks 1.0; Clerk, "Sync data with
webhooks".
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from adapters.clerk.svix_webhooks import Webhook, WebhookVerificationError
from adapters.clerk.translate.delivery import read_delivery
from domain.errors import InvalidSignature
from domain.instance import Instance
from domain.ports import WebhookVerifier
from domain.signing_secret import parse_signing_secret
from domain.sync_user import SVIX_ID, SVIX_SIGNATURE, SVIX_TIMESTAMP, VerifiedDelivery
from domain.user import Source

MOST_SIGNATURES = 10

_NAMES = (b"svix-id", b"svix-timestamp", b"svix-signature")
_ID = re.compile(SVIX_ID.encode())
_TIMESTAMP = re.compile(SVIX_TIMESTAMP.encode())
_SIGNATURES = re.compile(SVIX_SIGNATURE.encode())


class ClerkWebhookVerifier(WebhookVerifier):
    """Accepts deliveries signed with any of the secrets, so that a secret can be rotated.

    Without a secret it refuses every delivery. Raises `ValueError` for a secret that could never
    verify anything.
    """

    def __init__(self, secrets: Sequence[str], *, instance: Instance) -> None:
        self._webhooks = tuple(Webhook(parse_signing_secret(secret)) for secret in secrets)
        self._instance = instance

    def verify(
        self, unverified_headers: Sequence[tuple[bytes, bytes]], unverified_body: bytes
    ) -> VerifiedDelivery:
        """Verify and translate. `unverified_headers` are those of ASGI: names in lower case."""
        headers = _svix_headers(unverified_headers)
        if not any(_signed(webhook, headers, unverified_body) for webhook in self._webhooks):
            raise InvalidSignature("no secret matches, or the timestamp is off")
        return read_delivery(
            unverified_body,
            svix_id=headers["svix-id"],
            sent_at=datetime.fromtimestamp(int(headers["svix-timestamp"]), UTC),
            instance_id=self._instance.followed,
            source=Source.WEBHOOK,
        )


def _svix_headers(unverified_headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The three headers for the library, and no others.

    Exactly one of each: of two `svix-id`, the library could verify one and the journal keep the
    other. `webhook-*` headers are left out, because the library would mix both families.
    """
    found = [pair for pair in unverified_headers if pair[0] in _NAMES]
    headers = dict(found)
    if len(found) != len(_NAMES) or len(headers) != len(_NAMES):
        raise InvalidSignature("not exactly one of each svix header")
    signatures = headers[b"svix-signature"]
    if not (
        _ID.fullmatch(headers[b"svix-id"])
        and _TIMESTAMP.fullmatch(headers[b"svix-timestamp"])
        and _SIGNATURES.fullmatch(signatures)
        and signatures.count(b" ") < MOST_SIGNATURES
    ):
        raise InvalidSignature("a malformed svix header")
    return {name.decode(): value.decode("latin-1") for name, value in found}


def _signed(webhook: Webhook, headers: dict[str, str], unverified_body: bytes) -> bool:
    try:
        webhook.verify(unverified_body, headers)
    except (WebhookVerificationError, ValueError):
        # ValueError: malformed base64, a missing comma, or a body that is not UTF-8.
        return False
    return True
