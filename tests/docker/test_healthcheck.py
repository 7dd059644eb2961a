import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.e2e.processes import reserved_port

PROJECT = Path(__file__).parents[2]


@contextmanager
def answering(status: int, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a service that answers every request with that status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def check(port: int, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", "service.healthcheck"]
    environment = {**os.environ, "PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    environment |= settings
    return subprocess.run(
        command, cwd=PROJECT, env=environment, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1), (404, 1)])
def test_the_exit_code_says_what_healthz_says(status: int, exit_code: int) -> None:
    with answering(status) as port:
        assert check(port).returncode == exit_code


def test_a_worker_is_asked_on_its_only_port() -> None:
    with reserved_port() as nobody, answering(200) as port, answering(503) as ill:
        assert check(nobody.number, METRICS_PORT=str(port)).returncode == 0
        assert check(nobody.number, METRICS_PORT=str(ill)).returncode == 1
        assert check(ill, METRICS_PORT=str(port)).returncode == 1


@pytest.mark.parametrize(
    "host", ["::", "::0", "0:0:0:0:0:0:0:0", "[::1]", "0.0.0.0", "127.0.0.1", "localhost"]
)
def test_it_asks_where_the_service_listens(host: str) -> None:
    with answering(200, host.strip("[]")) as port:
        assert check(port, HOST=host).returncode == 0
        assert check(1, CLERK_USER_SYNC_PORT=str(port), host=host).returncode == 0


def test_it_leaves_out_what_kubernetes_sets_for_a_service() -> None:
    with answering(200) as port:
        assert check(port, CLERK_USER_SYNC_PORT="tcp://10.96.0.9:80").returncode == 0


@pytest.mark.parametrize("port", ["http", "99999", "-1"])
def test_a_port_that_is_none_is_not_healthy_and_no_traceback(port: str) -> None:
    ended = check(1, PORT=port)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")


def test_a_service_that_is_not_there_is_not_healthy() -> None:
    with reserved_port() as port:
        assert check(port.number).returncode == 1


def test_it_needs_nothing_but_the_standard_library() -> None:
    with answering(200) as port:
        assert check(port, "-S").returncode == 0
