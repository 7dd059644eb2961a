"""The receiver of docs/guides/changes-to-other-services.md, as it stands there."""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from standardwebhooks import Webhook

from adapters.push.endpoint import PushEndpoint, push_client
from domain.changes import Change
from domain.errors import NotTaken
from service.bootstrap.settings import read_settings
from service.change_settings import PushTo
from service.targets import SVIX_PAUSES

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "changes-to-other-services.md"
[CODE] = re.findall(r"(?s)```python\n(.*?)```", GUIDE.read_text())
[MESSAGE] = re.findall(r"(?s)```json\n(.*?)```", GUIDE.read_text())
SECRET = "whsec_" + "a" * 43 + "="


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/hooks"
    finally:
        server.should_exit = True
        await serving


async def test_the_receiver_takes_what_is_signed_for_it_and_acts_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, Any] = {"SECRET": SECRET}
    exec(compile(CODE, str(GUIDE), "exec"), names)
    async with (
        served(names["app"]) as url,
        push_client(ssl.create_default_context(), allow_private=True) as client,
    ):
        for _ in range(2):
            await PushEndpoint(client, url, [SECRET]).post("crm:7", MESSAGE.encode())
        with pytest.raises(NotTaken, match="answered 400"):
            await PushEndpoint(client, url, ["whsec_" + "b" * 43 + "="]).post("crm:8", b"{}")
    assert capsys.readouterr().out == "user.updated user_2abc…\n"


def test_the_message_has_the_fields_of_a_change() -> None:
    data = json.loads(MESSAGE)["data"]
    assert data.keys() == {field.name for field in fields(Change)} - {"traceparent"} | {"user"}


def test_the_page_tells_the_pauses() -> None:
    said = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600]
    assert said == list(SVIX_PAUSES)
    assert "5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h" in GUIDE.read_text()


def test_the_settings_are_read_as_they_stand_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in re.findall(r"(?m)^(CHANGES_[A-Z_]+)=(.*)$", GUIDE.read_text()):
        name, value = line[0], line[1].strip("'").replace("whsec_…", SECRET)
        monkeypatch.setenv(name, value)
    settings = read_settings(
        _env_file=None,
        clerk_secret_key="sk_test_reference_only",
        clerk_issuer="https://clerk.example.com",
        clerk_webhook_signing_secret=SECRET,
    )
    [endpoint] = settings.changes_push
    assert isinstance(endpoint, PushTo)
    assert (endpoint.name, endpoint.subscription(SVIX_PAUSES).pauses) == ("crm", SVIX_PAUSES)
    assert settings.changes_write_back == "external_id"


def test_a_secret_is_made_as_the_page_says() -> None:
    [command] = re.findall(r"python -c '(.*?)'", GUIDE.read_text())
    made: list[str] = []
    exec(command, {"print": made.append})
    Webhook(made[0])
