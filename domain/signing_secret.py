"""The check of a webhook signing secret: base64 of at least 24 bytes, usually after `whsec_`.

Source: Svix, "Verifying webhooks manually"; Standard Webhooks 1.0, "Signature scheme".
"""

import base64
import binascii
import re

SHORTEST_KEY = 24
"""Bytes."""

_SECRET = re.compile(r"(?:whsec_)?([A-Za-z0-9+/=]{32,100})", re.ASCII)


def parse_signing_secret(text: str) -> str:
    """The secret, unchanged. Raises `ValueError`, without the value, if it is malformed.

    Svix's own library skips characters that are not base64 and accepts keys of one byte.
    """
    match = _SECRET.fullmatch(text)
    if match is None:
        raise ValueError(
            "a webhook signing secret is 32 to 100 base64 characters, usually after whsec_"
        )
    unpadded = match[1].rstrip("=")
    try:
        key = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error:
        raise ValueError("a webhook signing secret is not base64") from None
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"a webhook signing secret is shorter than {SHORTEST_KEY} bytes")
    return text
