"""The demo that `make run` serves in another terminal: its settings, while it runs.

Commands find them by themselves, unless a key of Clerk or a database is configured: what is real
never meets the demo.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.dotenv import read_dotenv
from service.healthcheck import PREFIX
from service.settings import Settings

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where there is no embedded server and so no demo
    fcntl = None  # type: ignore[assignment]

FOLDER = "demo"
_FILE = "settings.env"
_OWN = ("CLERK_SECRET_KEY", "DATABASE_URL")
_OF_THE_NETWORK = ("_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def folder() -> Path:
    """Where the demo keeps its data, apart from that of a real Clerk instance."""
    return Path(_configured("DATA_DIR") or ".data").resolve() / FOLDER


def has_a_clerk_key() -> bool:
    """Whether this machine's settings name a Clerk instance. Wrong settings do too."""
    try:
        return _configured("CLERK_SECRET_KEY") is not None
    except ValidationError:
        return True  # the service says what is wrong with the file


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The same without our settings, except those of the way to the network."""
    ours = {name.upper() for name in Settings.model_fields}
    return {
        name: value
        for name, value in environment.items()
        if (bare := name.upper().removeprefix(PREFIX)) not in ours or bare.endswith(_OF_THE_NETWORK)
    }


@contextmanager
def shared(data: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Commands in other terminals find these settings while the block runs."""
    file = data / _FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        lines = [f"{name}='{value}'\n" for name, value in settings.items()]
        os.write(descriptor, "".join(lines).encode())
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def settings_of_the_demo() -> dict[str, Any]:
    """What `read_settings` takes to use the running demo; empty if it is not to be used.

    Raises `ValidationError` for a `.env` that cannot be read.
    """
    if any(_configured(name) for name in _OWN):
        return {}
    file = folder() / _FILE
    return {"_env_file": file} if _is_held(file) else {}


def _is_held(file: Path) -> bool:
    """Whether the demo runs. A file that was left by one that was killed is not held."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _configured(name: str) -> str | None:
    """A setting of the environment or `.env`; an empty one is none.

    The names are read in either case and by the precedence that the service has.
    """
    sources: tuple[Mapping[str, str | None], ...] = (os.environ, read_dotenv())
    given = [{key.upper(): value for key, value in source.items()} for source in sources]
    names = (f"{PREFIX}{name}", name)
    found = [source.get(one) for one in names for source in given]
    return next((value for value in found if value), None)
