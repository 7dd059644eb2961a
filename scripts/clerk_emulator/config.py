"""The settings of an emulated Clerk instance, its ids and its clock."""

import base64
import os
import re
import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{32,100}", re.ASCII)
_ID_LENGTH = 27
_BASE62 = (string.digits + string.ascii_uppercase + string.ascii_lowercase).encode()
_BASE62_OF_BYTE = bytes(_BASE62[byte % len(_BASE62)] for byte in range(256))

Clock = Callable[[], int]
"""Milliseconds since 1970, the unit of Clerk's own times."""


def system_clock() -> int:
    """This machine's clock in milliseconds."""
    return time.time_ns() // 1_000_000


def new_id(prefix: str) -> str:
    """A random id such as `user_2g7np7Hrk0SN6kj5EDMLDaKNL0S`.

    Clerk's ids are KSUIDs. These have the alphabet and the length of one, but hold no time.
    """
    return f"{prefix}_{os.urandom(_ID_LENGTH).translate(_BASE62_OF_BYTE).decode()}"


def random_webhook_secret() -> str:
    """A Svix signing secret: `whsec_` and 24 random bytes in base64."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A receiver of webhooks. Each attempt carries one signature for each secret.

    Raises `ValueError` unless `url` is http or https and every secret has Svix's form.
    """

    url: str
    secrets: tuple[str, ...]

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError(f"{self.url} is not an http:// or https:// address")
        if not all(_WEBHOOK_SECRET.fullmatch(secret) for secret in self.secrets):
            raise ValueError("a webhook secret is whsec_ and at least 24 bytes in base64")


@dataclass(frozen=True, kw_only=True)
class EmulatorConfig:
    """Every setting has a default; keys and secrets are random unless given.

    - `rate_limit`: API calls per 10 seconds, Clerk's 100 for a development instance; None for
      no limit.
    - `time_scale`: a factor for the waits between webhook attempts; 0.001 turns five minutes into
      0.3 seconds.
    - `starting_after`: False refuses this cursor of the user list as an unknown parameter.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    issuer: str | None = None
    instance_id: str = field(default_factory=lambda: new_id("ins"))
    secret_key: str = field(default_factory=lambda: f"sk_test_{secrets.token_urlsafe(32)}")
    webhook_secrets: tuple[str, ...] = field(default_factory=lambda: (random_webhook_secret(),))
    webhook_urls: tuple[str, ...] = ()
    authorized_party: str = "http://localhost:3000"
    rate_limit: int | None = 100
    time_scale: float = 1.0
    starting_after: bool = True

    @property
    def url(self) -> str:
        """The Backend API's address for clients: `public_url`, or host and port."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def token_issuer(self) -> str:
        """The `iss` of session tokens: `issuer`, or the emulator's own address.

        At Clerk it is the address of the Frontend API.
        """
        return self.issuer or self.url

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/.well-known/jwks.json"

    @property
    def publishable_key(self) -> str:
        """`pk_test_`, then the issuer's host and a `$` in base64 without padding."""
        host = urlsplit(self.token_issuer).netloc
        return "pk_test_" + base64.b64encode(f"{host}$".encode()).decode().rstrip("=")

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint(url=url, secrets=self.webhook_secrets) for url in self.webhook_urls)

    def environment(self) -> dict[str, str]:
        """The settings that make a service use this emulator as its Clerk instance."""
        return {
            "CLERK_API_URL": self.url,
            "CLERK_AUTHORIZED_PARTIES": self.authorized_party,
            "CLERK_INSTANCE_ID": self.instance_id,
            "CLERK_ISSUER": self.token_issuer,
            "CLERK_JWKS_URL": self.jwks_url,
            "CLERK_PUBLISHABLE_KEY": self.publishable_key,
            "CLERK_SECRET_KEY": self.secret_key,
            "CLERK_WEBHOOK_SIGNING_SECRET": ",".join(self.webhook_secrets),
        }
