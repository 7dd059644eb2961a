"""Another environment, with a service and a store of its own, for `journal --post`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from tests.adapters.clerk.payloads import INSTANCE
from tests.running import settings_for
from tests.service.listening import listening


@dataclass(frozen=True)
class Elsewhere:
    url: str
    store_url: str

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.store_url)
        rows = await connection.fetch(query)
        await connection.close()
        return [tuple(row) for row in rows]


@asynccontextmanager
async def listening_service(
    clerk: ClerkEmulator, store_url: str, **overrides: Any
) -> AsyncIterator[Elsewhere]:
    settings = settings_for(clerk, store_url, **{"clerk_instance_id": INSTANCE, **overrides})
    async with listening(create_app(settings), settings) as there:
        yield Elsewhere(f"http://127.0.0.1:{there.port}", store_url)
