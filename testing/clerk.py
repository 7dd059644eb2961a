"""A Clerk instance of the test's own, and how an application is connected to it."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, TypeAlias
from uuid import uuid4

from anyio.from_thread import start_blocking_portal
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from fastapi import FastAPI
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from domain.user import User
from scripts.clerk_emulator.config import EmulatorConfig
from scripts.clerk_emulator.emulator import ClerkEmulator
from scripts.clerk_emulator.server import listen, serving
from scripts.commands.demo import without_settings
from service.healthcheck import PREFIX
from service.settings import Settings
from service.stand_in import StandIn, put_in, take_out

UserLike: TypeAlias = User | Mapping[str, Any] | str
"""A local user, a user as Clerk's API gives them, or the id of one: `user_…`."""

IDENTIFIERS = ("email_address", "phone_number", "username")


class EmulatedClerk(ClerkEmulator):
    """An emulated Clerk in process: users, session tokens, webhooks, and faults on request.

    `connect` lets an application use it, without a socket and without a change to that application.
    """

    def __init__(
        self, config: EmulatorConfig, settings: Settings, signing_key: RSAPrivateKey | None = None
    ) -> None:
        super().__init__(config, signing_key=signing_key)
        self.settings = settings
        self._ended = ExitStack()

    def connect(self, app: FastAPI) -> None:
        """Let `user_sync(app)` use this Clerk and `settings`, until `close`.

        Call it before the lifespan of `app` begins.
        """
        put_in(app, StandIn(settings=self.settings, transport=self.transport))
        self._ended.callback(take_out, app)

    def listen(self) -> dict[str, str]:
        """Answer on a port of this machine too, until `close`.

        Returns the whole environment for an application that runs in another process: this one's,
        with our settings replaced.
        """
        listener, bound = listen(EmulatorConfig())
        portal = self._ended.enter_context(start_blocking_portal())
        self._ended.enter_context(portal.wrap_async_context_manager(serving(self, listener)))
        schema = self.settings.database_schema
        ours = {
            **self.config.environment(),
            "CLERK_API_URL": bound.url,
            "CLERK_JWKS_URL": bound.jwks_url,
            "DATABASE_URL": _plain(self.settings.database_url),
            **({"DATABASE_SCHEMA": schema} if schema else {}),
        }
        # Our own names come before those of a `.env`, which the other process may read.
        own_names = {f"{PREFIX}{name}": value for name, value in ours.items()}
        return {**without_settings(os.environ), **ours, **own_names}

    def close(self) -> None:
        """End what `connect` and `listen` began."""
        self._ended.close()

    def signed_in_as(self, user: UserLike, **claims: Any) -> dict[str, str]:
        """The headers of a request by `user`: a session token, good for a minute.

        `claims` replace those of the token; a claim of None is left out.
        """
        return {"Authorization": f"Bearer {self.session_token(clerk_id_of(user), **claims)}"}

    def sign_up(self, **params: Any) -> dict[str, Any]:
        """`create_user`, with an address of the user's own where `params` name nothing else."""
        if not any(params.get(name) for name in IDENTIFIERS):
            params["email_address"] = [f"{uuid4().hex[:12]}@example.com"]
        return self.create_user(**params)


def clerk_id_of(user: UserLike) -> str:
    if isinstance(user, str):
        return user
    return user.clerk_id if isinstance(user, User) else str(user["id"])


def settings_for(
    config: EmulatorConfig, database_url: str, database_schema: str | None = None, **more: Any
) -> Settings:
    """Settings for an emulated Clerk. Neither the environment nor a `.env` is read."""
    of_clerk = {name.lower(): value for name, value in config.environment().items()}
    return _GivenAlone(
        _env_file=None,
        database_url=database_url,
        database_schema=database_schema or None,
        **{"clerk_rate_limit": 100_000, "log_level": "error", **of_clerk, **more},
    )


class _GivenAlone(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def _plain(secret: Any) -> str:
    return secret.get_secret_value() if secret else ""
