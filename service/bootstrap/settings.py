"""The settings, wholly checked: what only an adapter can judge is refused here as well."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from adapters.postgres.address import is_schema_name, parse_address
from service.settings import Settings, StoreSettings


class _CheckedStoreSettings(StoreSettings):
    """Also refuses what only an adapter can judge, before anything is opened."""

    @field_validator("database_url")
    @classmethod
    def _a_database_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_address(value.get_secret_value())
        return value

    @field_validator("database_schema")
    @classmethod
    def _a_schema(cls, value: str | None) -> str | None:
        if value is not None and not is_schema_name(value):
            raise ValueError("give the name of one schema: letters, digits, _, $, - and spaces")
        return value


class _CheckedSettings(_CheckedStoreSettings, Settings):
    """All settings, checked in the same way."""


def read_store_settings(**given: Any) -> StoreSettings:
    """Those that `migrate` needs: a deploy step has no key of Clerk's. Raises `ValidationError`."""
    return _CheckedStoreSettings(**given)


def read_settings(**given: Any) -> Settings:
    """The settings of the environment and `.env`, wholly checked. Raises `ValidationError`."""
    return _CheckedSettings(**given)


def notes_on(settings: Settings) -> tuple[str, ...]:
    """What an operator should know of settings that are accepted. No value is in it."""
    url = settings.database_url
    return () if url is None else parse_address(url.get_secret_value()).notes


def works_on(settings: StoreSettings) -> str:
    """The database and the Clerk instance of these settings, without a user or a password."""
    return ", ".join([_database_of(settings), *_instance_of(settings)])


def _database_of(settings: StoreSettings) -> str:
    if settings.database_url is None:
        return f"the embedded database in {settings.data_dir}"
    address = parse_address(settings.database_url.get_secret_value())
    hosts = ",".join(f"{host}:{port}" for host, port in address.hosts) or "the default host"
    schema = settings.database_schema or address.schema
    name = f"database {address.database or 'of the default name'} on {hosts}"
    return f"{name}, schema {schema}" if schema else name


def _instance_of(settings: StoreSettings) -> list[str]:
    if not isinstance(settings, Settings):
        return []
    return [f"Clerk instance {settings.clerk_instance_id or urlsplit(settings.issuer).netloc}"]
