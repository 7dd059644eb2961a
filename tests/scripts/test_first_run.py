"""`make run` for a stranger: what it prints works, and what is real never meets the demo."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from scripts.commands.demo import folder, settings_of_the_demo, shared
from tests.e2e.processes import ROOT, eventually

pytestmark = pytest.mark.timeout(300)

PATIENCE = 120.0
ENDS_WITHIN = 30.0
A_CLUSTER = "postgres/cluster.new"
REAL = {
    "CLERK_SECRET_KEY": "sk_live_ofNobody0123456789abcdefghijklmnop",
    "CLERK_ISSUER": "https://clerk.example.invalid",
    "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


@dataclass
class Shown:
    """What a run printed, `rest` after it was told to stop, and its exit status."""

    text: str
    rest: str = ""
    status: int | None = None

    def find(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        assert found, self.text
        return found[1]

    @property
    def console_token(self) -> str:
        return self.find(r"sign in with this token:\)\n\s+(\S+)")


@asynccontextmanager
async def running(
    folder: Path, until: str = "Serving", stop: int = signal.SIGINT, **variables: str
) -> AsyncIterator[Shown]:
    """`make run` in that folder, until it prints this; then Ctrl-C, or `stop`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.run"),
        cwd=folder,
        env=environment(variables),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    shown = Shown("")
    try:
        async with asyncio.timeout(PATIENCE):
            while until not in shown.text:
                line = await process.stdout.readline()
                assert line, shown.text
                shown.text += line.decode()
        yield shown
    finally:
        if process.returncode is None:
            process.send_signal(stop)
        async with asyncio.timeout(ENDS_WITHIN):
            shown.rest = (await process.communicate())[0].decode()
        shown.status = process.returncode


async def operators(folder: Path, *arguments: str, **variables: str) -> str:
    """What a command says in another terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.replay_webhooks", *arguments),
        cwd=folder,
        env=environment(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode()


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("stop", "begun"),
    [(signal.SIGINT, ""), (signal.SIGINT, A_CLUSTER), (signal.SIGHUP, A_CLUSTER)],
)
async def test_a_stop_during_the_start_ends_all_that_was_started(
    tmp_path: Path, stop: int, begun: str
) -> None:
    """Ctrl-C, and a terminal that is closed."""
    async with running(tmp_path, until="Starting", stop=stop, PORT="0") as shown:
        await eventually((tmp_path / ".data/demo" / begun).exists)
    assert shown.status == 0
    assert "Stopped" in shown.rest
    assert "Serving" not in shown.rest
    await eventually(lambda: not processes_in(tmp_path), ENDS_WITHIN)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP])
async def test_a_stop_of_the_demo_ends_all_that_was_started(tmp_path: Path, stop: int) -> None:
    """`make demo`, whose data is in a temporary folder."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.run", "--once"),
        cwd=tmp_path,
        env=environment({"TMPDIR": str(tmp_path)}),
        stdout=asyncio.subprocess.PIPE,
    )
    await eventually(lambda: any(tmp_path.glob(f"*/{A_CLUSTER}")), PATIENCE)
    process.send_signal(stop)
    async with asyncio.timeout(ENDS_WITHIN):
        said, _ = await process.communicate()
    assert (process.returncode, said) == (1, b"Stopped before the end of the demo.\n")
    assert not processes_in(tmp_path)


