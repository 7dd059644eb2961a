"""`python -m scripts.run`: everything on this machine, the main job shown, then it serves.

With CLERK_SECRET_KEY in the environment or `.env` it serves the real thing instead.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from contextlib import AsyncExitStack, closing
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

import httpx
import typer
from dotenv import dotenv_values
from rich.console import Console

from scripts.run.children import Child, ChildEnded, child
from scripts.run.clerk import Clerk
from scripts.run.screen import (
    show_addresses,
    show_console,
    show_curls,
    show_dashboard_steps,
    show_request,
    story_table,
)
from scripts.run.story import Step, Story

READY_WITHIN = 60.0
STORY_WITHIN = 60.0


def main(
    *,
    once: Annotated[
        bool, typer.Option(help="Show the story, then end; 0 if it was right.")
    ] = False,
) -> None:
    """The service, its store and its Clerk on this machine."""
    # Not a terminal: wide enough for the table to stay in one piece.
    console = Console(width=None if sys.stdout.isatty() else 120)
    if not once and _has_a_clerk_key():
        show_dashboard_steps(console)
        os.execv(sys.executable, [sys.executable, "-m", "service"])  # noqa: S606 - our own module
    try:
        code = _demo(console) if once else _run(console)
    except ChildEnded as error:
        console.print(f"[red]{error}.[/]")
        code = 1
    raise typer.Exit(code)


def _demo(console: Console) -> int:
    with tempfile.TemporaryDirectory() as data:
        return asyncio.run(_show_once(console, Path(data)))


def _run(console: Console) -> int:
    data = Path(os.environ.get("DATA_DIR", ".data"))
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return asyncio.run(_show_and_serve(console, data))


async def _show_once(console: Console, data: Path) -> int:
    async with AsyncExitStack() as stack:
        stage = await _stage(stack, data, service_port=0, clerk_port=0)
        return 0 if await stage.play(console) else 1


async def _show_and_serve(console: Console, data: Path) -> int:
    stop = _asked_to_stop()
    async with AsyncExitStack() as stack:
        port = int(os.environ.get("PORT", "8000"))
        stage = await _stage(stack, data, service_port=port, clerk_port=8401)
        await stage.play(console)
        stage.show(console)
        await _serve_until(stop, console, stage.service)
    console.print("Stopped. The data is kept.")
    return 0


class Stage:
    """A running service and a running Clerk, and the addresses of both."""

    def __init__(
        self,
        service: Child,
        service_url: str,
        console_token: str,
        *,
        clerk_url: str,
        secret_key: str,
    ) -> None:
        self.service = service
        self._service_url = service_url
        self._console_token = console_token
        self._clerk_url = clerk_url
        self._secret_key = secret_key
        self._story: Story | None = None

    async def play(self, console: Console) -> bool:
        """Tell the story and show it. Whether everything was as it should be."""
        key = {"Authorization": f"Bearer {self._secret_key}"}
        async with (
            httpx.AsyncClient(base_url=self._clerk_url, headers=key) as clerk,
            httpx.AsyncClient(base_url=self._service_url) as service,
            asyncio.timeout(STORY_WITHIN),
        ):
            self._story = Story(Clerk(clerk), service, self.service)
            steps: list[Step] = [step async for step in self._story.told()]
        console.print(story_table(steps))
        return all(step.right for step in steps)

    def show(self, console: Console) -> None:
        """Where everything is, and what to try."""
        show_addresses(console, self._service_url, self._clerk_url, self._secret_key)
        show_console(console, self._service_url, self._console_token)
        if self._story:
            show_curls(
                console,
                self._service_url,
                self._clerk_url,
                self._secret_key,
                self._story.people["Grace"],
            )
        console.print("\nServing. Ctrl-C stops.\n")


async def _stage(stack: AsyncExitStack, data: Path, service_port: int, clerk_port: int) -> Stage:
    service_url = f"http://127.0.0.1:{_free(service_port)}"
    clerk = await stack.enter_async_context(
        child(
            "The Clerk emulator",
            "scripts.clerk_emulator",
            *("--json", "--port", str(_free(clerk_port)), "--state", str(data / "clerk.json")),
            *("--webhook-url", f"{service_url}/webhooks/clerk"),
            env={"PYTHONUNBUFFERED": "1"},
        )
    )
    settings = await clerk.line(lambda _: True)
    token = os.environ.get("CONSOLE_OPERATOR_TOKEN") or token_urlsafe(32)
    told = {**settings, "CONSOLE_OPERATOR_TOKEN": token}
    service = await stack.enter_async_context(
        child("The service", "service", env=_service_env(service_url, data, told))
    )
    await _ready(service, service_url)
    return Stage(
        service,
        service_url,
        token,
        clerk_url=settings["CLERK_API_URL"],
        secret_key=settings["CLERK_SECRET_KEY"],
    )


def _service_env(service_url: str, data: Path, settings: dict[str, str]) -> dict[str, str]:
    own = {
        "HOST": "127.0.0.1",
        "PORT": service_url.rpartition(":")[2],
        "DATA_DIR": str(data),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "PYTHONUNBUFFERED": "1",
    }
    return {**own, **settings}


async def _ready(service: Child, url: str) -> None:
    """Raises `ChildEnded` or `TimeoutError`."""
    async with httpx.AsyncClient(base_url=url) as http, asyncio.timeout(READY_WITHIN):
        while not await _answers(http):
            service.check()
            await asyncio.sleep(0.05)


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def _serve_until(stop: asyncio.Event, console: Console, service: Child) -> None:
    async def show() -> None:
        async for line in service.follow():
            show_request(console, line)
        stop.set()

    showing = asyncio.ensure_future(show())
    await stop.wait()
    showing.cancel()


def _asked_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _has_a_clerk_key() -> bool:
    kept = dotenv_values(".env", encoding="utf-8-sig") if Path(".env").exists() else {}
    return bool(os.environ.get("CLERK_SECRET_KEY") or kept.get("CLERK_SECRET_KEY"))


def _free(port: int) -> int:
    """This port, or any other where it is taken."""
    for wanted in (port, 0):
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
