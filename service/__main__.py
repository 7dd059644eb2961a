"""`python -m service` serves; `python -m service migrate` brings the schema to head.

Exit codes: 0 stopped as asked, 64 unknown command, 69 store unreachable, 78 settings wrong.
"""

import asyncio
import logging
import os
import sys

from dotenv import dotenv_values
from pydantic import ValidationError

from domain import health
from domain.errors import SchemaRefused, StorageUnavailable
from domain.schema import Standing
from service.app import create_app
from service.bootstrap import (
    all_sql,
    migrate_store,
    missing_sql,
    read_settings,
    read_store_settings,
)
from service.edge.server import serve
from service.log import log_writer, route_the_libraries
from service.log_writer import LogWriter
from service.settings import Settings, StoreSettings, mistakes, unknown

USAGE, UNREACHABLE, MISCONFIGURED = 64, 69, 78


def main(arguments: list[str]) -> int:
    try:
        # To migrate, the database is enough.
        only_store = arguments[:1] == ["migrate"]
        settings = read_store_settings() if only_store else read_settings()
    except ValidationError as error:
        return _refuse(MISCONFIGURED, "These settings are missing or wrong:", *mistakes(error))
    lines = log_writer(settings.log_format)
    route_the_libraries(settings.log_level, settings.log_format, lines)
    try:
        return _run(arguments, settings, lines)
    finally:
        lines.close()


def _run(arguments: list[str], settings: StoreSettings, lines: LogWriter) -> int:
    if names := unknown({**dotenv_values(".env", encoding="utf-8-sig"), **os.environ}):
        logging.getLogger("service").warning("these are no settings: %s", ", ".join(names))
    match arguments:
        case [] | ["serve"] if isinstance(settings, Settings):
            return _serve(settings, lines)
        case ["migrate"]:
            return _migrate(settings)
        case ["migrate", "--sql", *which] if which in ([], ["all"]):
            return _write_sql(settings, of_all=bool(which))
        case _:
            return _refuse(USAGE, "usage: python -m service [serve | migrate [--sql [all]]]")


def _serve(settings: Settings, lines: LogWriter) -> int:
    try:
        return serve(create_app(settings, lines), settings)
    except StorageUnavailable as error:
        return _refuse(UNREACHABLE, f"There is no store to serve from: {error}")


def _migrate(settings: StoreSettings) -> int:
    try:
        state = asyncio.run(migrate_store(settings))
    except SchemaRefused as error:
        return _refuse(MISCONFIGURED, f"Nothing was changed: {error}")
    except StorageUnavailable as error:
        return _refuse(UNREACHABLE, f"The store cannot be migrated now: {error}")
    if state.standing is Standing.AHEAD:
        print(f"Nothing was changed: {health.schema(state).words}.")  # noqa: T201 - the answer
    else:
        print("The schema is at head.")  # noqa: T201 - the answer to a command
    return 0


def _write_sql(settings: StoreSettings, *, of_all: bool) -> int:
    """What is missing, or all for a new database: for a database administrator to run."""
    try:
        text = all_sql(settings) if of_all else asyncio.run(missing_sql(settings))
    except SchemaRefused as error:
        return _refuse(MISCONFIGURED, f"There is no SQL to run: {error}")
    except StorageUnavailable as error:
        return _refuse(UNREACHABLE, f"The store does not say what is missing: {error}")
    print(text or "-- The schema is at head.")  # noqa: T201 - the answer to a command
    return 0


def _refuse(code: int, *lines: str) -> int:
    print("\n  ".join(lines), file=sys.stderr)  # noqa: T201 - said before there is a log
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
