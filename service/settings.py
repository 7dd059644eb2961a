"""Every setting, read once from the environment or a `.env`. Settings of Clerk have Clerk's names.

`.env.example` explains each. All mistakes are reported at once, and no value is ever shown.
"""

import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from domain.retention import RetentionPeriods
from domain.signing_secret import parse_signing_secret
from domain.user import USER_ID
from service.addresses import (
    api_address,
    frontend_api,
    issuer_address,
    origin,
    trusted_address,
)
from service.bare import bare
from service.change_settings import ChangeSettings
from service.dotenv import DOTENV, encoding_of
from service.setting_sources import by_precedence

_GRANT = re.compile(rf"{USER_ID}|org_[A-Za-z0-9]{{1,120}}:[a-z0-9_:-]{{1,120}}", re.ASCII)
_CLERK_API = "https://api.clerk.com"


def _listed(value: object) -> object:
    """The parts of a text: comma-separated, or in JSON, as many applications write their lists."""
    if not isinstance(value, str):
        return value
    parts = value.split(",")
    if value.lstrip().startswith("["):
        with suppress(orjson.JSONDecodeError):
            parts = orjson.loads(value)
    return tuple(part for one in parts if (part := str(one).strip()))


def _lower_case(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
CommaSeparatedSecrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_listed)]
LowerCase = BeforeValidator(_lower_case)


