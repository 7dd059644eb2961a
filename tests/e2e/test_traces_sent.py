"""`TRACES_SHARE`: a service sends its spans where OpenTelemetry's variables say."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.effects import EFFECTS, FORGET
from tests.e2e.messages import sign_up
from tests.e2e.processes import ServiceProcess, environment_for, eventually, running_process
from tests.postgres_server import Sql


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Its address, and the paths and bodies of what has been sent to it."""
    sent: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()
        thread.join()


async def test_spans_are_sent_at_the_latest_when_it_stops(
    clerk: ClerkEmulator, store: str, tmp_path: Path
) -> None:
    with collector() as (address, sent):
        settings = {"TRACES_SHARE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": address}
        async with running_process(environment_for(clerk, store, **settings), tmp_path) as service:
            assert (await service.deliver(sign_up(clerk))).status_code == 204
            service.send_signal(signal.SIGTERM)
            assert await service.ended() == 0
    assert {path for path, _ in sent} == {"/v1/traces"}
    told = b"".join(body for _, body in sent)
    assert b"POST /webhooks/clerk" in told
    assert b"store.sync" in told
    assert b"@example.com" not in told


async def test_a_worker_sends_the_rest_of_the_trace(
    clerk: ClerkEmulator, store: str, sql: Sql, tmp_path: Path
) -> None:
    await sql.execute(EFFECTS)
    with collector() as (address, sent):
        tracing = {"TRACES_SHARE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": address}
        handlers = {"CHANGE_HANDLERS": "tests.e2e.change_handlers:changes", "EFFECTS_URL": store}
        environment = environment_for(clerk, store, **tracing)
        async with running_process(environment, tmp_path) as service:
            assert (await service.deliver(sign_up(clerk))).status_code == 204
            service.send_signal(signal.SIGTERM)
            assert await service.ended() == 0
        begun = b"".join(body for _, body in sent)
        sent.clear()
        worker = ServiceProcess({**environment, **handlers}, tmp_path, command="work")
        try:
            worker.spawn()
            count = "select count(*) > 0 from effects where subscription = 'steady'"
            await eventually(lambda: sql.fetchval(count))
            worker.send_signal(signal.SIGTERM)
            assert await worker.ended() == 0
        finally:
            await worker.close()
    place = await sql.fetchval("select traceparent from user_changes")
    await sql.execute(FORGET)
    trace = bytes.fromhex(place.split("-")[1])
    told = b"".join(body for _, body in sent)
    assert b"change.deliver" in told
    assert trace in begun
    assert trace in told
    assert b"@example.com" not in told


async def test_nothing_is_sent_unless_it_is_asked_for(
    clerk: ClerkEmulator, store: str, tmp_path: Path
) -> None:
    with collector() as (address, sent):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        async with running_process(environment_for(clerk, store, **settings), tmp_path) as service:
            assert (await service.deliver(sign_up(clerk))).status_code == 204
            service.send_signal(signal.SIGTERM)
            assert await service.ended() == 0
    assert sent == []
