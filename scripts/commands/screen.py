"""Progress on stderr, if it is a terminal; results on stdout, for people or for machines."""

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import current_thread, main_thread
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from domain.user import Outcome
from service.streams import discard

OUTCOMES = (*(outcome.value for outcome in Outcome), "quarantined", "failed")
"""The outcomes of observations and deliveries, in the order of the final table."""

_WRITTEN = (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED)

_WIDE = 200


def would_be(outcome: str) -> str:
    """The word for an outcome in a run that writes nothing."""
    return f"would be {outcome}" if outcome in _WRITTEN else outcome


def written(value: object) -> str:
    """A value as text, with control characters escaped."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat()
        case str():
            return _visible(value) if value else '""'
        case _:
            return _visible(orjson.dumps(value, default=str).decode())


def _visible(text: str) -> str:
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class Screen:
    """The output of a command. With `as_json`, stdout has one JSON object on each line.

    Methods that write to stdout raise `BrokenPipeError` if its reader has gone.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _Output(soft_wrap=True, highlight=False, emoji=False)
        self._err = _Output(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    def say(self, words: str) -> None:
        """Write a message about the run to stderr; it is dropped if stderr is closed or full."""
        try:
            self._err.print(words, markup=False)
        except OSError:
            discard(sys.stderr)

    def close(self) -> None:
        """Discard all further output: the reader of stdout has gone."""
        discard(sys.stdout)

    def close_if_full(self) -> None:
        """Discard output that cannot be written."""
        try:
            sys.stdout.flush()
        except OSError:
            self.close()

    @property
    def can_ask(self) -> bool:
        """Whether there is a terminal for a question."""
        return sys.stdin.isatty() and self._err.is_terminal

    def ask(self, question: str) -> bool:
        """Ask, and wait for the answer. Anything but yes means no."""
        self.say(f"{question} [y/N]")
        with interruptible():
            return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def line(self, words: str) -> None:
        """Print a line of the result, for people."""
        if not self.as_json:
            self._out.print(words, markup=False)

    def record(self, fields: Mapping[str, Any]) -> None:
        """Write a line of the result, for machines: in UTF-8, whatever the terminal's encoding."""
        if self.as_json:
            line = orjson.dumps(dict(fields), default=str, option=orjson.OPT_APPEND_NEWLINE)
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    def table(self, title: str, rows: Mapping[str, object]) -> None:
        """Print a table of two columns, for people."""
        if self.as_json:
            return
        table = Table(title=title, title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, value in rows.items():
            table.add_row(name, str(value))
        self._out.print(table)

    def wide_table(self, table: Table) -> None:
        """Print a table, for people. Without a terminal it is wide enough not to wrap lines."""
        if not self.as_json:
            width = None if self._out.is_terminal else _WIDE
            self._out.print(table, width=width, soft_wrap=False)

    @contextmanager
    def progress(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show progress. Yields a function to call with the number of items done since."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self._err,
            disable=not self._err.is_terminal,
        ) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done: progress.advance(task, done)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a read that blocks; asyncio's handler would wait for it to return."""
    if current_thread() is not main_thread():
        yield
        return
    asyncios = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, asyncios)


class Tally(Counter[str]):
    """The number of each outcome."""

    def as_table(self) -> dict[str, int]:
        """Every outcome, also those with 0."""
        return {outcome: self[outcome] for outcome in OUTCOMES}


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Raise, because Rich would end the process with exit code 1."""
        raise BrokenPipeError


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0
        return Text(f"{speed:,.0f}/s")
