"""A service that traces, and where its spans go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.traces import Traces
from tests.running import Service, client_of, settings_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
RECORDED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
NOT_RECORDED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}


@dataclass
class Traced:
    """A service, and where its spans go."""

    service: Service
    traces: Traces
    exporter: InMemorySpanExporter

    def spans(self) -> dict[str, ReadableSpan]:
        """By their names."""
        self.traces._provider.force_flush()
        return {span.name: span for span in self.exporter.get_finished_spans()}


@asynccontextmanager
async def tracing(
    clerk: ClerkEmulator,
    store_url: str,
    *,
    chance: float = 1.0,
    exporter: SpanExporter | None = None,
) -> AsyncIterator[Traced]:
    """A service that traces a hundredth. `chance` is what it draws each time."""
    memory = InMemorySpanExporter()
    traces = Traces(0.01, exporter or memory, chance=lambda: chance)
    app = create_app(settings_for(clerk, store_url, jit_deadline=10), StringIO(), traces)
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Traced(Service(http, app, clerk.config.webhook_secrets[0]), traces, memory)
