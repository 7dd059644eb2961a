"""Speaks to a running service from inside the image, whose libraries it uses. Standard input of
`docker run … python - COMMAND`, because the image holds no tests.
"""

import json
import os
import sys
import time
import urllib.request
from datetime import UTC, datetime
from importlib.metadata import distribution, distributions, version
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from svix.webhooks import Webhook

SERVICE = "http://service:8000"
PATIENCE = 30.0  # seconds
USER_ID = "user_2smoke"


def public_key() -> None:
    """A public key to verify session tokens. Its private key is discarded."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    sys.stdout.buffer.write(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def ready() -> None:
    """Wait until the service says it is ready."""
    give_up = time.monotonic() + PATIENCE
    while not answers("/readyz"):
        if time.monotonic() > give_up:
            sys.exit("the service did not become ready")
        time.sleep(0.2)


def deliver() -> None:
    """One sign-up, signed as Svix signs; the answer must be 204."""
    status = urllib.request.urlopen(signed(sign_up()), timeout=10).status
    if status != 204:
        sys.exit(f"the webhook was answered {status}")


def components() -> None:
    """The list of components names each installed distribution with its version."""
    listed = json.loads(Path("/opt/venv/share/sbom.cdx.json").read_text())
    named = {(one["name"].lower(), one["version"]) for one in listed["components"]}
    installed = {(one.name.lower(), one.version) for one in distributions()}
    if missing := installed - named - {("clerk-user-sync", version("clerk-user-sync"))}:
        sys.exit(f"not in the list of components: {missing}")


def entry_points() -> None:
    """Each entry point of ours can be loaded. pytest, in an image made from this one, loads its own."""
    for one in distribution("clerk-user-sync").entry_points:
        one.load()


def answers(path: str) -> bool:
    try:
        return bool(urllib.request.urlopen(SERVICE + path, timeout=5).status == 200)
    except OSError:
        return False


def sign_up() -> dict[str, object]:
    now = time.time_ns() // 1_000_000
    email = {"id": "idn_1", "object": "email_address", "email_address": "smoke@example.com"}
    user = {
        "id": USER_ID,
        "object": "user",
        "email_addresses": [email],
        "primary_email_address_id": "idn_1",
        "created_at": now,
        "updated_at": now,
    }
    return {"object": "event", "type": "user.created", "timestamp": now, "data": user}


def signed(event: dict[str, object]) -> urllib.request.Request:
    body, now = json.dumps(event), datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "svix-id": "msg_smoke",
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": Webhook(os.environ["WEBHOOK_SECRET"]).sign("msg_smoke", now, body),
    }
    return urllib.request.Request(f"{SERVICE}/webhooks/clerk", body.encode(), headers)


if __name__ == "__main__":
    commands = (components, deliver, entry_points, public_key, ready)
    {each.__name__: each for each in commands}[sys.argv[1]]()
