"""deploy/compose and deploy/systemd: one machine, with TLS in front."""

import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from dotenv import dotenv_values

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.settings import Settings
from tests.adapters.clerk.payloads import webhook_bytes
from tests.docs.reference import ROOT
from tests.e2e.processes import eventually, reserved_port
from tests.running import settings_for, svix_headers
from tests.service.given_settings import ENVIRONMENT
from tests.service.listening import Listening, listening

COMPOSE = ROOT / "deploy" / "compose"
UNIT = ROOT / "deploy" / "systemd" / "clerk-user-sync.service"
COMMAND = "/opt/clerk-user-sync/bin/clerk-user-sync"
SERVICES: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
OF_COMPOSE = {"DOMAIN", "IMAGE", "VERSION", "POSTGRES_PASSWORD"}

needs_caddy = pytest.mark.skipif(
    shutil.which("caddy") is None,
    reason="caddy is not installed: it comes with Debian's package caddy",
)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: it comes with Debian's package systemd",
)


def test_every_setting_of_compose_is_one_of_ours() -> None:
    ours = {name.upper() for name in Settings.model_fields} | OF_COMPOSE
    assert dotenv_values(COMPOSE / "example.env").keys() <= ours
    assert SERVICES["service"]["environment"].keys() <= ours


def test_the_service_comes_after_the_migration_and_nothing_but_caddy_faces_the_world() -> None:
    waits = SERVICES["service"]["depends_on"]["migrate"]
    assert waits == {"condition": "service_completed_successfully"}
    public = {
        name
        for name, service in SERVICES.items()
        if any(not port.startswith("127.0.0.1:") for port in service.get("ports", []))
    }
    assert public == {"caddy"}
    assert SERVICES["postgres"]["networks"] == ["back"]
    assert SERVICES["caddy"]["networks"] == ["front"]


@pytest.fixture
async def service(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Listening]:
    settings = settings_for(clerk, store_url, metrics_port=0)
    async with listening(create_app(settings), settings) as at:
        yield at


@contextmanager
def caddy_before(service: Listening, folder: Path) -> Iterator[str]:
    """Our Caddyfile as it is, but for a certificate of Caddy's own and one port instead of two."""
    options = "local_certs\n skip_install_trust\n auto_https disable_redirects\n admin off"
    text = (COMPOSE / "Caddyfile").read_text().replace("service:8000", f"127.0.0.1:{service.port}")
    (folder / "Caddyfile").write_text(f"{{\n{options}\n}}\n{text}")
    with reserved_port() as port:
        domain = f"https://localhost:{port.number}"
        caddy = subprocess.Popen(
            ["caddy", "run", "--config", "Caddyfile"],
            cwd=folder,
            env={"DOMAIN": domain, "HOME": str(folder)},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield domain
        finally:
            caddy.terminate()
            caddy.wait(20)


@needs_caddy
async def test_webhooks_come_through_caddy_over_tls_and_metrics_do_not(
    clerk: ClerkEmulator, service: Listening, tmp_path: Path
) -> None:
    authority = tmp_path / ".local/share/caddy/pki/authorities/local/root.crt"
    with caddy_before(service, tmp_path) as domain:
        await eventually(authority.exists)
        trust = ssl.create_default_context(cafile=str(authority))
        async with httpx.AsyncClient(base_url=domain, verify=trust, trust_env=False) as http:

            async def is_served() -> bool:
                try:
                    return (await http.get("/healthz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_served)
            body = webhook_bytes("user.created")
            headers = svix_headers(clerk.config.webhook_secrets[0], body)
            answer = await http.post("/webhooks/clerk", content=body, headers=headers)
            assert answer.status_code == 204
            assert "strict-transport-security" in answer.headers
            assert (await http.get("/metrics")).status_code == 404


@needs_systemd
def test_systemd_takes_the_unit_and_finds_it_well_confined(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(COMMAND, sys.executable))
    verified = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert verified.stderr == ""
    judged = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(unit))
    assert judged.returncode == 0, judged.stdout


def test_the_unit_sees_an_empty_home_and_not_one_that_is_closed_to_it() -> None:
    """The driver looks for files in ~/.postgresql, and raises where it may not look."""
    assert "\nProtectHome=tmpfs\n" in UNIT.read_text()


@needs_systemd
def test_a_unit_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("RestartSec=2", "RestartSecs=2"))
    assert "RestartSecs" in analyze("verify", "--man=no", str(unit)).stderr


@pytest.mark.parametrize(
    ("wrong", "ends"),
    [
        ({"DATABASE_URL": "mysql://db/app"}, True),
        ({"CLERK_SECRET_KEY": "wrong"}, True),
        ({"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/nowhere"}, False),
    ],
    ids=["of the migration", "of the service", "none, but the store is away"],
)
def test_wrong_settings_do_not_restart_for_ever(
    store_url: str, tmp_path: Path, wrong: dict[str, str], ends: bool
) -> None:
    lines = [one.partition("=") for one in UNIT.read_text().splitlines()]
    unit = {name: value for name, _, value in lines}
    assert "ExecStartPre" not in unit, "systemd looks at the exit code of ExecStart alone"
    command = tmp_path / "clerk-user-sync"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m service "$@"\n')
    command.chmod(0o755)
    ended = subprocess.run(
        shlex.split(unit["ExecStart"].replace(COMMAND, str(command))),
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), **ENVIRONMENT, "DATABASE_URL": store_url, **wrong},
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert ended.returncode > 0
    assert (str(ended.returncode) in unit["RestartPreventExitStatus"].split()) is ends


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
