"""A real Prometheus with the alerts of deploy/prometheus, in a hurry.

No alert waits before it fires, and what counts the last 15 minutes counts the last seconds.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from tests.docs.runbooks import ROOT, Runbook
from tests.docs.scene import Scene
from tests.e2e.processes import reserved_port

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
PATIENCE = 90.0


async def nothing() -> None:
    """Happens while an alert is waited for."""


@dataclass(frozen=True)
class Alerts:
    """A Prometheus at `url`, which scrapes what `targets` names."""

    url: str
    targets: Path

    def watch(self, *ports: int) -> None:
        """Scrape these replicas from now on, and no others."""
        replicas = [f"127.0.0.1:{port}" for port in ports]
        self.targets.write_text(json.dumps([{"targets": replicas, "labels": {"namespace": "p"}}]))

    async def raised(self, *names: str, by: Callable[[], Awaitable[object]] = nothing) -> None:
        """Wait until all of them fire. `by` is done again and again meanwhile."""
        await self._until(lambda firing: {*names} <= firing, by)

    async def ended(self, *names: str, by: Callable[[], Awaitable[object]] = nothing) -> None:
        """Wait until none of them fires."""
        await self._until(lambda firing: not {*names} & firing, by)

    async def _until(
        self, so: Callable[[set[str]], bool], by: Callable[[], Awaitable[object]]
    ) -> None:
        firing: set[str] = set()
        async with httpx.AsyncClient() as http:
            try:
                async with asyncio.timeout(PATIENCE):
                    while not so(firing := await self._firing(http)):
                        await by()
                        await asyncio.sleep(0.2)
            except TimeoutError:
                raise AssertionError(f"these fire: {sorted(firing)}") from None

    async def _firing(self, http: httpx.AsyncClient) -> set[str]:
        answer = await http.get(f"{self.url}/api/v1/alerts")
        return {one["labels"]["alertname"] for one in answer.json()["data"]["alerts"]}


@contextmanager
def prometheus(folder: Path, window: str) -> Iterator[Alerts]:
    """It has begun to answer. `window` takes the place of all periods in the alerts' expressions."""
    rules = re.sub(r"\[\d+m\]", f"[{window}]", RULES.read_text())
    (folder / "rules.yml").write_text(re.sub(r"(?m)^ +for: .*\n", "", rules))
    targets = folder / "targets.json"
    targets.write_text("[]")
    config = {
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "500ms",
        },
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {
                "job_name": "clerk-user-sync",
                "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with reserved_port() as port, (folder / "log").open("wb") as log:
        command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        command.append(f"--web.listen-address=127.0.0.1:{port.number}")
        process = subprocess.Popen(command, cwd=folder, stderr=log)
        try:
            yield Alerts(f"http://127.0.0.1:{port.number}", targets)
        finally:
            process.terminate()
            process.wait(20)


async def answering(alerts: Alerts) -> None:
    """Wait until it answers."""
    async with httpx.AsyncClient() as http, asyncio.timeout(PATIENCE):
        while True:
            try:
                if (await http.get(f"{alerts.url}/-/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def page_of(alert: str) -> str:
    """The page of docs/operating that the alert names."""
    [rule] = [
        rule
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
        if rule["alert"] == alert
    ]
    url: str = rule["annotations"]["runbook_url"]
    return url.rpartition("/")[2].removesuffix(".html")


def found(scene: Scene, alert: str, **settings: str) -> Runbook:
    """The page that the alert names, in a shell with the settings of the service."""
    return scene.runbook(page_of(alert), **settings)
