"""Read the settings, with the checks that need adapters."""

import os
import ssl
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import (
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from adapters.broker.publisher import check_broker
from adapters.clerk.network import Proxies, read_authorities, read_proxy
from adapters.clerk.prove.key_set import read_pem
from adapters.postgres.address import is_schema_name, parse_address
from adapters.push.address import check_endpoint
from service.change_settings import PushTo
from service.settings import Settings, StoreSettings

_OFTEN_THE_HOSTS = {
    *("cors_origins", "docs", "docs_url", "log_format", "log_level", "metrics_port", "port"),
    *("root_path", "trusted_proxies"),
}
"""Settings of a server and its log. Without them an application is served as well."""


class _CheckedStoreSettings(StoreSettings):
    """Settings of the store, with the checks that need adapters."""

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_address(value.get_secret_value())
        return value

    @field_validator("database_schema")
    @classmethod
    def _check_database_schema(cls, value: str | None) -> str | None:
        if value is not None and not is_schema_name(value):
            raise ValueError("give the name of one schema: letters, digits, _, $, - and spaces")
        return value

    @field_validator("data_dir")
    @classmethod
    def _check_data_dir(cls, value: Path, info: ValidationInfo) -> Path:
        if info.data.get("database_url", "wrong") is None:
            _require_writable(value)
        return value


class _CheckedSettings(_CheckedStoreSettings, Settings):
    """All settings, with the checks that need adapters."""

    @field_validator("clerk_jwt_key")
    @classmethod
    def _check_jwt_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_pem(value.get_secret_value())
        return value

    @field_validator("http_proxy", "https_proxy", "all_proxy")
    @classmethod
    def _check_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_proxy(value.get_secret_value())
        return value

    @field_validator("ssl_cert_file")
    @classmethod
    def _check_authorities_file(cls, value: str | None) -> str | None:
        if value is not None:
            _require_authorities(value)
        return value

    @field_validator("ssl_cert_dir")
    @classmethod
    def _check_authorities_dir(cls, value: str | None) -> str | None:
        # OpenSSL takes several, as PATH has them.
        if value is not None and not any(map(os.path.isdir, value.split(os.pathsep))):
            raise ValueError("there is no such directory")
        return value

    @field_validator("changes_push")
    @classmethod
    def _endpoints(cls, values: tuple[PushTo, ...], info: ValidationInfo) -> tuple[PushTo, ...]:
        allow_private = info.data.get("changes_push_private", True)
        for value in values:
            try:
                check_endpoint(value.url, allow_private=allow_private)
            except ValueError as error:
                raise ValueError(f"{value.name}: {error}") from None
        return values

    @field_validator("changes_broker_url")
    @classmethod
    def _check_broker_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_broker(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _check_proxy_of_endpoints(self) -> Self:
        for endpoint in self.changes_push:
            if urlsplit(proxy_for(self, endpoint.url) or "").scheme.startswith("socks"):
                raise ValueError(
                    f"CHANGES_PUSH: {endpoint.name}: nothing is pushed through a SOCKS proxy;"
                    " set HTTPS_PROXY, or name the host in NO_PROXY"
                )
        return self


def read_store_settings(**given: Any) -> StoreSettings:
    """The settings that `migrate` needs, without Clerk's keys. Raises `ValidationError`."""
    return _CheckedStoreSettings(**given)


def read_settings(**given: Any) -> Settings:
    """The settings of the environment and `.env`. Raises `ValidationError`."""
    return _CheckedSettings(**given)


def read_settings_of_host() -> tuple[Settings, list[str]]:
    """The same for an application, and the names of settings that are left at their defaults.

    Under these names it may have settings of its own, in another form. Raises `ValidationError` for
    any other mistake.
    """
    try:
        return read_settings(), []
    except ValidationError as error:
        wrong = {str(place) for one in error.errors() for place in one["loc"][:1]}
        if not wrong <= _OFTEN_THE_HOSTS:
            raise
    defaults = {name: Settings.model_fields[name].get_default() for name in wrong}
    return read_settings(**defaults), sorted(name.upper() for name in wrong)


def checked(settings: Settings) -> Settings:
    """The same, as `read_settings` would take them. Raises `ValidationError`."""
    if isinstance(settings, _CheckedSettings):
        return settings
    return _CheckedSettings(_env_file=None, **dict(settings))


def proxy_for(settings: Settings, url: str) -> str | None:
    """The proxy that this address is reached by, if any."""
    given = (settings.http_proxy, settings.https_proxy, settings.all_proxy)
    http, https, every = (one.get_secret_value() if one else None for one in given)
    return Proxies(http=http, https=https, every=every, none=settings.no_proxy).of(url)


def notes_on(settings: Settings) -> tuple[str, ...]:
    """Notes for the operator on settings that are accepted, without values."""
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


def _require_authorities(file: str) -> None:
    """Raises `ValueError`."""
    try:
        read_authorities(file, None)
    except ssl.SSLError:
        raise ValueError("this file holds no certificate in PEM form") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"this file cannot be read: {_words(error)}") from None


def _require_writable(directory: Path) -> None:
    """Raises `ValueError` if the directory is not there and cannot be made, or is closed to us."""
    nearest = os.path.abspath(directory)  # noqa: PTH100 - `resolve` may raise
    if not nearest.isprintable():
        raise ValueError("give a path of printable characters")
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)  # noqa: PTH120
    if not os.path.isdir(nearest):  # noqa: PTH112
        raise ValueError("a file is in the way of this directory")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError("this directory cannot be written to; or set DATABASE_URL")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or "its path is not valid"
