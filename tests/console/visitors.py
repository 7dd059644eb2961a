"""People at the console, and what they can do there without a browser."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx
from fastapi import FastAPI

READER = "reader-token-for-tests-0123456789abcdef"
OPERATOR = "operator-token-for-tests-0123456789abcdef"
TOKENS: dict[str, Any] = {"console_token": READER, "console_operator_token": OPERATOR}

COOKIE = "console"
"""The name of the cookie on loopback."""

_PROOF = re.compile(r'name="form_proof" value="([0-9a-f]+)"')
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def proof_in(page: httpx.Response) -> str:
    """What makes the page's form ours."""
    found = _PROOF.search(page.text)
    assert found, page.text
    return found[1]


def fields_of(page: httpx.Response) -> dict[str, str]:
    """The fields of the page's form that nobody fills in."""
    return {name: unescape(text) for name, text in _FIELD.findall(page.text)}


@dataclass
class Visitor:
    """Somebody with a browser's cookies, and none of its rules."""

    http: httpx.AsyncClient
    base: str = "/console"
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str = "") -> httpx.Response:
        return await self.http.get(f"{self.base}{path}", headers=self.headers)

    async def post(
        self,
        path: str,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        return await self.http.post(
            f"{self.base}{path}",
            data=fields or {"nothing": ""},
            headers={"origin": "http://localhost", **self.headers, **(headers or {})},
        )

    async def sign_in(self, token: str, after: str = "") -> httpx.Response:
        return await self.post("/sign-in", {"token": token, "after": after})

    async def confirm(self, path: str, **changes: str) -> httpx.Response:
        """Open the confirmation and send its form, as it stands or with `changes`."""
        page = await self.get(path)
        assert page.status_code == 200, page.text
        return await self.post(path.partition("?")[0], {**fields_of(page), **changes})


@asynccontextmanager
async def visitor_of(app: FastAPI, root_path: str = "") -> AsyncIterator[Visitor]:
    """A browser at plain http on loopback, by the `Origin` of its forms."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=30
    ) as http:
        yield Visitor(http, f"{root_path}/console")
