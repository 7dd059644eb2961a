"""Examples from Clerk's documentation, to compare with the emulator's answers."""

import json
from pathlib import Path
from typing import Any

import httpx

_DATA = Path(__file__).parent / "data"


def example(name: str) -> Any:
    return json.loads((_DATA / f"{name}.json").read_text())


def error_code(response: httpx.Response) -> Any:
    return response.json()["errors"][0]["code"]


def shape(value: Any) -> Any:
    """The keys at every level, without the values. A list has the shape of its first item."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None
