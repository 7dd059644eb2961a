"""Settings that are right, the mistakes in others, and `python -m service` with them."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from service.bootstrap.settings import read_settings
from service.mistakes import mistakes
from service.settings import Settings

ROOT = Path(__file__).parents[2]

SECRET_KEY = "sk_test_canaryCanaryCanary"
PUBLISHABLE_KEY = "pk_test_Y2xlcmsuaW5zcGlyZWQucHVtYS03NC5sY2wuZGV2JA"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_WEBHOOK_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n"

PUBLIC_KEY = (
    generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

CERTIFICATE = (Path(__file__).parents[1] / "data" / "authority.pem").read_text()

EC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)

GOOD = {
    "clerk_secret_key": SECRET_KEY,
    "clerk_publishable_key": PUBLISHABLE_KEY,
    "clerk_webhook_signing_secret": WEBHOOK_SECRET,
}


def settings(**given: Any) -> Settings:
    return read_settings(_env_file=None, **{**GOOD, **given})


def mistakes_of(**given: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        read_settings(_env_file=None, **given)
    return mistakes(caught.value)


def whsec(size: int) -> str:
    return f"whsec_{base64.b64encode(b'k' * size).decode()}"


ENVIRONMENT = {name.upper(): value for name, value in GOOD.items()}

Ended: TypeAlias = "subprocess.CompletedProcess[str]"


def run(*arguments: str, cwd: Path, **environment: str) -> Ended:
    """`python -m service` in an environment without other variables."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
