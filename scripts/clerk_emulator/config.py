"""What an emulated Clerk instance is: its keys, its addresses, its webhooks, its limits."""

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from scripts.clerk_emulator.ids import new_id

_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{32,100}", re.ASCII)

Clock = Callable[[], int]
"""Milliseconds since 1970, as Clerk counts them."""


def random_secret_key() -> str:
    """A Backend API key of a development instance (`sk_test_…`)."""
    return f"sk_test_{secrets.token_urlsafe(32)}"


def random_webhook_secret() -> str:
    """A Svix signing secret (`whsec_` and 24 bytes in base64)."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where webhooks go. With several secrets every attempt is signed with each (key rotation).

    `ValueError` unless the address is http or https and the secrets are Svix's.
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
    """Everything has a default; secrets are random unless given.

    `rate_limit` is calls per `rate_window` seconds, Clerk's 100 per 10 s for a development
    instance; None is no limit. `time_scale` multiplies the waits between webhook attempts:
    0.001 turns five minutes into 0.3 s. `attempt_timeout` is Svix's 15 s and is not scaled.
    `starting_after=False` refuses the cursor, as a Clerk that does not know it would.
    `session_events` sends `session.created` and `session.revoked` too.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    issuer: str | None = None
    instance_id: str = field(default_factory=lambda: new_id("ins"))
    secret_key: str = field(default_factory=random_secret_key)
    webhook_secrets: tuple[str, ...] = field(default_factory=lambda: (random_webhook_secret(),))
    webhook_urls: tuple[str, ...] = ()
    authorized_party: str = "http://localhost:3000"
    rate_limit: int | None = 100
    rate_window: float = 10.0
    time_scale: float = 1.0
    attempt_timeout: float = 15.0
    starting_after: bool = True
    session_events: bool = False

    @property
    def url(self) -> str:
        """The address others use: `public_url`, or host and port."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def token_issuer(self) -> str:
        """The `iss` of session tokens: the Frontend API's address, here our own unless given."""
        return self.issuer or self.url

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/.well-known/jwks.json"

    @property
    def publishable_key(self) -> str:
        """`pk_test_` and the Frontend API's host in base64, closed by a `$`, without padding."""
        host = urlsplit(self.token_issuer).netloc
        return "pk_test_" + base64.b64encode(f"{host}$".encode()).decode().rstrip("=")

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint(url=url, secrets=self.webhook_secrets) for url in self.webhook_urls)

    def environment(self) -> dict[str, str]:
        """The settings with which a service takes this emulator for its Clerk instance."""
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
