"""deploy/kubernetes: valid for Kubernetes, and true of this service."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import pytest
import yaml
from dotenv import dotenv_values

from service.app import create_app, metrics_app
from service.settings import Settings
from tests.docs.reference import ROOT
from tests.service.given_settings import GOOD

Manifest: TypeAlias = dict[str, Any]

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.32", "1.37")
NOT_MANIFESTS = {"kustomization.yaml", "prometheus-adapter.yaml"}
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name not in NOT_MANIFESTS)

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which has kustomize, is not installed"
)


def manifest(name: str) -> Manifest:
    [path] = [path for path in FILES if path.stem == name]
    found: Manifest = yaml.safe_load(path.read_text())
    return found


def settings_of(file: Path) -> dict[str, Any]:
    return {name.lower(): value or "" for name, value in dotenv_values(file).items()}


SETTINGS = settings_of(FOLDER / "base" / "settings.env")
DEPLOYMENT = manifest("deployment")
WORKER = manifest("worker")
POD: Manifest = DEPLOYMENT["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]


@pytest.fixture(scope="module")
def built() -> dict[str, Manifest]:
    """What `kubectl apply -k` would apply, by kind."""
    return {one["kind"]: one for one in kustomized(FOLDER)}


def kustomized(folder: Path) -> list[Manifest]:
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_is_valid(path: Path, version: str) -> None:
    kubernetes_validate.validate(yaml.safe_load(path.read_text()), version, strict=True)


@needs_kubectl
@pytest.mark.parametrize("version", VERSIONS)
def test_what_kustomize_builds_is_valid(built: dict[str, Manifest], version: str) -> None:
    assert len(built) == 7
    for one in built.values():
        kubernetes_validate.validate(one, version, strict=True)
        assert one["metadata"]["namespace"] == "clerk-user-sync"


@needs_kubectl
def test_the_parts_find_each_other(built: dict[str, Manifest]) -> None:
    labels = built["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    jobs = built["Job"]["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        built["Service"]["spec"]["selector"],
        built["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        built["Deployment"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
        assert not selector.items() <= jobs
    allowed = built["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    assert allowed <= labels
    assert allowed <= jobs
    assert built["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "clerk-user-sync"
    assert "replicas" not in built["Deployment"]["spec"]
    for kind in ("Deployment", "Job"):
        [container] = built[kind]["spec"]["template"]["spec"]["containers"]
        settings = container["envFrom"][0]
        assert settings["configMapRef"]["name"] == built["ConfigMap"]["metadata"]["name"]


@needs_kubectl
def test_a_worker_has_the_settings_of_the_service_and_none_of_its_traffic(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    chosen = tmp_path / "kustomization.yaml"
    chosen.write_text(chosen.read_text().replace("# - worker", "- worker"))
    built = {(one["kind"], one["metadata"]["name"]): one for one in kustomized(tmp_path)}
    for one in built.values():
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
    server = built["Deployment", "clerk-user-sync"]["spec"]["template"]
    worker = built["Deployment", "clerk-user-sync-worker"]["spec"]["template"]
    [of_the_server], [of_the_worker] = (one["spec"]["containers"] for one in (server, worker))
    assert of_the_worker["envFrom"] == of_the_server["envFrom"]
    labels = worker["metadata"]["labels"].items()
    policy = built["NetworkPolicy", "clerk-user-sync"]["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= labels
    assert not built["Service", "clerk-user-sync"]["spec"]["selector"].items() <= labels


@pytest.mark.parametrize(
    ("place", "value"),
    [("replicas", "two"), ("replica", 2), ("template", "none")],
)
def test_a_manifest_that_is_wrong_is_noticed(place: str, value: object) -> None:
    broken = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], place: value}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_settings_are_ours_and_right() -> None:
    secret = settings_of(FOLDER / "secret.example.env")
    assert {*SETTINGS, *secret} <= {*Settings.model_fields}
    settings = Settings(_env_file=None, **{**SETTINGS, **secret})
    assert settings.has_console is False


def test_no_service_sets_one_of_our_settings() -> None:
    """A Service named `clerk-user-sync` sets CLERK_USER_SYNC_PORT, unless its links are off."""
    specs = [yaml.safe_load(path.read_text())["spec"] for path in FILES]
    pods = [spec["template"]["spec"] for spec in specs if "template" in spec]
    assert [pod.get("enableServiceLinks") for pod in pods] == [False] * 3


def test_the_migration_has_the_settings_of_the_service() -> None:
    [migration] = manifest("migrate")["spec"]["template"]["spec"]["containers"]
    assert migration["envFrom"] == CONTAINER["envFrom"]


def test_every_port_and_probe_is_answered() -> None:
    settings = Settings(_env_file=None, **{**GOOD, **SETTINGS})
    app = create_app(settings)
    served = {"http": app.openapi()["paths"], "metrics": metrics_app(app).openapi()["paths"]}
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = CONTAINER[probe]["httpGet"]
        assert asked["path"] in served[asked["port"]], probe
    for one in (DEPLOYMENT, WORKER):
        annotations = one["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(settings.metrics_port)
    [worker] = WORKER["spec"]["template"]["spec"]["containers"]
    assert worker["ports"] == [{"name": "metrics", "containerPort": settings.metrics_port}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = worker[probe]["httpGet"]
        assert asked["port"] == "metrics"
        assert asked["path"] in served["metrics"], probe
    [http, metrics] = manifest("network-policy")["spec"]["ingress"]
    assert [http["ports"][0]["port"], metrics["ports"][0]["port"]] == [*ports.values()]


def test_postgres_can_be_reached_behind_a_pooler_too() -> None:
    [_, out] = manifest("network-policy")["spec"]["egress"]
    assert {one["port"] for one in out["ports"]} == {443, 5432, 6432, 6543}


def test_there_is_time_to_drain() -> None:
    needed = int(SETTINGS["drain_seconds"]) + int(SETTINGS["shutdown_seconds"])
    assert POD["terminationGracePeriodSeconds"] > needed
    of_the_worker = WORKER["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert of_the_worker > int(SETTINGS["shutdown_seconds"])
    probe = CONTAINER["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert noticed < int(SETTINGS["drain_seconds"])


def test_two_replicas_are_in_different_zones() -> None:
    assert DEPLOYMENT["spec"]["replicas"] == 2
    zones = POD["topologySpreadConstraints"][0]
    assert zones["topologyKey"] == "topology.kubernetes.io/zone"
    assert (zones["maxSkew"], zones["whenUnsatisfiable"]) == (1, "DoNotSchedule")


def test_no_pod_has_rights_that_it_does_not_need() -> None:
    for one in (DEPLOYMENT, WORKER, manifest("migrate")):
        pod = one["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_autoscaler_looks_at_a_metric_that_there_is() -> None:
    adapter = yaml.safe_load((FOLDER / "autoscaling" / "prometheus-adapter.yaml").read_text())
    [rule] = adapter["rules"]["custom"]
    [metric] = manifest("autoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert rule["seriesQuery"].startswith("clerk_user_sync_event_loop_lag_seconds_bucket{")
