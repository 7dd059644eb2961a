"""The alerts of deploy/prometheus: each fires when it should, and names a page that ends the
failure.
"""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.reference import ROOT, metrics

FOLDER = ROOT / "deploy" / "prometheus"
OPERATING = ROOT / "docs" / "operating"
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
TESTS: dict[str, Any] = yaml.safe_load((FOLDER / "rules.test.yml").read_text())
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
URL = re.compile(r"https://docs\.example\.com/clerk-user-sync/operating/([a-z-]+)\.html")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed: it comes with Debian's package prometheus",
)


def promtool(folder: Path, *arguments: str) -> tuple[bool, str]:
    """Whether the tool accepts the rules, and its output."""
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


def holds(folder: Path, rules: dict[str, Any], tests: list[dict[str, Any]]) -> bool:
    """Whether these tests pass with these rules."""
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "tests.yml").write_text(yaml.safe_dump({**TESTS, "tests": tests}))
    return promtool(folder, "test", "rules", "tests.yml")[0]


def with_expression(alert: str, expression: str) -> dict[str, Any]:
    rules: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
    [rule] = [one for group in rules["groups"] for one in group["rules"] if one["alert"] == alert]
    rule["expr"] = expression
    return rules


def cases_of(alert: str) -> list[dict[str, Any]]:
    """Those in which it fires."""
    return [
        one for one in TESTS["tests"] if f'"{alert}"' in yaml.safe_dump(one["promql_expr_test"])
    ]


@needs_promtool
def test_promtool_is_content() -> None:
    content, said = promtool(FOLDER, "check", "rules", "rules.yml")
    assert content, said
    content, said = promtool(FOLDER, "test", "rules", "rules.test.yml")
    assert content, said


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_a_rule_that_is_broken_is_noticed(alert: str, tmp_path: Path) -> None:
    firing = cases_of(alert)
    assert firing, f"deploy/prometheus/rules.test.yml: add a test in which {alert} fires"
    assert holds(tmp_path, RULES, firing)
    assert not holds(tmp_path, with_expression(alert, "vector(1) > 1"), firing)
    assert not holds(tmp_path, with_expression(alert, "vector(1)"), TESTS["tests"][:1])


@pytest.mark.parametrize("alert", ALERTS)
def test_it_says_what_is_wrong_and_names_its_page(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    found = URL.fullmatch(rule["annotations"]["runbook_url"])
    assert found, rule["annotations"]["runbook_url"]
    page = (OPERATING / f"{found[1]}.md").read_text()
    assert f"`{alert}`" in page, (
        f"docs/operating/{found[1]}.md does not say that {alert} leads there"
    )


def given_to(verb: str) -> set[str]:
    """The alerts that the tests of `tests/docs` give to this method of `Alerts`."""
    return {
        name
        for path in (ROOT / "tests" / "docs").glob("test_alerts*.py")
        for test in ast.parse(path.read_text()).body
        for call in ast.walk(test)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == verb
        for argument in call.args
        for name in texts(argument, test)
    }


def texts(argument: ast.expr, test: ast.stmt) -> set[str]:
    """The texts of an argument. Those of `*names` are what the test has assigned to `names`."""
    values = [argument]
    if isinstance(argument, ast.Starred):
        name = ast.unparse(argument.value)
        assigned = (one for one in ast.walk(test) if isinstance(one, ast.Assign))
        values = [one.value for one in assigned if ast.unparse(one.targets[0]) == name]
    return {
        one.value
        for value in values
        for one in ast.walk(value)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_a_test_causes_it_and_ends_it_by_its_page(alert: str) -> None:
    assert alert in given_to("raised") & given_to("ended")


@pytest.mark.parametrize("alert", ALERTS)
def test_it_asks_for_metrics_that_there_are(alert: str) -> None:
    known = {name.strip("`"): kind for name, kind, *_ in metrics()}
    asked = re.findall(r"clerk_user_sync_\w+", ALERTS[alert]["expr"])
    for name in asked:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in known or known.get(base) == "histogram", name
