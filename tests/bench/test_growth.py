"""Retention, which runs beside the requests to the large journal."""

import asyncio

import pytest

from bench.growth import forgetting
from domain.errors import StorageUnavailable


async def test_retention_that_fails_ends_the_run(postgres_url: str) -> None:
    with pytest.raises(StorageUnavailable):
        async with forgetting(postgres_url) as retention:  # a database without our tables
            await asyncio.wait([retention])
