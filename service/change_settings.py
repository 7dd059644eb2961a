"""The settings for where changes are sent. `Settings` inherits them."""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.changes import Kind
from domain.pausing import FIVE_DAYS
from domain.signing_secret import parse_signing_secret
from domain.subscriptions import USUAL_SOURCES, Subscription, Wants
from domain.user import Source
from service.targets import BROKER, SVIX_PAUSES, WRITE_BACK

_METADATA = "public_metadata."
_METADATA_KEY = re.compile(rf"{re.escape(_METADATA)}[A-Za-z_][A-Za-z0-9_]{{0,63}}", re.ASCII)


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError("not JSON") from None


class Wanted(BaseModel):
    """Which changes a subscription gets, and from when on. The defaults are those of a handler."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    kinds: frozenset[Kind] = frozenset(Kind)
    sources: frozenset[Source] = USUAL_SOURCES
    fields: frozenset[str] = frozenset()
    begin: Literal["now", "oldest"] = "now"

    def subscription(self, pauses: Iterable[float]) -> Subscription:
        """Raises `ValueError` for an invalid name or an unknown field."""
        return Subscription(
            name=self.name,
            wants=Wants(kinds=self.kinds, sources=self.sources, fields=self.fields),
            begin=self.begin,
            pauses=tuple(pauses),
            pause_after=FIVE_DAYS,
        )


class PushTo(Wanted):
    """An endpoint that changes are pushed to. Each message is signed with every secret."""

    url: str
    secrets: tuple[SecretStr, ...] = Field(min_length=1)

    @field_validator("secrets")
    @classmethod
    def _signing_secrets(cls, values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for value in values:
            parse_signing_secret(value.get_secret_value())
        return values


class ChangeSettings(BaseSettings):
    """Endpoints, a broker, and our id at Clerk. Each of them is one subscription."""

    changes_push_private: bool = False
    changes_push: Annotated[tuple[PushTo, ...], NoDecode, BeforeValidator(_from_json)] = ()
    changes_broker_url: SecretStr | None = None
    changes_broker_topic: str = Field(default="users", pattern=r"^[A-Za-z0-9_-]{1,100}$")
    changes_write_back: str | None = None

    @field_validator("changes_push")
    @classmethod
    def _subscriptions(cls, values: tuple[PushTo, ...]) -> tuple[PushTo, ...]:
        names = [value.name for value in values]
        if len(set(names)) < len(names):
            raise ValueError("two endpoints have one name")
        if taken := {BROKER.name, WRITE_BACK.name} & set(names):
            raise ValueError(f"{', '.join(sorted(taken))} is the name of another subscription")
        for value in values:
            value.subscription(SVIX_PAUSES)
        return values

    @field_validator("changes_write_back")
    @classmethod
    def _a_place_at_clerk(cls, value: str | None) -> str | None:
        if value in (None, "external_id") or _METADATA_KEY.fullmatch(str(value)):
            return value
        raise ValueError("give external_id, or public_metadata. and a key")

    @property
    def sends_changes(self) -> bool:
        """Whether changes are sent anywhere besides handlers."""
        return bool(self.changes_push or self.changes_broker_url or self.changes_write_back)

    @property
    def write_back_key(self) -> str | None:
        """The key of the public metadata; None for `external_id`."""
        value = self.changes_write_back or ""
        return value.removeprefix(_METADATA) if value.startswith(_METADATA) else None