def processes_in(folder: Path) -> dict[int, str]:
    """The processes whose working directory is below the folder, by id, and their arguments."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if (process / "cwd").readlink().is_relative_to(folder):
                found[int(process.name)] = (process / "cmdline").read_text()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_a_service_that_ends_by_itself_ends_the_run_with_an_error(tmp_path: Path) -> None:
    async with running(tmp_path, PORT="0") as shown:
        [service] = [pid for pid, it in processes_in(tmp_path).items() if "-m\0service\0" in it]
        os.kill(service, signal.SIGTERM)
        await eventually(lambda: not processes_in(tmp_path), ENDS_WITHIN)
    assert shown.status == 1
    assert "The service ended with exit status 0." in shown.rest


MISTAKES = {
    "PORT=abc": "env var: 'PORT'",
    "PORT=99999": "env var: 'PORT'",
    "DATA_DIR=file": "The demo cannot run: ",
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_told_in_words(tmp_path: Path, mistake: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    name, _, value = mistake.partition("=")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.run"),
        cwd=tmp_path,
        env=environment({name: value}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode not in {0, None}
    assert MISTAKES[mistake] in said.decode()
    assert b"Traceback" not in said


async def users_at(url: str) -> int:
    sql = await asyncpg.connect(url)
    try:
        return int(await sql.fetchval("select count(*) from users"))
    finally:
        await sql.close()


@pytest.mark.slow
async def test_a_stranger_finds_the_database_the_service_and_the_console_again(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://nobody@127.0.0.1:9/real\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with running(tmp_path, PORT=port) as shown:
            assert "Starting a Postgres, an emulated Clerk and the service" in shown.text
            assert shown.find(r"The service is on port (\d+), because " + port) != port
            assert await users_at(shown.find(r"psql (postgresql://\S+)")) == 2
            # A database of one's own is configured: it stays apart from the demo.
            assert "CLERK_SECRET_KEY" in await operators(tmp_path, "doctor")
            (tmp_path / ".env").unlink()
            assert '"about":"store"' in (told := await operators(tmp_path, "doctor", "--json"))
            assert '"state":"bad"' not in told
            grace = shown.find(r"explain (user_\S+)")
            assert "= email: grace" in await operators(tmp_path, "explain", grace, "--live")
    assert "CLERK_SECRET_KEY" in await operators(tmp_path, "doctor")
    async with running(tmp_path, PORT=port) as again:
        assert "because" not in again.text
        assert again.console_token == shown.console_token
        assert await users_at(again.find(r"psql (postgresql://\S+)")) == 4


@pytest.mark.slow
async def test_a_real_key_never_meets_the_rows_of_the_demo(tmp_path: Path) -> None:
    async with running(tmp_path, PORT="0") as shown:
        demo = shown.find(r"psql (postgresql://\S+)")
        assert await users_at(demo) == 2
        assert "clerk.example.invalid" in await operators(tmp_path, "doctor", **REAL)
        # No command of a real instance was answered by the demo's server.
        assert EmbeddedPostgres.running_at(tmp_path / ".data") is None
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in REAL.items()))
    async with running(tmp_path, until="In Clerk's dashboard"):
        real = await served(tmp_path / ".data")
        assert real != demo
        assert await users_at(real) == 0


async def served(data: Path) -> str:
    """The address of the store that a service has made on that directory."""

    async def is_made() -> bool:
        url = EmbeddedPostgres.running_at(data)
        try:
            return url is not None and await users_at(url) >= 0
        except (OSError, asyncpg.PostgresError):
            return False  # it starts, or it has no tables yet

    await eventually(is_made, PATIENCE)
    return str(EmbeddedPostgres.running_at(data))


@pytest.mark.parametrize(
    "own",
    [
        "CLERK_SECRET_KEY",
        "CLERK_USER_SYNC_CLERK_SECRET_KEY",
        "DATABASE_URL",
        "clerk_secret_key",
        "Clerk_User_Sync_Database_Url",
    ],
)
def test_settings_of_ones_own_come_before_those_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_DIR", raising=False)
    demo = tmp_path / ".data" / "demo"
    demo.mkdir(parents=True)
    assert settings_of_the_demo() == {}
    with shared(demo, {"DATA_DIR": str(demo)}):
        assert settings_of_the_demo() == {"_env_file": demo / "settings.env"}
        assert (demo / "settings.env").stat().st_mode & 0o77 == 0
        monkeypatch.setenv(own, "one's own")
        assert settings_of_the_demo() == {}
        monkeypatch.delenv(own)
        (tmp_path / ".env").write_text(f"{own}=ours\n")
        assert settings_of_the_demo() == {}


def test_settings_that_a_killed_demo_left_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = tmp_path / ".data" / "demo"
    demo.mkdir(parents=True)
    (demo / "settings.env").write_text("CLERK_SECRET_KEY='sk_test_gone'\n")
    assert settings_of_the_demo() == {}


def test_its_folder_is_in_the_data_directory_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", "of-a-host")
    (tmp_path / ".env").write_text("CLERK_USER_SYNC_DATA_DIR=ours\n")
    assert folder() == tmp_path.resolve() / "ours" / "demo"
