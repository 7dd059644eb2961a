"""The traces of a process, if TRACES_SHARE is set."""

from typing import TYPE_CHECKING

from service.extras import extra
from service.settings import Settings

if TYPE_CHECKING:
    from service.traces import Traces


def traces_of(settings: Settings) -> "Traces | None":
    """Sends spans where OpenTelemetry's variables say. Raises `MissingExtra`."""
    if not settings.traces_share:
        return None
    # Imported only if it is used: the import takes as long as the rest of a start.
    with extra("otel", "TRACES_SHARE"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        from service.traces import Traces  # noqa: PLC0415

    return Traces(settings.traces_share, OTLPSpanExporter())
