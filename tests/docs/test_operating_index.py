"""docs/operating/index.md: what the pages of troubles have in common."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from scripts.program import ENTRIES
from tests.docs.reference import ROOT, cells
from tests.docs.runbooks import OPERATING

DEPLOY = ROOT / "deploy"
INDEX = (OPERATING / "index.md").read_text()
FINAL = {
    *("reconcile --full --repair", "journal", "file", "adopt --apply", "retain", "erase"),
    *("changes skip", "changes remove"),
}
"""What no command undoes: tombstones, links, and what is deleted or given up."""

NOT_FINAL = {
    *("serve", "work", "migrate", "doctor", "healthcheck", "backfill", "export", "explain"),
    *("dismiss", "changes tail", "changes list", "changes retry", "changes rewind"),
    "changes resume",
}
PLAIN_RESTART = re.compile(
    r"(?<!no )(?<!--)\brestart\b(?!\]\(index\.md#with-new-settings\))", re.IGNORECASE
)


def section(heading: str) -> str:
    _, found, text = INDEX.partition(f"\n## {heading}\n")
    assert found, heading
    return text.partition("\n## ")[0]


def places(heading: str) -> list[str]:
    """The first cells of the section's table, without its head."""
    rows = [cells(line) for line in section(heading).splitlines() if line.startswith("|")]
    return [row[0] for row in rows[2:]]


def test_new_settings_can_be_given_wherever_there_is_a_shell() -> None:
    assert places("With new settings") == places("Where to run the commands")
    how = section("With new settings")
    compose = (DEPLOY / "compose" / "compose.yaml").read_text()
    unit = (DEPLOY / "systemd" / "clerk-user-sync.service").read_text()
    assert "docker compose up --detach --wait" in how
    assert "docker compose up --detach --wait" in compose
    assert f"`{re.findall(r'EnvironmentFile=(.+)', unit)[0]}`" in how


def test_what_is_final_is_named() -> None:
    named = {name for place in places("What is final") for name in re.findall("`(.+?)`", place)}
    assert named == FINAL
    commands = {name.partition(" --")[0] for name in FINAL}
    assert commands | NOT_FINAL == ENTRIES.keys()
    assert not commands & NOT_FINAL


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_new_secret_is_the_one_that_the_pods_read() -> None:
    folder = DEPLOY / "kubernetes"
    [line] = re.findall(r"(?m)^    (kubectl .*create secret.*)$", section("With new settings"))
    make, _, put = line.replace("secret.env", "secret.example.env").partition(" | ")
    assert put == "kubectl replace -f -"
    done = subprocess.run(make.split(), cwd=folder, capture_output=True, timeout=60, check=True)
    named = yaml.safe_load(done.stdout)["metadata"]
    assert named["namespace"] == "clerk-user-sync"
    deployment = yaml.safe_load((folder / "base" / "deployment.yaml").read_text())
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert {"secretRef": {"name": named["name"]}} in container["envFrom"]


@pytest.mark.parametrize("page", sorted(OPERATING.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_that_says_restart_says_how(page: Path) -> None:
    if page.stem != "index":
        assert PLAIN_RESTART.findall(page.read_text()) == []
