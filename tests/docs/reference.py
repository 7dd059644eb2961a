"""The facts in the code, as the rows of the pages under docs/reference/."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from domain.errors import SyncError
from scripts.program import ENTRIES
from service.app import create_app
from service.errors import status_of
from service.exit_code import ExitCode
from service.log_writer import LogWriter
from service.metrics import Metrics
from service.settings import Settings
from tests.postgres_server import Sql

Row: TypeAlias = tuple[str, ...]
"""The cells that the code knows. An additional cell on the page is written by a person."""

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
TO_WRITE = "…"


@dataclass(frozen=True)
class Page:
    """A page whose table rows begin with a name in code style."""

    name: str

    @property
    def rows(self) -> list[Row]:
        lines = (PAGES / f"{self.name}.md").read_text().splitlines()
        return [cells(line) for line in lines if line.startswith("| `")]


def cells(line: str) -> Row:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])


def line(row: Row) -> str:
    return f"| {' | '.join(row)} |"


def faults(page: Page, known: Sequence[Row], *, columns: int) -> list[str]:
    """The corrections that the page needs, line by line. `columns` is the number of its columns."""
    there = {row[: len(known[0])]: row for row in page.rows}
    where = f"docs/reference/{page.name}.md"
    found = []
    for row in known:
        whole = line((*row, *[TO_WRITE] * (columns - len(row))))
        if row not in there:
            found.append(f"{where}: add this line, and say what … is:\n{whole}")
        elif len(there[row]) != columns or not all(there[row]) or TO_WRITE in there[row]:
            found.append(f"{where}: complete this line:\n{whole}")
    strange = [row for start, row in there.items() if start not in known]
    return found + [
        f"{where}: the code knows nothing of this line:\n{line(row)}" for row in strange
    ]


def metrics() -> list[Row]:
    """The metrics of an application with a log and without a store."""
    every = Metrics()
    every.watch_log(LogWriter(None, str))
    every.watch_keys(lambda: 0)
    rows: list[Row] = []
    for collector in every._registry._collector_to_names:
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            total = "_total" if family.type == "counter" else ""
            name = f"`{family.name}{total}`"
            rows.append((name, family.type, labels or "none", family.documentation))
    return rows


def settings() -> list[Row]:
    meanings = dict(_meanings((ROOT / ".env.example").read_text()))
    return [
        (f"`{name.upper()}`", _default(name), meanings.get(name.upper(), TO_WRITE))
        for name in Settings.model_fields
    ]


def exit_codes() -> list[Row]:
    return [
        (
            f"`{code:d}`",
            code.meaning,
            ", ".join(name for name, entry in ENTRIES.items() if code in entry.exit_codes),
        )
        for code in ExitCode
    ]


def answers() -> list[Row]:
    """Every status and code of our HTTP API. The console answers with pages instead."""
    document = create_app(_SETTINGS).openapi()
    return [
        (
            f"`{method.upper()} {path}` {status}",
            ", ".join(f"`{code}`" for code in _codes(answer)) or "none",
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
    ]


def codes() -> list[Row]:
    """Every `code` of a problem document, with its status."""
    sources = "".join(path.read_text() for path in (ROOT / "service").rglob("*.py"))
    found = {(code, status) for status, code in _STATUS_AND_CODE.findall(sources)}
    named = {(error.code, str(status_of(error))) for error in _errors(SyncError)}
    return [(f"`{code}`", status) for code, status in sorted(found | named | _FRAMEWORKS)]


def log_events() -> list[Row]:
    """Every event that the service logs, with its level."""
    levels: dict[str, set[str]] = {}
    for path in (ROOT / "service").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            for event in _events(call):
                level = call.func.attr.replace("exception", "error")  # type: ignore[attr-defined]
                levels.setdefault(event, set()).add(level)
    return [(f"`{event}`", ", ".join(sorted(found))) for event, found in sorted(levels.items())]


def _events(call: ast.AST) -> list[str]:
    """The events that a call of a logger may name."""
    match call:
        case ast.Call(func=ast.Attribute(attr=level), args=[event]) if level in _LEVELS:
            names = [one.value for one in ast.walk(event) if isinstance(one, ast.Constant)]
            return [name for name in names if isinstance(name, str) and _EVENT.fullmatch(name)]
    return []


async def tables(sql: Sql) -> list[Row]:
    """Every column of ours in a database at head."""
    columns = await sql.fetch(_COLUMNS)
    return [
        (f"`{column['name']}`", column["type"], "yes" if column["may_be_null"] else "no")
        for column in columns
    ]


_SETTINGS = Settings(
    _env_file=None,
    clerk_secret_key="sk_test_reference_only",
    clerk_issuer="https://clerk.example.com",
    clerk_webhook_signing_secret="whsec_ZGVtbyBvbmx5LCBuZXZlciBmb3IgcHJvZHVjdGlvbi4=",
    changes_token="for the reference only, of 32 characters",
    docs=True,
)

_LEVELS = ("debug", "info", "warning", "error", "exception")
_EVENT = re.compile("[a-z_]+")

_STATUS_AND_CODE = re.compile(r'\(([45]\d\d), "([a-z_]+)"')

_FRAMEWORKS = {("not_found", "404"), ("method_not_allowed", "405")}
"""What the framework refuses, in our form: `service.errors.answer_everything`."""

_COLUMNS = """
select
    pg_class.relname || '.' || attname as name,
    format_type(atttypid, atttypmod) as type,
    not attnotnull as may_be_null
from pg_attribute join pg_class on pg_class.oid = attrelid where relnamespace =
current_schema::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped order by
pg_class.relname, attnum
"""


def _meanings(example: str) -> Iterator[tuple[str, str]]:
    """The comment above each setting. Settings that follow each other share theirs."""
    comment: list[str] = []
    was_setting = False
    for text in example.splitlines():
        if text.startswith("# "):
            comment = [] if was_setting or text.startswith("# --- ") else comment
            comment += [] if text.startswith("# --- ") else [text.removeprefix("# ")]
            was_setting = False
        elif "=" in text:
            was_setting = True
            yield text.partition("=")[0], " ".join(comment).replace("|", r"\|") or TO_WRITE
        else:
            comment = []


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.is_required():
        return "required"
    if field.default in (None, "", ()):
        return "unset"
    return f"`{int(field.default) if isinstance(field.default, bool) else field.default}`"


def _codes(answer: Mapping[str, Any]) -> list[str]:
    bodies = answer.get("content", {}).values()
    schemas = [body.get("schema", {}) for body in bodies]
    return [
        code
        for one in schemas
        for code in one.get("properties", {}).get("code", {}).get("enum", [])
    ]


def _errors(kind: type[SyncError]) -> Iterator[type[SyncError]]:
    for error in kind.__subclasses__():
        yield error
        yield from _errors(error)
