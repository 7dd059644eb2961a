"""Where a setting may be given: in code, the environment or a `.env`, by its name with our prefix
or without.
"""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)

from service.healthcheck import LINKS, PREFIX


def by_precedence(
    settings: type[BaseSettings],
    given: PydanticBaseSettingsSource,
    dotenv: PydanticBaseSettingsSource,
) -> tuple[PydanticBaseSettingsSource, ...]:
    """A name with our prefix comes first, in a `.env` too: the other may be a host's setting."""
    return (
        given,
        _Environment(settings, env_prefix=PREFIX),
        DotEnvSettingsSource(
            settings,
            env_file=getattr(dotenv, "env_file", None),
            env_file_encoding=getattr(dotenv, "env_file_encoding", None),
            env_prefix=PREFIX,
        ),
        _Environment(settings),
        dotenv,
    )


class _Environment(EnvSettingsSource):
    """The environment. A port that is an address is left out: Kubernetes sets
    `CLERK_USER_SYNC_PORT=tcp://10.96.0.9:80` for a Service named `clerk-user-sync`.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        if field_name in {"port", "metrics_port"} and str(value).startswith(LINKS):
            value = None
        return value, key, is_complex