class StoreSettings(BaseSettings):
    """The settings that `migrate` needs: the store and the log."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = None
    database_schema: str | None = None
    data_dir: Path = Path(".data")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], LowerCase] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], LowerCase] = "auto"

    def __init__(self, **given: Any) -> None:
        """Raises `ValidationError`, also for a `.env` that cannot be read."""
        file = given.get("_env_file", DOTENV)
        if isinstance(file, str | Path):
            given["_env_file_encoding"] = encoding_of(file)
        super().__init__(**given)

    @field_validator("*", mode="before")
    @classmethod
    def _check_bare(cls, value: object, info: ValidationInfo) -> object:
        return bare(value, info.field_name)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, file_secret_settings
        return by_precedence(settings_cls, init_settings, dotenv_settings)


class Settings(ChangeSettings, StoreSettings):
    """All settings of the service. Times in seconds."""

    database_pool_size: int = Field(default=10, ge=1, le=1000)
    database_statement_cache: int = Field(default=100, ge=0, le=100_000)
    migrate_on_start: bool = False

    reconcile_every: float | None = Field(default=None, ge=1, le=31_536_000)
    poll_every: float | None = Field(default=None, ge=1, le=31_536_000)

    clerk_secret_key: SecretStr
    clerk_publishable_key: str | None = None
    clerk_issuer: str | None = Field(default=None, validate_default=True)
    clerk_jwks_url: str | None = None
    clerk_jwt_key: SecretStr | None = None
    clerk_webhook_signing_secret: Annotated[
        CommaSeparatedSecrets, Field(validate_default=True)
    ] = ()
    clerk_authorized_parties: CommaSeparated = ()
    clerk_missing_azp: Literal["reject", "allow"] = "reject"
    clerk_audience: str | None = None
    clerk_instance_id: str | None = Field(default=None, pattern=r"^ins_[A-Za-z0-9]+$")
    clerk_api_url: str = _CLERK_API
    clerk_rate_limit: int | None = Field(default=None, ge=10, le=1_000_000)

    jit_deadline: float = Field(default=3.0, gt=0, le=10)
    jit_max_fetches: int = Field(default=16, ge=1, le=10_000)
    jit_unknown_for: float = Field(default=5.0, ge=0, le=86_400)

    journal_body_days: int = Field(default=30, ge=1, le=36_500)
    journal_days: int = Field(default=90, ge=35, le=36_500)
    changes_days: int = Field(default=30, ge=1, le=36_500)
    changes_token: SecretStr | None = None
    change_handlers: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    silence_after: float = Field(default=900.0, gt=0, le=43_200)
    replay_signing_secret: SecretStr | None = None

    console_token: SecretStr | None = None
    console_operator_token: SecretStr | None = None
    console_readers: CommaSeparated = ()
    console_operators: CommaSeparated = ()
    console_bodies: Literal["nobody", "operators", "readers"] = "operators"
    docs_url: str | None = Field(default=None, pattern=r"^https?://[^\s\"'<>]+$")
    environment_name: str | None = Field(default=None, max_length=40)
    environment_colour: Literal["red", "orange", "green", "blue", "purple", "grey"] | None = None

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    cors_origins: CommaSeparated = ()
    trusted_proxies: CommaSeparated = ()
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    docs: bool = False
    traces_share: float = Field(default=0.0, ge=0, le=1)
    drain_seconds: float = Field(default=1.0, ge=0, le=60)
    shutdown_seconds: int = Field(default=20, ge=1, le=300)

    http_proxy: SecretStr | None = None
    https_proxy: SecretStr | None = None
    all_proxy: SecretStr | None = None
    no_proxy: str = ""
    ssl_cert_file: str | None = None
    ssl_cert_dir: str | None = None

    @field_validator("clerk_secret_key")
    @classmethod
    def _check_secret_key(cls, value: SecretStr) -> SecretStr:
        if re.fullmatch(r"sk_(test|live)_\S{10,}", value.get_secret_value()) is None:
            raise ValueError("a Clerk secret key starts with sk_test_ or sk_live_")
        return value

    @field_validator("clerk_webhook_signing_secret")
    @classmethod
    def _check_webhook_secrets(
        cls, values: tuple[SecretStr, ...], info: ValidationInfo
    ) -> tuple[SecretStr, ...]:
        if not values and info.data.get("poll_every", "wrong") is None:
            raise ValueError("give whsec_…, comma-separated; or POLL_EVERY if no webhook comes")
        for value in values:
            parse_signing_secret(value.get_secret_value())
        return values

    @field_validator("replay_signing_secret")
    @classmethod
    def _check_replay_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            parse_signing_secret(value.get_secret_value())
        return value

    @field_validator("journal_days")
    @classmethod
    def _check_journal_days(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("journal_body_days", value):
            raise ValueError("must not be less than JOURNAL_BODY_DAYS")
        return value

    @field_validator("console_token", "console_operator_token", "changes_token")
    @classmethod
    def _check_token_length(cls, value: SecretStr | None) -> SecretStr | None:
        if value and len(value.get_secret_value()) < 32:
            raise ValueError("give at least 32 random characters: openssl rand -hex 32")
        return value

    @field_validator("console_operator_token")
    @classmethod
    def _check_tokens_differ(
        cls, value: SecretStr | None, info: ValidationInfo
    ) -> SecretStr | None:
        if value and value == info.data.get("console_token"):
            raise ValueError("must not be CONSOLE_TOKEN, or every reader could act")
        return value

    @field_validator("console_readers", "console_operators")
    @classmethod
    def _check_users_and_roles(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_GRANT.fullmatch(value) for value in values):
            raise ValueError("give user_… or org_…:role, comma-separated")
        return values

    @field_validator("trusted_proxies")
    @classmethod
    def _parse_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ip_network(value, strict=False)) for value in values)
        except ValueError:
            raise ValueError("give addresses or networks such as 10.0.0.0/8") from None

    @field_validator("clerk_authorized_parties", "cors_origins")
    @classmethod
    def _parse_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        # They are compared as text with what a browser sends.
        return tuple(map(origin, values))

    @field_validator("clerk_publishable_key")
    @classmethod
    def _check_publishable_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        issuer_address(f"https://{frontend_api(value)}")
        secret = info.data.get("clerk_secret_key")
        if secret and secret.get_secret_value()[3:7] != value[3:7]:
            raise ValueError("one of this and CLERK_SECRET_KEY is a test key, the other is live")
        return value

    @field_validator("clerk_issuer")
    @classmethod
    def _check_issuer_is_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A validator of the whole model would not run while any other setting is wrong.
        if value is None and info.data.get("clerk_publishable_key", "wrong") is None:
            raise ValueError("missing; or set CLERK_PUBLISHABLE_KEY, which contains it")
        return value

    @field_validator("clerk_issuer")
    @classmethod
    def _parse_issuer(cls, value: str | None) -> str | None:
        return None if value is None else issuer_address(value)

    @field_validator("clerk_jwks_url")
    @classmethod
    def _parse_address(cls, value: str | None) -> str | None:
        return None if value is None else trusted_address(value)

    @field_validator("clerk_api_url")
    @classmethod
    def _parse_api_address(cls, value: str) -> str:
        return api_address(value)

    @property
    def retention(self) -> RetentionPeriods:
        """How long bodies, journal entries and changes are kept."""
        return RetentionPeriods(
            bodies=timedelta(days=self.journal_body_days),
            entries=timedelta(days=self.journal_days),
            changes=timedelta(days=self.changes_days),
        )

    @property
    def has_console(self) -> bool:
        """Whether the settings permit anybody to use the console."""
        tokens = (self.console_token, self.console_operator_token)
        return any(tokens) or bool(self.console_readers or self.console_operators)

    @property
    def issuer(self) -> str:
        """The issuer of session tokens (`iss`), without a trailing slash."""
        key = self.clerk_publishable_key or ""
        return self.clerk_issuer or issuer_address(f"https://{frontend_api(key)}")

    @property
    def jwks_url(self) -> str:
        """The address of the signing keys."""
        return self.clerk_jwks_url or f"{self.issuer}/.well-known/jwks.json"
