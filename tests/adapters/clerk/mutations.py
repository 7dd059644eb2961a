"""Hypothesis strategies for payloads that Clerk never sends: any JSON, and changed real payloads."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.adapters.clerk.payloads import webhook_bytes, webhook_names

HOSTILE: list[Any] = [
    *("", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "\x1b[31m", "\ufeff", "x" * 2_000),
    *("../../etc/passwd", "%00", "'; drop table users; --", "user_", "user_a\n", "user_%2e", "NaN"),
    *(-1, 0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400),
    *(0.5, -0.0, 1e300, float("nan"), float("inf"), float("-inf")),
    *(1_760_000_000, 1_760_000_000_018, 4_102_444_800_000, 10**15, 253_402_300_800_000),
    *(None, True, False, [], {}, [[]], {"": None}, {"id": None}, {"\x00": "\ud800"}),
    json.loads("[" * 250 + "]" * 250),
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | st.sampled_from(HOSTILE).map(json.dumps).map(json.loads)
)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec=None), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)

Place = tuple[Any, Any]
"""A place in a payload: a container, and a key or index."""


def written(value: Any) -> bytes:
    """The value as JSON, with NaN and lone surrogates."""
    return json.dumps(value).encode()


@st.composite
def spoilt(draw: st.DrawFn, originals: Callable[[], list[Any]]) -> Any:
    """One of the originals with one to four of its members replaced, taken out or added."""
    whole = deepcopy(draw(st.sampled_from(originals())))
    for _ in range(draw(st.integers(1, 4))):
        if found := list(places(whole)):
            _spoil(draw, *draw(st.sampled_from(found)))
    return whole


def _spoil(draw: st.DrawFn, container: Any, key: Any) -> None:
    how = draw(st.sampled_from(["nearly", "nearly", "replace", "remove", "add"]))
    if how == "nearly":
        container[key] = draw(st.sampled_from(nearly(container[key])))
    elif how == "remove":
        del container[key]
    elif how == "add" and isinstance(container, dict):
        container[draw(st.text(max_size=8))] = draw(ANY_JSON)
    else:
        container[key] = draw(ANY_JSON)


def nearly(value: Any) -> list[Any]:
    """Values that could be mistaken for this value."""
    match value:
        case bool():
            return [not value, str(value), int(value), None]
        case int() if abs(value) > 10**300:  # no float is that large
            return [str(value), -value, True]
        case int():
            return [
                float(value),
                value + 0.5,
                str(value),
                -value,
                value * 1000,
                value // 1000,
                True,
            ]
        case str():
            # Cut first, so that one repeated twice still leaves the body below the size cap.
            long = value[:100] * 200
            return [f"{value}\x00", f"{value}\ud800", f"{value}\n", long, [value], 5, None]
        case _:
            return [[], {}, [{}], "x", 5, None]


def places(value: Any, levels: int = 8) -> Iterator[Place]:
    """Every place in the payload, up to a depth."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys if levels else ():
        yield value, key
        yield from places(value[key], levels - 1)


@st.composite
def garbled(draw: st.DrawFn, originals: Callable[[], list[bytes]]) -> bytes:
    """One of the originals with some of its bytes overwritten, doubled or cut out."""
    text = draw(st.sampled_from(originals()))
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        end = min(end, start + 40)
        middle = draw(st.sampled_from([b"", text[start:end] * 2]) | st.binary(max_size=8))
        text = text[:start] + middle + text[end:]
    return text


@cache
def envelopes() -> list[Any]:
    return [json.loads(webhook_bytes(name)) for name in webhook_names()]


@cache
def bodies() -> list[bytes]:
    return [webhook_bytes(name) for name in webhook_names()]


BODIES: st.SearchStrategy[bytes] = (
    spoilt(envelopes).map(written) | garbled(bodies) | ANY_JSON.map(written) | st.binary()
)
"""Bodies that are signed, valid or not."""
