"""`python -m scripts.run`: start everything on this machine, run the demo, then serve.

With CLERK_SECRET_KEY in the environment or in `.env` it only starts the service, for that Clerk
instance.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TextIO, cast

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from scripts.commands.demo import folder, has_a_clerk_key, shared, without_settings
from scripts.run.children import Child, ChildEnded, child
from scripts.run.clerk import Clerk
from scripts.run.screen import (
    show_addresses,
    show_curls,
    show_dashboard_steps,
    show_request,
    story_table,
)
from scripts.run.shop import Shop
from scripts.run.story import Person, Story
from scripts.run.tokens import Tokens, kept_tokens
from service.bootstrap.store import embedded_address
from service.log_writer import LogWriter
from service.routes.webhooks import PATH
from service.signals import hangup

ROOT = Path(__file__).parents[2]
WITHIN = 60.0
"""Seconds for the start, and as many for the demo."""


def main(
    *,
    once: Annotated[
        bool, typer.Option(help="Run the demo and exit: 0 if every result is right.")
    ] = False,
    # Hidden, since the service of a real Clerk instance reads the variable alone.
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, hidden=True)] = 8000,
) -> None:
    """Start the service, its database and an emulated Clerk on this machine, and run a demo."""
    # A queue: when nothing reads the output, Ctrl-C must still stop everything.
    output = LogWriter(sys.stdout, lambda count: f"{count} lines were dropped.\n")
    # Without a terminal the width is unknown; the table needs 120 columns.
    width = None if sys.stdout.isatty() else 120
    console = Console(file=cast("TextIO", output), width=width)
    if not once and has_a_clerk_key():
        show_dashboard_steps(console)
        os.execv(sys.executable, [sys.executable, "-m", "service"])  # noqa: S606 - our own module
    try:
        raise typer.Exit(_demo(console) if once else _run(console, port))
    except (ChildEnded, OSError, httpx.HTTPError) as error:
        console.print(f"[red]{escape(_in_words(error))}.[/]")
        raise typer.Exit(1) from None
    finally:
        output.close()


def _in_words(error: Exception) -> str:
    if isinstance(error, ChildEnded):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"The start or the demo took longer than {WITHIN:.0f} seconds"
    return f"The demo cannot run: {str(error) or type(error).__name__}"


def _demo(console: Console) -> int:
    async def demo(data: Path) -> int:
        _cancel_on_signals()
        with suppress(asyncio.CancelledError):
            async with _started(data, service_port=0, clerk_port=0) as running:
                passed, _ = await running.demo(console)
                return 0 if passed else 1
        console.print("Stopped before the end of the demo.")
        return 1

    with tempfile.TemporaryDirectory() as data:
        return asyncio.run(demo(Path(data)))


def _run(console: Console, port: int) -> int:
    async def run(data: Path) -> int:
        _cancel_on_signals()
        console.print("Starting a Postgres, an emulated Clerk and the service …")
        with suppress(asyncio.CancelledError):
            async with _started(data, service_port=port, clerk_port=8401) as running:
                _, grace = await running.demo(console)
                with shared(data, running.settings):
                    running.show(console, grace, wanted_port=port)
                    console.print("\nServing. Ctrl-C stops.\n")
                    async for line in running.service.follow():
                        show_request(console, line)
                    running.service.check()
        console.print("Stopped. The data is kept.")
        return 0

    data = folder()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return asyncio.run(run(data))


def _cancel_on_signals() -> None:
    """Cancel this task on SIGINT, SIGTERM or a hangup, once: another must not cut the end short."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - called in a coroutine

    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, hangup()):
        if number is not None:
            asyncio.get_running_loop().add_signal_handler(number, cancel)


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A service that is ready and the emulator that it uses."""

    service: Child
    service_url: str
    database_url: str
    settings: Mapping[str, str]
    tokens: Tokens

    async def demo(self, console: Console) -> tuple[bool, Person]:
        """Run the demo and print it. Returns whether every result is right, and Grace."""
        key = {"Authorization": f"Bearer {self.settings['CLERK_SECRET_KEY']}"}
        clerk_url = self.settings["CLERK_API_URL"]
        async with (
            httpx.AsyncClient(base_url=clerk_url, headers=key, trust_env=False) as clerk,
            httpx.AsyncClient(base_url=self.service_url, trust_env=False) as service,
            httpx.AsyncClient(
                base_url=self.service_url,
                headers={"Authorization": f"Bearer {self.tokens.changes}"},
                trust_env=False,
            ) as shop,
            asyncio.timeout(WITHIN),
        ):
            story = Story(Clerk(clerk), service, Shop(shop), self.service)
            steps = [step async for step in story.steps()]
        console.print(story_table(steps))
        return all(step.passed for step in steps), story.people["Grace"]

    def show(self, console: Console, person: Person, wanted_port: int) -> None:
        """Print where everything is, and commands to try."""
        clerk_url, key = self.settings["CLERK_API_URL"], self.settings["CLERK_SECRET_KEY"]
        show_addresses(
            console,
            service=self.service_url,
            wanted_port=wanted_port,
            database=self.database_url,
            clerk=clerk_url,
            secret_key=key,
            console_token=self.tokens.console,
        )
        show_curls(console, self.service_url, clerk_url, key, person)


@asynccontextmanager
async def _started(data: Path, service_port: int, clerk_port: int) -> AsyncIterator[_Running]:
    """Raises `ChildEnded` if a process ends before the service is ready, or `TimeoutError`."""
    service_url = f"http://127.0.0.1:{_free(service_port)}"
    # In the demo's own folder, where there is no `.env`, with our modules on the path.
    ours = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    tokens = kept_tokens(data)
    emulator = child(
        "The Clerk emulator",
        "scripts.clerk_emulator",
        *("--json", "--port", str(_free(clerk_port)), "--state", str(data / "clerk.json")),
        *("--webhook-url", f"{service_url}{PATH}"),
        env={**without_settings(os.environ), **ours},
        folder=data,
    )
    async with emulator as clerk:
        settings = await clerk.line(lambda _: True)
        environment = {
            **without_settings(os.environ),
            **ours,
            "CHANGES_TOKEN": tokens.changes,
            "CONSOLE_OPERATOR_TOKEN": tokens.console,
            "DATA_DIR": str(data),
            "HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "info",
            "PORT": service_url.rpartition(":")[2],
            **settings,
        }
        async with child("The service", "service", env=environment, folder=data) as service:
            await _ready(service, service_url)
            yield _Running(
                service=service,
                service_url=service_url,
                database_url=embedded_address(data) or "",
                settings={**settings, "DATA_DIR": str(data)},
                tokens=tokens,
            )


async def _ready(service: Child, url: str) -> None:
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
        asyncio.timeout(WITHIN),
    ):
        while True:
            service.check()
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def _free(port: int) -> int:
    """This port if it is free, else one of the next nine, else any free port."""
    for wanted in (*range(port, min(port + 10, 65536) if port else 0), 0):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise OSError("no free port")


if __name__ == "__main__":
    typer.run(main)
