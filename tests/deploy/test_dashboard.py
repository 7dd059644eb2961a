"""The dashboard and the alerts, on a real Prometheus that scrapes a real service."""

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from fastapi import FastAPI

from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import ApiFault, ClerkEmulator, EmulatorConfig, FaultKind
from scripts.clerk_emulator.server import running_emulator
from service.app import create_app, mount_health, user_sync
from service.changes import Changes
from tests.adapters.clerk.payloads import INSTANCE, webhook_bytes
from tests.docs.reference import ROOT, metrics
from tests.e2e.processes import eventually, reserved_port
from tests.postgres_server import TemporaryStore
from tests.running import WEBHOOKS, bearer, settings_for, svix_headers
from tests.service.listening import Listening, listening

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
NOT_ON_IT = {
    f"clerk_user_sync_{name}"
    for name in (
        "reconcile_interval_seconds",
        "poll_interval_seconds",
        "poll_last_success_timestamp_seconds",
    )
}
"""For alerts alone."""

NOT_SO = {"ClerkUserSyncStoreFailing", "ClerkUserSyncDown", "ClerkUserSyncKeysOld"}

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="prometheus is not installed: it comes with Debian's package prometheus",
)


@dataclass(frozen=True)
class Prometheus:
    """One that scrapes the service, and has evaluated the alerts."""

    http: httpx.AsyncClient

    async def results(self, query: str) -> list[dict[str, Any]]:
        answer = (await self.http.get("/query", params={"query": query})).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        groups = (await self.http.get("/rules")).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
async def clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
    async with running_emulator(config, signing_key=signing_key) as clerk:
        yield clerk


changes = Changes()


@changes.on(name="mail", begin="oldest", pauses=())
async def never_succeeds(change: Change, user: LocalUser | None) -> None:
    raise RuntimeError


@pytest.fixture(scope="module")
async def services(
    clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[list[Listening]]:
    """The service, which has seen some of everything, and an application that follows changes."""
    settings = settings_for(clerk, lasting_store.url, reconcile_every=1, log_level="error")
    async with (
        listening(create_app(settings, StringIO()), settings) as ours,
        listening(follower(clerk, lasting_store.url), settings) as theirs,
    ):
        async with httpx.AsyncClient() as http:
            await worked(http, clerk, f"http://127.0.0.1:{ours.port}")
        yield [ours, theirs]


def follower(clerk: ClerkEmulator, store_url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with user_sync(app, settings_for(clerk, store_url), changes=changes):
            yield

    app = FastAPI(lifespan=lifespan)
    mount_health(app)
    return app


async def live(http: httpx.AsyncClient, clerk: ClerkEmulator, at: str) -> None:
    """Some of everything."""
    secret = clerk.config.webhook_secrets[0]
    for body in (webhook_bytes("user.created"), webhook_bytes("user.updated"), b"poison"):
        headers = svix_headers(secret, body)
        await http.post(f"{at}{WEBHOOKS}", content=body, headers=headers)
    await http.post(f"{at}{WEBHOOKS}", content=b"{}")
    user = clerk.create_user(email_address=[f"{len(clerk.users)}@example.com"])
    await http.get(f"{at}/v1/me", headers=bearer(clerk.session_token(user["id"])))
    await http.get(f"{at}/v1/session", headers=bearer("nonsense"))


async def worked(http: httpx.AsyncClient, clerk: ClerkEmulator, at: str) -> None:
    """A background job fails once, and then a comparison ends."""
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401, on="GetUserList", times=1))

    async def is_seen() -> bool:
        exposed = (await http.get(f"{at}/metrics")).text
        return "job_failures_total{" in exposed and "drift_users{" in exposed

    await eventually(is_seen)


@pytest.fixture(scope="module")
async def prometheus(
    services: list[Listening], clerk: ClerkEmulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    ours = f"http://127.0.0.1:{services[0].port}"
    with running_prometheus(services, tmp_path_factory.mktemp("prometheus")) as address:
        async with httpx.AsyncClient(base_url=f"{address}/api/v1") as http:
            prometheus = Prometheus(http)

            async def has_seen_all() -> bool:
                await live(http, clerk, ours)
                try:
                    if (await http.get(f"{address}/-/ready")).status_code != 200:
                        return False
                    seen = await prometheus.results("min(count_over_time(up[1m])) > 5")
                    tried = await prometheus.results("clerk_user_sync_change_attempts_total > 0")
                    evaluated = [rule["evaluationTime"] for rule in await prometheus.rules()]
                except httpx.TransportError:
                    return False
                return bool(seen) and bool(tried) and bool(evaluated) and all(evaluated)

            await eventually(has_seen_all)
            yield prometheus


@contextmanager
def running_prometheus(services: Sequence[Listening], folder: Path) -> Iterator[str]:
    """Its address."""
    config = {
        "global": {
            "scrape_interval": "500ms",
            "scrape_timeout": "500ms",
            "evaluation_interval": "1s",
        },
        "rule_files": [str(ROOT / "deploy/prometheus/rules.yml")],
        "scrape_configs": [
            {
                "job_name": "clerk-user-sync",
                "static_configs": [
                    {
                        "targets": [f"127.0.0.1:{service.port}" for service in services],
                        "labels": {"namespace": "prod"},
                    }
                ],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with reserved_port() as port, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                "--config.file=prometheus.yml",
                f"--web.listen-address=127.0.0.1:{port.number}",
                "--storage.tsdb.path=data",
            ],
            cwd=folder,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{port.number}"
        finally:
            process.terminate()
            process.wait(20)


@needs_prometheus
@pytest.mark.parametrize("query", QUERIES)
async def test_each_panel_shows_data(prometheus: Prometheus, query: str) -> None:
    asked = query.replace("$__rate_interval", "1m").replace("$namespace", ".*")
    assert "$" not in asked

    async def shows_data() -> bool:
        shown = [one["value"][1] for one in await prometheus.results(asked)]
        return any(value != "NaN" for value in shown)

    # Not at once: on a busy machine a scrape times out now and then, and leaves a gap.
    await eventually(shows_data)


@needs_prometheus
async def test_prometheus_evaluates_every_alert_and_fires_what_is_so(
    prometheus: Prometheus,
) -> None:
    rules = await prometheus.rules()
    assert {(rule["health"], rule.get("lastError")) for rule in rules} == {("ok", None)}

    async def fires_what_is_so() -> bool:
        # Those that wait for nothing, or that have begun to wait.
        alerts = [alert for rule in await prometheus.rules() for alert in rule["alerts"]]
        seen = {alert["labels"]["alertname"] for alert in alerts}
        return "ClerkUserSyncQuarantineFilled" in seen and not seen & NOT_SO

    # Not at once: a scrape that times out on a busy machine makes a service look down.
    await eventually(fires_what_is_so)
    rules = await prometheus.rules()
    for rule in rules:
        for alert in rule["alerts"]:
            assert "<error" not in str(alert["annotations"])
            assert "{{" not in str(alert["annotations"])


def test_every_metric_is_on_it() -> None:
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    names = {name.strip("`") for name, *_ in metrics()}
    missing = {name for name in names - NOT_ON_IT if not re.search(rf"\b{name}", shown)}
    assert not missing, f"deploy/grafana/dashboard.json: add a panel with {sorted(missing)}"


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_pages_that_it_names_are_there() -> None:
    named = re.findall(r"docs/operating/[a-z-]+\.md", json.dumps(DASHBOARD))
    assert named
    assert [page for page in named if not (ROOT / page).is_file()] == []
