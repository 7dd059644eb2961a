"""Log lines: JSON, or coloured text on a terminal. They hold ids and outcomes, no personal data."""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Protocol, TextIO

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from service.log_writer import LogWriter

_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_LINE = "clerk_user_sync.line"


class Lines(Protocol):
    """The destination of log lines: a `LogWriter`, or a text file."""

    def write(self, line: str, /) -> object: ...
    def isatty(self) -> bool: ...


def log_writer(fmt: str, file: TextIO | None = None) -> LogWriter:
    """The writer to `file`, by default standard output. All loggers of a process share one."""
    file = file or sys.stdout
    is_terminal = file is not None and _is_terminal(file)

    def dropped_line(count: int) -> str:
        line = StringIO()
        logger = _logger("warning", _renderer(fmt, is_terminal=is_terminal), line)
        logger.warning("log_lines_dropped", lines=count)
        return line.getvalue()

    return LogWriter(file, dropped_line)


def line_logger(level: str, fmt: str, lines: Lines) -> FilteringBoundLogger:
    """A logger that writes to `lines`, with one call for each line."""
    return _logger(level, _renderer(fmt, is_terminal=_is_terminal(lines)), lines)


def request_line(level: str, fmt: str, lines: Lines) -> Callable[[dict[str, Any]], None]:
    """A function that writes a request's line as `line_logger(…).info("request", …)` does.

    JSON lines bypass structlog, which would be most of their cost.
    """
    log = line_logger(level, fmt, lines)
    if not log.is_enabled_for(logging.INFO):
        return lambda _facts: None
    if not _is_json(fmt, is_terminal=_is_terminal(lines)):
        return lambda facts: log.info("request", **facts)

    def write(facts: dict[str, Any]) -> None:
        facts["event"] = "request"
        facts["level"] = "info"
        facts["timestamp"] = datetime.now(UTC)
        lines.write(_json(facts, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))

    return write


def route_the_libraries(level: str, fmt: str, lines: Lines) -> None:
    """Write the log lines of all libraries to `lines` too. Not for use in a host's process."""
    handler = _Handler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _frames_without_locals,
                _renderer(fmt, is_terminal=_is_terminal(lines)),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("httpx", "httpcore", "uvicorn.access", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def note(scope: MutableMapping[str, Any], **facts: Any) -> None:
    """Add facts to the request's log line. Ids and outcomes only, never text from a person."""
    scope.setdefault(_LINE, {}).update(facts)


def is_logged(scope: Mapping[str, Any]) -> bool:
    """Whether the request has a line, as in the service and not in a host's application."""
    return "request_id" in scope.get(_LINE, ())


def facts_of(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts that `note` added."""
    facts: Mapping[str, Any] = scope[_LINE]
    return facts


def _is_terminal(lines: Lines) -> bool:
    try:
        return lines.isatty()
    except (AttributeError, ValueError):  # less than a file, or closed
        return False


def _logger(level: str, renderer: Processor, lines: Lines) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Logger(lines),
        processors=[*_SHARED, _frames_without_locals, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger.bind()


class _Logger:
    """The logger that structlog calls. All levels are the same here: the line names its level."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def write(self, line: str) -> None:
        self._lines.write(f"{line}\n")

    debug = info = warning = error = critical = msg = write


class _Handler(logging.Handler):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._write = _Logger(lines).write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)


def _renderer(fmt: str, *, is_terminal: bool) -> Processor:
    if _is_json(fmt, is_terminal=is_terminal):
        return structlog.processors.JSONRenderer(serializer=_json)
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _is_json(fmt: str, *, is_terminal: bool) -> bool:
    return fmt == "json" or (fmt == "auto" and not is_terminal)


def _json(event: dict[str, Any], option: int = 0, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=option).decode()


def _frames_without_locals(
    _: Any, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Reduce an exception to its type and frames: the rest may hold personal data."""
    raised = event.pop("exc_info", None)
    if raised is True:  # what `log.exception` passes
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        event["frames"] = _frames(error)
    return event


def _frames(error: BaseException) -> list[str]:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[-12:]
