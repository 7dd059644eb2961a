"""JSON of what the domain holds."""

from collections.abc import Mapping


def plain_values(value: object) -> object:
    """For orjson: a read-only mapping as an object, anything else as text."""
    return dict(value) if isinstance(value, Mapping) else str(value)
