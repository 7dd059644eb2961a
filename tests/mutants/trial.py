"""Runs the tests on one mistake, in one process. Nothing is written to the working tree."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from types import ModuleType

import pytest

from tests.mutants.targets import ROOT, Target

_PYTEST = (
    *("-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"),
    # Plugins are imported before pytest starts, of which it would warn.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
_OURS = ("adapters", "domain", "service", "scripts", "bench", "tests")
_STILLBORN = 99

Judge = Callable[[Target, ModuleType], bool]


class Verdict(StrEnum):
    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"
    """The tests did not end, which counts as found."""
    STILLBORN = "stillborn"
    """It is not valid SQL, so it says nothing about the tests."""


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads a module from another source than its file."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, name: str, _path: object, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, f"<{self._module}, spoilt>", "exec"), module.__dict__)


def try_out(target: Target, source: str, seconds: float, is_stillborn: Judge) -> Verdict:
    """Run the target's tests with this source of the target."""
    child = os.fork()
    if child == 0:
        _in_the_child(target, source, is_stillborn)
    return _verdict(child, seconds)


def warm_up(tests: Sequence[str]) -> None:
    """Import third-party modules once, so that each child imports only ours."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        code = _pytest(tests)
        with os.fdopen(writing, "w") as names:
            names.write("\n".join([str(code), *sys.modules]))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as names:
        ended, *modules = names.read().splitlines()
    if ended != "0":
        raise SystemExit(f"the tests fail without any mistake: {' '.join(tests)}")
    for module in modules:
        if not _is_ours(module):
            with suppress(Exception):
                importlib.import_module(module)


def _in_the_child(target: Target, source: str, is_stillborn: Judge) -> None:
    os.setsid()
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]
    sys.meta_path.insert(0, Mutated(target.module, source))
    try:
        if is_stillborn(target, importlib.import_module(target.module)):
            os._exit(_STILLBORN)
    except Exception:  # noqa: BLE001 - any error at import would be found
        os._exit(1)
    os._exit(_pytest(target.tests))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS and not f"{module}.".startswith(f"{__package__}.")


def _pytest(tests: Sequence[str]) -> int:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(ROOT)
    return int(pytest.main([*_PYTEST, *tests]))


def _verdict(child: int, seconds: float) -> Verdict:
    looked = time.monotonic()
    while seconds > 0:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return {0: Verdict.SURVIVED, _STILLBORN: Verdict.STILLBORN}.get(code, Verdict.KILLED)
        time.sleep(0.02)
        passed, looked = time.monotonic() - looked, time.monotonic()
        seconds -= min(passed, 1.0)  # a suspended machine counts for a second
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Verdict.TIMED_OUT
