"""Clerk's own shapes, to hold ours against."""

import json
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data"


def example(name: str) -> Any:
    return json.loads((_DATA / f"{name}.json").read_text())


def shape(value: Any) -> Any:
    """Keys at every level, without the values; of a list the shape of its first item."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None
