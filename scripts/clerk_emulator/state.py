"""A file that keeps an instance across runs: its secrets, its signing key and its users.

Sessions and undelivered webhooks are not kept.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.clerk_emulator.instance import ClerkInstance
from scripts.clerk_emulator.sessions import load_signing_key, private_pem
from scripts.clerk_emulator.user import Identification, User


@dataclass(frozen=True, kw_only=True)
class State:
    """The contents of the file."""

    instance_id: str
    secret_key: str
    webhook_secrets: tuple[str, ...]
    signing_key: rsa.RSAPrivateKey
    users: tuple[User, ...]


def load_state(path: Path) -> State | None:
    """The saved state, or None without a file. Raises `ValueError` if it is another file."""
    try:
        return _state(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a state file of the emulator") from error


def save_state(path: Path, state: State) -> None:
    """Replace the file atomically. Only its owner may read it, because it holds secrets."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(state, default=private_pem))
    beside.replace(path)


class StateFile:
    """Saves an instance within `every` seconds after a change, and at the end."""

    def __init__(self, path: Path, clerk: ClerkInstance, *, every: float = 0.5) -> None:
        self._path = path
        self._clerk = clerk
        self._every = every
        self._saved: tuple[int, rsa.RSAPrivateKey] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Save at once, so that a file that cannot be written is an error at the start."""
        self.save()
        self._task = asyncio.create_task(self._keep_saving())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.save()

    def save(self) -> None:
        """Write the file, unless nothing has changed since it was last written."""
        revision = (self._clerk.users.revision, self._clerk.keys.private_key)
        if revision == self._saved:
            return
        save_state(self._path, _snapshot(self._clerk))
        self._saved = revision

    async def _keep_saving(self) -> None:
        is_told = False
        while True:
            await asyncio.sleep(self._every)
            try:
                self.save()
                is_told = False
            except OSError as error:  # a full disk may have room again
                if not is_told:
                    print(f"The state cannot be saved: {error}", file=sys.stderr)
                is_told = True


def _snapshot(clerk: ClerkInstance) -> State:
    return State(
        instance_id=clerk.config.instance_id,
        secret_key=clerk.config.secret_key,
        webhook_secrets=clerk.config.webhook_secrets,
        signing_key=clerk.keys.private_key,
        users=tuple(clerk.users),
    )


def _state(saved: dict[str, Any]) -> State:
    return State(
        instance_id=saved["instance_id"],
        secret_key=saved["secret_key"],
        webhook_secrets=tuple(saved["webhook_secrets"]),
        signing_key=load_signing_key(saved["signing_key"]),
        users=tuple(_user(one) for one in saved["users"]),
    )


def _user(saved: dict[str, Any]) -> User:
    """A field that this release does not know, such as one of an older file, is left out."""
    known = {name: value for name, value in saved.items() if name in User.__dataclass_fields__}
    identifications = tuple(Identification(**one) for one in saved["identifications"])
    return User(**known | {"identifications": identifications})
