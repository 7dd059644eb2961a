"""Search for canaries in any encoding."""

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

CANARY = "canary"
"""Part of every personal field of the test's people, in lower or upper case."""


def found(text: str, secrets: Iterable[str]) -> list[str]:
    """Which of them are in the text: plain, in base64, in hexadecimal, or escaped."""
    low = text.lower()
    return [
        secret
        for secret in secrets
        if any(one in text for one in exact_spellings(secret))
        or any(one in low for one in spellings_in_any_case(secret))
    ]


def exact_spellings(secret: str) -> Iterator[str]:
    """Base64 looks different at each of three offsets; what neighbours share is cut off."""
    for offset in range(3):
        raw = b"\0" * offset + secret.encode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(raw).decode().rstrip("=")
            first = 0 if offset == 0 else offset + 1
            yield whole[first : len(raw) * 8 // 6]


def spellings_in_any_case(secret: str) -> set[str]:
    low = secret.lower()
    quoted = {quote(low, safe="").lower(), quote_plus(low).lower(), low.replace("/", "\\/")}
    return {low, *quoted, low.encode().hex(), secret.encode().hex()}
