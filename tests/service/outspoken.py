"""`python -m service` with OpenTelemetry's output printed, and with a route that fails."""

import os
import sys
from typing import Any

from opentelemetry import _logs, trace
from opentelemetry._logs import Logger, LoggerProvider, NoOpLogger
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Tracer, TracerProvider

from service.app import create_app, metrics_app
from service.bootstrap.settings import read_settings
from service.edge.server import serve
from service.log import log_writer, route_the_libraries


class OutspokenSpan(NonRecordingSpan):
    def is_recording(self) -> bool:
        return True

    def set_attributes(self, attributes: Any) -> None:
        say("span attributes", attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        say("span attribute", key, value)

    def add_event(self, name: str, *rest: Any, **more: Any) -> None:
        say("span event", name, rest, more)

    def record_exception(self, exception: BaseException, *rest: Any, **more: Any) -> None:
        say("span exception", exception, rest, more)

    def update_name(self, name: str) -> None:
        say("span name", name)


class OutspokenTracer(Tracer):
    def start_span(self, name: str, *rest: Any, **more: Any) -> Span:
        say("span", name, rest, more)
        return OutspokenSpan(SpanContext(1, 1, is_remote=False))

    def start_as_current_span(self, name: str, *rest: Any, **more: Any) -> Any:
        return trace.use_span(self.start_span(name, *rest, **more))


class OutspokenTracers(TracerProvider):
    def get_tracer(self, *_: Any, **__: Any) -> Tracer:
        return OutspokenTracer()


class OutspokenLogger(NoOpLogger):
    def emit(self, *said: Any, **more: Any) -> None:
        say("log", said, more)


class OutspokenLoggers(LoggerProvider):
    def get_logger(self, name: str, *_: Any, **__: Any) -> Logger:
        return OutspokenLogger(name)


def say(*words: object) -> None:
    print("telemetry:", *map(repr, words), file=sys.stderr)


async def failing(password: str = "canary") -> None:
    try:
        os.environ[f"canary {password}"]
    except LookupError as cause:
        raise RuntimeError("canary") from cause


def main() -> None:
    trace.set_tracer_provider(OutspokenTracers())
    _logs.set_logger_provider(OutspokenLoggers())
    settings = read_settings()
    lines = log_writer(settings.log_format)
    route_the_libraries(settings.log_level, settings.log_format, lines)
    app = create_app(settings, lines)
    app.get("/failing")(failing)
    try:
        serve(app, settings, metrics_app(app))
    finally:
        lines.close()


if __name__ == "__main__":
    main()
