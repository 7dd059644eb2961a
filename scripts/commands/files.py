"""`file` replays deliveries from JSON Lines; `export` writes those of our journal."""

import io
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from domain.journal import JournalQuery
from domain.replay import RecordedDelivery, Replayed, Verdict, recorded
from scripts.commands.command import ASKED_ABOVE, AsJson, Command, DryRun, Run, Yes
from scripts.commands.ending import Refusal
from scripts.commands.filters import with_filters
from scripts.commands.journal import here
from scripts.commands.jsonl import BadLine, numbered_lines, read_line, write_line
from scripts.commands.replaying import AFTER_A_REPLAY, replay
from scripts.commands.screen import interruptible
from service.exit_code import ExitCode
from service.streams import discard

STANDARD = "-"

Source = Annotated[str, typer.Argument(metavar="PATH", help="JSON Lines; - is standard input.")]
Target = Annotated[
    str,
    typer.Argument(metavar="PATH", help="- is standard output. Only its owner may read the file."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]


def file(
    path: Source, *, yes: Yes = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Replay deliveries from a file that `export` wrote, of this environment or another."""
    command = Command(
        name="file",
        action="replay",
        options={"from": "standard input" if path == STANDARD else "a file"},
        if_stopped=AFTER_A_REPLAY,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
    command(partial(_replay_file, path=path))


@with_filters
def export(
    path: Target = STANDARD,
    *,
    wanted: JournalQuery,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Write deliveries of our journal as JSON Lines. They hold personal data: keep them safe."""
    command = Command(
        name="export",
        if_stopped="The file is incomplete, and its last line may be cut; export it again.",
        dry_run=dry_run,
        exclusive=False,
        counted=False,
    )
    command(partial(_export, wanted=wanted, path=path, force=force))


async def _replay_file(run: Run, *, path: str) -> ExitCode:
    with _opened(path) as stream:
        total = _number_of_lines(stream) if stream.seekable() else None
        run.require_consent(total or 0, "deliveries would be replayed")
        lines = _read_once(run, stream) if total is None else numbered_lines(stream)
        return await replay(run, _deliveries(lines, path), here(run), total)


def _number_of_lines(stream: BinaryIO) -> int:
    start = stream.tell()
    with interruptible():
        number = sum(1 for _ in numbered_lines(stream))
    stream.seek(start)
    return number


def _read_once(run: Run, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines of a pipe or a terminal. Their number is not known, so consent is asked late."""
    lines = numbered_lines(stream)
    done = f"first {ASKED_ABOVE} deliveries are replayed"
    for count, numbered in enumerate(iter(partial(_next, lines), None), start=1):
        if count == ASKED_ABOVE + 1:
            run.consent(f"The {done}, and more have come", f"Stopped: the {done}.")
        yield numbered


def _next(lines: Iterator[tuple[int, bytes]]) -> tuple[int, bytes] | None:
    with interruptible():
        return next(lines, None)


async def _deliveries(
    lines: Iterator[tuple[int, bytes]], path: str
) -> AsyncIterator[RecordedDelivery | Replayed]:
    """Every line as a delivery, or as a failure with the line's number.

    Raises `Refusal` for an empty or a binary file.
    """
    number = 0
    for number, line in lines:
        if b"\0" in line:
            raise Refusal(ExitCode.BAD_DATA, f"{path} is binary, not JSON Lines (line {number})")
        yield _read(number, line)
    if not number:
        raise Refusal(ExitCode.BAD_DATA, f"{path} is empty: there is nothing to replay")


def _read(number: int, line: bytes) -> RecordedDelivery | Replayed:
    try:
        return read_line(line)
    except BadLine as bad:
        return Replayed(svix_id=f"line {number}", verdict=Verdict.FAILED, reason=str(bad))


async def _export(run: Run, *, wanted: JournalQuery, path: str, force: bool) -> ExitCode:
    journal = run.operations.store.journal
    deliveries = recorded(journal, wanted, run.operations.clerk.delivery_reader)
    total = await journal.count(wanted)
    with (
        _created(path, force=force, dry_run=run.dry_run) as stream,
        run.screen.progress("deliveries", total) as advance,
    ):
        async for delivery in deliveries:
            run.tally[_write(stream, delivery)] += 1
            advance(1)
    written, gone = run.tally["written"], run.tally[Verdict.NO_BODY]
    verb = "would be written" if run.dry_run else "written"
    run.screen.say(f"{written} {verb}, {gone} left out because their body is gone")
    return ExitCode.OK


def _write(stream: BinaryIO, delivery: RecordedDelivery | Replayed) -> str:
    if isinstance(delivery, Replayed):
        return delivery.verdict
    stream.write(write_line(delivery))
    return "written"


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    try:
        with interruptible():  # a pipe without a writer holds it up
            stream = Path(path).open("rb")  # noqa: SIM115 - an error of the block is not one of the file
    except OSError as error:
        raise Refusal(
            ExitCode.BAD_DATA, f"{path} cannot be read: {error.strerror or error}"
        ) from None
    with stream:
        yield stream


@contextmanager
def _created(path: str, *, force: bool, dry_run: bool) -> Iterator[BinaryIO]:
    """A file that only its owner can read, or standard output; in a dry run, the null device."""
    if path == STANDARD and not dry_run:
        with standard_output() as stream:
            yield stream
        return
    opener = _nowhere if dry_run else _private
    try:
        with interruptible():
            stream = open(path, "wb", opener=partial(opener, force=force))  # noqa: SIM115 - as in `_opened`
    except FileExistsError:
        words = f"{path} exists: --force overwrites it"
        raise Refusal(ExitCode.USAGE, words) from None
    except OSError as error:
        raise Refusal(
            ExitCode.BAD_DATA, f"{path} cannot be written: {error.strerror or error}"
        ) from None
    with stream:
        yield stream


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Standard output, which takes whole lines, and ends without an error if its reader stops
    early, as in `export | head`.

    Under PYTHONUNBUFFERED it is a raw file otherwise, whose `write` may take a part only.
    """
    output = sys.stdout.buffer
    stream = io.BufferedWriter(output) if isinstance(output, io.RawIOBase) else output
    try:
        yield stream
        stream.flush()
    except BrokenPipeError:
        discard(sys.stdout)
    finally:
        if isinstance(stream, io.BufferedWriter) and stream is not output:
            stream.detach()


def _nowhere(path: str, flags: int, *, force: bool) -> int:
    """Open the null device. Raises what `_private` would, where a look can tell."""
    target = Path(os.devnull if path == STANDARD else path)
    if target.is_file() or target.is_dir():
        os.close(_free(path, os.O_WRONLY, force=force))
    else:
        target.parent.stat()
    return os.open(os.devnull, flags)


def _private(path: str, flags: int, *, force: bool) -> int:
    """Open a file for its owner alone. The mode of a device or a pipe is not changed."""
    descriptor = _free(path, flags, force=force)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
        os.truncate(descriptor, 0)
    return descriptor


def _free(path: str, flags: int, *, force: bool) -> int:
    """Open a file as it is. Without `force`, raises `FileExistsError` if it has content."""
    descriptor = os.open(path, flags & ~os.O_TRUNC, 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_size and not force:
        os.close(descriptor)
        raise FileExistsError(path)
    return descriptor
