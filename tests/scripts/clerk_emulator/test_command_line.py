"""`python -m scripts.clerk_emulator`, as a user runs it."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import typer
from typer.testing import CliRunner

from scripts.clerk_emulator.__main__ import main

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def command(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.clerk_emulator", *arguments),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def emulator(*arguments: str, **environment: str) -> AsyncIterator[dict[str, str]]:
    """The settings that it prints, while it runs. On SIGTERM it must exit with 0."""
    async with command("--port", "0", "--json", *arguments, **environment) as process:
        assert process.stdout is not None
        yield json.loads(await process.stdout.readline())
        process.terminate()
        assert await process.wait() == 0


async def call(settings: dict[str, str], method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {settings['CLERK_SECRET_KEY']}"}
    async with httpx.AsyncClient(base_url=settings["CLERK_API_URL"], headers=headers) as client:
        response = await client.request(method, path, json=body)
    return response.json()


async def test_it_prints_the_settings_a_service_needs() -> None:
    async with emulator() as settings:
        jwks = await call(settings, "GET", "/.well-known/jwks.json")

    assert settings.keys() == {
        "CLERK_API_URL",
        "CLERK_AUTHORIZED_PARTIES",
        "CLERK_INSTANCE_ID",
        "CLERK_ISSUER",
        "CLERK_JWKS_URL",
        "CLERK_PUBLISHABLE_KEY",
        "CLERK_SECRET_KEY",
        "CLERK_WEBHOOK_SIGNING_SECRET",
    }
    assert jwks["keys"][0]["kid"] == settings["CLERK_INSTANCE_ID"]


async def test_it_uses_the_given_settings_prints_a_dotenv_file_and_ends_on_ctrl_c() -> None:
    given = ("--issuer", "https://clerk.example.com", "--public-url", "http://emulator:8401")
    async with command("--port", "0", *given, CLERK_SECRET_KEY="sk_test_given") as process:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()

    assert "CLERK_ISSUER=https://clerk.example.com\n" in lines
    assert "CLERK_JWKS_URL=http://emulator:8401/.well-known/jwks.json\n" in lines
    assert "CLERK_SECRET_KEY=sk_test_given\n" in lines
    assert (process.returncode, errors) == (0, b"")


async def test_users_keys_and_secrets_survive_a_restart(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "clerk.json"), "--issuer", "http://clerk.test")
    async with emulator(*state) as before:
        ada = await call(before, "POST", "/v1/users", {"email_address": ["ada@example.com"]})
        keys = await call(before, "GET", "/v1/jwks")

    async with emulator(*state) as after:
        assert await call(after, "GET", f"/v1/users/{ada['id']}") == ada
        assert await call(after, "GET", "/v1/jwks") == keys

    moved = {"CLERK_API_URL", "CLERK_JWKS_URL"}
    assert {name: after[name] for name in after.keys() - moved} == {
        name: before[name] for name in before.keys() - moved
    }


async def test_a_state_file_that_cannot_be_written_at_the_end_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    state = ("--state", str(folder / "clerk.json"))
    async with command("--port", "0", "--json", *state) as process:
        assert process.stdout is not None
        settings = json.loads(await process.stdout.readline())
        shutil.rmtree(folder)
        await call(settings, "POST", "/v1/users", {"username": "ada"})
        process.terminate()
        _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith(b"The state is not saved: ")


def test_a_state_file_that_is_not_one_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "clerk.json").write_text("{")
    app = typer.Typer()
    app.command()(main)

    result = CliRunner().invoke(app, ["--state", str(tmp_path / "clerk.json")])

    assert result.exit_code == 1
    assert "not a state file" in result.stderr
    assert "Traceback" not in result.stderr


async def test_a_port_that_is_taken_is_an_error_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with command("--port", str(port)) as process:
            _, errors = await process.communicate()

    assert process.returncode == 1
    assert b"Traceback" not in errors


def test_a_port_that_is_none_is_wrong_usage() -> None:
    app = typer.Typer()
    app.command()(main)

    result = CliRunner().invoke(app, ["--port", "99999"])

    assert result.exit_code == 2
    assert "--port" in result.stderr
