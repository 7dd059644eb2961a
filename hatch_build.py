"""Build one importable package, `clerk_user_sync`, from the folders of the repository.

The repository imports `domain.user`. In the wheel it is `clerk_user_sync.domain.user`, so that our
packages do not collide with a host's own `domain` or `service`. First-party imports are rewritten,
and so are the names of commands in texts.
"""

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "clerk_user_sync"
FOLDERS = ("domain", "adapters", "service", "scripts", "testing")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "run")  # `run` is the repository's demo
MOVED = {
    "service/public.py": "__init__.py",
    "service/__main__.py": "__main__.py",
    # Outside of `testing`, which imports much, because pytest loads plugins at every start.
    "testing/plugin.py": "pytest_plugin.py",
}

Places = dict[str, tuple[str, str]]

_FROM = re.compile(rf"(?m)^( *from )((?:{'|'.join(FOLDERS)})(?:\.[\w.]+)? import )")
_IMPORT = re.compile(rf"(?m)^ *import (?:{'|'.join(FOLDERS)})\b.*$")
_COMMAND = re.compile(r"python -m (?:scripts\.replay_webhooks|service)\b(?!\.)")
_PLACES = "PLACES: Mapping[str, tuple[str, str]] = {}"


class ReRooted(BuildHookInterface[Any]):
    """Builds the package in a directory, which is then put into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            raise NotImplementedError("an editable install would not be re-rooted")
        self._made = Path(tempfile.mkdtemp())
        package = self._made / PACKAGE
        for folder in FOLDERS:
            shutil.copytree(Path(self.root, folder), package / folder, ignore=LEFT_OUT)
        places = places_of((package / "service/surface.py").read_text("utf-8"))
        (package / "__init__.pyi").write_text(stub(places), "utf-8")
        for here, there in MOVED.items():
            shutil.copy(package / here, package / there)
        for file in (*package.rglob("*.py"), *package.rglob("*.html")):
            file.write_text(re_rooted(file.read_text("utf-8"), places), "utf-8")
        (package / "py.typed").touch()
        build_data["force_include"][str(package)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact: str) -> None:
        del version, build_data, artifact
        shutil.rmtree(self._made)


def re_rooted(source: str, places: Places) -> str:
    """`source` with its imports rewritten. Raises `ValueError` for one that cannot be."""
    if found := _IMPORT.search(source):
        raise ValueError(f"say `from … import …` instead of {found[0]!r}")
    source = _FROM.sub(rf"\1{PACKAGE}.\2", source.replace(_PLACES, f"{_PLACES[:-2]}{places!r}"))
    return _COMMAND.sub("clerk-user-sync", source)


def places_of(surface: str) -> Places:
    """The module of each public name, and its name there."""
    return {
        alias.asname or alias.name: (statement.module or "", alias.name)
        for statement in ast.parse(surface).body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def stub(places: Places) -> str:
    """A stub of the public names for type checkers, which do not see `__getattr__`."""
    lines = [f"from .{module} import {there} as {name}" for name, (module, there) in places.items()]
    return "\n".join([*lines, "__version__: str", ""])
