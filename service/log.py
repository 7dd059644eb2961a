"""One canonical line a request: who asked, what it did, how long it took. Nobody's data."""

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import partial
from random import getrandbits
from typing import Any, TextIO

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger, Processor

_SHARED: list[Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_LINE = "clerk_user_sync.line"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def line_logger(level: str, fmt: str, file: TextIO | None = None) -> FilteringBoundLogger:
    """A logger of our own: JSON lines, or colours where a person watches."""
    lines = _Lines(file or sys.stdout)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        lines,
        processors=[*_SHARED, _frames_without_locals, _renderer(fmt, lines)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger.bind()


def route_the_libraries(level: str, fmt: str) -> None:
    """For a process of our own: what the libraries say comes out in the same form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _frames_without_locals,
                _renderer(fmt, _Lines(sys.stdout)),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("httpx", "httpcore", "uvicorn.access", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Lines:
    """Written out in the next turn of the event loop, all of a turn's at once.

    A call to the system for each, and somebody at the other end of a pipe who is woken for each,
    would cost more than making them. A file that is full, closed or not there loses them, and that
    is all.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def write(self, line: str) -> None:
        if self._file is not None:
            with suppress(OSError, ValueError):
                self._file.write(f"{line}\n")
                _soon(partial(_flush, self._file))

    debug = info = warning = error = critical = msg = write
    """What structlog calls, whatever the level: the line has it already."""


def _soon(call: Callable[[], None]) -> None:
    """At once where no event loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
    else:
        loop.call_soon(call)


def _flush(file: TextIO) -> None:
    with suppress(OSError, ValueError):
        file.flush()


def _renderer(fmt: str, lines: _Lines) -> Processor:
    console = fmt == "console" or (fmt == "auto" and lines.isatty())
    if console:
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(serializer=_json)


def _json(event: dict[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _frames_without_locals(
    _: Any, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A traceback as places in the code. Messages and variables may hold a person's data."""
    raised = event.pop("exc_info", None)
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


def note(scope: MutableMapping[str, Any], **facts: Any) -> None:
    """Add to the request's line. Ids and outcomes only, never what a person wrote."""
    scope.setdefault(_LINE, {}).update(facts)


class CanonicalLog:
    """Writes the line, gives the request its id, and turns an unforeseen error into a 500."""

    def __init__(
        self,
        app: ASGIApp,
        internal_error: Callable[[], ASGIApp],
        observe: Callable[[str, int, float], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._app = app
        self._internal_error = internal_error
        self._observe = observe
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        response = _Response(send, _request_id(scope))
        note(scope, request_id=response.request_id, method=scope["method"])
        try:
            await self._app(scope, receive, response)
        except Exception as error:  # noqa: BLE001 - the last resort of every request
            self._log.error("unforeseen", request_id=response.request_id, exc_info=error)
            if not response.status:
                await self._internal_error()(scope, receive, response)
        finally:
            self._write(scope, response.status, time.perf_counter() - started)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's own pattern: a raw path may hold anything.
        route = getattr(scope.get("route"), "path", "unmatched")
        self._observe(route, status, seconds)
        self._log.info(
            "request",
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            **{name: fact for name, fact in scope[_LINE].items() if fact is not None},
        )


class _Response:
    """`send`, remembering the status and adding the request's id."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            header = (b"x-request-id", self.request_id.encode())
            message = {**message, "headers": [*message["headers"], header]}
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The caller's, if it is harmless in a log; else one of our own."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{getrandbits(128):032x}"  # an id, not a secret
