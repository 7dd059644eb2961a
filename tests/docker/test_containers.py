"""The integration tests, and the built image, each on the oldest and the newest Postgres we name."""

import asyncio
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import docker
import pytest

from tests.postgres_server import docker_answers

PROJECT = Path(__file__).parents[2]
IMAGE = "clerk-user-sync"
INTEGRATION = [
    "tests/contract",
    "tests/adapters/postgres",
    "tests/e2e/test_service_killed.py",
    "tests/e2e/test_store_refusals.py",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(params=["postgres:16", "postgres:18"])
def postgres_image(request: pytest.FixtureRequest) -> str:
    image: str = request.param
    require_image(image, "docker pull")
    return image


async def test_the_integration_tests_hold_in_a_container(
    postgres_image: str, record_property: Callable[[str, object], None]
) -> None:
    chosen = {"TEST_POSTGRES": "container", "TEST_POSTGRES_IMAGE": postgres_image}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *INTEGRATION]
    ended = await run(command, {**without_a_server_of_ours(), **chosen})
    assert ended.returncode == 0, ended.stdout[-5000:]
    record_property("integration tests", ended.stdout.splitlines()[-1])


async def test_the_image_works_beside_it(postgres_image: str) -> None:
    require_image(IMAGE, "make image, for")
    command = [str(PROJECT / "tests/docker/smoke.sh"), IMAGE]
    ended = await run(command, {**os.environ, "POSTGRES_IMAGE": postgres_image})
    assert ended.returncode == 0, ended.stderr
    assert "is well" in ended.stdout


def test_an_image_with_handlers_is_made_as_the_guide_says(tmp_path: Path) -> None:
    require_image(IMAGE, "make image, for")
    [lines] = re.findall(r"(?s)```dockerfile\n(.*?)```", (PROJECT / "docs/deploy.md").read_text())
    (tmp_path / "Dockerfile").write_text(re.sub(r"(?m)^FROM .+", f"FROM {IMAGE}", lines))
    (tmp_path / "dist").mkdir()
    with zipfile.ZipFile(tmp_path / "dist/shop-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("shop/handlers.py", "from clerk_user_sync import Changes\n")
        wheel.writestr(
            "shop-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"
        )
        wheel.writestr("shop-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("shop-1.0.dist-info/RECORD", "")
    client = docker.from_env()
    try:
        image, _ = client.images.build(path=str(tmp_path), rm=True)
        command = ["python", "-c", "import os, shop.handlers; print(os.getuid())"]
        said = client.containers.run(image, command, remove=True)
        client.images.remove(image.id)
    finally:
        client.close()
    assert said == b"10001\n"


def require_image(name: str, remedy: str) -> None:
    """No image is pulled or built implicitly."""
    if not docker_answers():
        pytest.skip("no Docker engine answers")
    client = docker.from_env()
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        pytest.skip(f"there is no image {name} here: {remedy} {name}")
    finally:
        client.close()


def without_a_server_of_ours() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith("TEST_POSTGRES")
    }


async def run(
    command: list[str], environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
