"""Svix's module is loaded without its package, or with it where that cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest
import svix.webhooks

from adapters.clerk import svix_webhooks

LOADED = """
import sys
from adapters.clerk.svix_webhooks import Webhook, WebhookVerificationError
print(Webhook.__module__, WebhookVerificationError.__module__, "svix" in sys.modules)
"""
OF_THE_PACKAGE = {
    "__init__.py": "",
    "errors.py": "class WebhookVerificationError(Exception): ...",
    "webhooks.py": "from .errors import WebhookVerificationError\nclass Webhook: ...",
}
AS_A_PACKAGE = {
    "__init__.py": "",
    "webhooks/__init__.py": (
        "class WebhookVerificationError(Exception): ...\nclass Webhook: ...\n"
    ),
}


def _loaded(path: Path | None = None) -> str:
    program = f"import sys; sys.path.insert(0, {str(path)!r}) {LOADED}" if path else LOADED
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_the_module_is_loaded_alone() -> None:
    names = "adapters.clerk.svix_webhooks_alone standardwebhooks.webhooks False\n"
    assert _loaded() == names


def test_its_errors_are_those_of_the_package() -> None:
    raised = svix_webhooks.WebhookVerificationError
    assert raised is svix.webhooks.WebhookVerificationError


@pytest.mark.parametrize("files", [OF_THE_PACKAGE, AS_A_PACKAGE])
def test_a_module_that_needs_its_package_is_loaded_with_it(
    files: dict[str, str], tmp_path: Path
) -> None:
    for name, text in files.items():
        file = tmp_path / "svix" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert _loaded(tmp_path).startswith("svix.webhooks ")
