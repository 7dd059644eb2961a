"""What `python -m service` does: serve, work, migrate."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from pydantic import ValidationError

from domain import health
from domain.errors import SchemaRefused, StorageUnavailable
from domain.schema import Standing
from service.app import create_app, metrics_app
from service.bootstrap.settings import read_settings, read_store_settings, works_on
from service.bootstrap.store import all_sql, migrate_store, missing_sql
from service.deliveries import NameTakenTwice
from service.dotenv import read_dotenv
from service.edge.listening import CannotListen
from service.environment import prepare
from service.exit_code import ExitCode
from service.extras import MissingExtra, extra
from service.log import log_writer, route_the_libraries
from service.log_writer import LogWriter
from service.mistakes import MISTAKEN, mistakes, slips
from service.settings import StoreSettings
from service.streams import discard
from service.work import handlers_of, work

SomeSettings = TypeVar("SomeSettings", bound=StoreSettings)


def run(arguments: list[str]) -> ExitCode:
    """Run the command. Returns the exit code."""
    try:
        return _run(arguments)
    except ValidationError as error:
        return _refuse(ExitCode.MISCONFIGURED, MISTAKEN, *mistakes(error))
    except MissingExtra as error:
        return _refuse(ExitCode.MISCONFIGURED, str(error))


def _run(arguments: list[str]) -> ExitCode:
    match arguments:
        case [] | ["serve"]:
            return _serve()
        case ["work"]:
            return _work()
        case ["migrate"]:
            return _migrate()
        case ["migrate", "--sql", *which] if which in ([], ["all"]):
            return _write_sql(of_all=bool(which))
        case _:
            return _refuse(
                ExitCode.USAGE, "usage: python -m service [serve | work | migrate [--sql [all]]]"
            )


def _serve() -> ExitCode:
    with extra("server", "The server"):
        from service.edge.server import serve  # noqa: PLC0415 - only the extra has uvicorn

    with _configured(read_settings) as (settings, lines):
        try:
            app = create_app(settings, lines)
            serve(app, settings, metrics_app(app))
        except CannotListen as error:
            return _cannot_listen(error)
        except StorageUnavailable as error:
            return _refuse(ExitCode.UNAVAILABLE, f"The store cannot be opened: {error}")
    return ExitCode.OK


def _work() -> ExitCode:
    with _configured(read_settings) as (settings, lines):
        try:
            changes = handlers_of(settings)
        except ValueError as error:
            return _refuse(ExitCode.MISCONFIGURED, MISTAKEN, str(error))
        try:
            asyncio.run(work(settings, changes, lines))
        except NameTakenTwice as error:
            return _refuse(ExitCode.MISCONFIGURED, MISTAKEN, str(error))
        except CannotListen as error:
            return _cannot_listen(error)
        except StorageUnavailable as error:
            return _refuse(ExitCode.UNAVAILABLE, f"The store cannot be opened: {error}")
    return ExitCode.OK


def _migrate() -> ExitCode:
    with _configured(read_store_settings) as (settings, _):
        _say(f"migrate: {works_on(settings)}")
        try:
            state = asyncio.run(migrate_store(settings))
        except SchemaRefused as error:
            return _refuse(ExitCode.MISCONFIGURED, f"Nothing was changed: {error}")
        except StorageUnavailable as error:
            return _refuse(ExitCode.UNAVAILABLE, f"The store cannot be migrated now: {error}")
        except KeyboardInterrupt:
            kept = "Completed migrations are kept, and the same command goes on after them."
            return _refuse(ExitCode.INTERRUPTED, f"Stopped. {kept}")
    if state.standing is Standing.AHEAD:
        return _answer(f"Nothing was changed: {health.schema(state).words}.")
    return _answer("The schema is at head.")


def _write_sql(*, of_all: bool) -> ExitCode:
    """Print the missing SQL, or all of it, for a database administrator to run."""
    with _configured(read_store_settings, log=sys.stderr) as (settings, _):
        try:
            text = all_sql(settings) if of_all else asyncio.run(missing_sql(settings))
        except SchemaRefused as error:
            return _refuse(ExitCode.MISCONFIGURED, f"The schema cannot be migrated: {error}")
        except StorageUnavailable as error:
            return _refuse(ExitCode.UNAVAILABLE, f"The schema cannot be read: {error}")
        except KeyboardInterrupt:
            return _refuse(ExitCode.INTERRUPTED, "Stopped. Nothing was printed.")
    return _answer(text or "-- The schema is at head.")


@contextmanager
def _configured(
    read: Callable[[], SomeSettings], log: TextIO | None = None
) -> Iterator[tuple[SomeSettings, LogWriter]]:
    """The settings, and the log in the format that they name, by default on standard output.

    Raises `ValidationError`.
    """
    prepare(os.environ)
    settings = read()
    lines = log_writer(settings.log_format, log)
    route_the_libraries(settings.log_level, settings.log_format, lines)
    if names := slips({**read_dotenv(), **os.environ}):
        logging.getLogger("service").warning("unknown settings: %s", ", ".join(names))
    try:
        yield settings, lines
    finally:
        lines.close()


def _cannot_listen(error: CannotListen) -> ExitCode:
    code = ExitCode.PORT_TAKEN if error.is_taken else ExitCode.MISCONFIGURED
    return _refuse(code, f"The port cannot be opened: {error}")


def _answer(text: str) -> ExitCode:
    """Print the answer to a command. Returns the exit code."""
    try:
        print(text, flush=True)  # noqa: T201
    except OSError as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return ExitCode.BROKEN_PIPE
        return _refuse(ExitCode.IO_ERROR, f"Input or output: {error.strerror}")
    return ExitCode.OK


def _refuse(code: ExitCode, *lines: str) -> ExitCode:
    _say(*lines)
    return code


def _say(*lines: str) -> None:
    """Write a message to stderr, for there may be no log yet; it is dropped if stderr is full."""
    try:
        print("\n  ".join(lines), file=sys.stderr)  # noqa: T201
    except OSError:
        discard(sys.stderr)
