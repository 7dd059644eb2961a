"""Mistakes in regular expressions."""

import re
from collections.abc import Iterator

_QUANTITY = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_REPEATED = re.compile(r"(?<!\\)[+*?](?!\w*[=!:<])")
_CLASS = re.compile(r"(?<!\\)\[(\^?)((?:\\.|[^\]\\])+)\]")
_MEMBER = re.compile(r"\\.-\\.|[^\\]-[^\\]|\\.|.")


def spoilt_patterns(pattern: str) -> Iterator[str]:
    """Variants of the pattern that are a little too lenient or too strict."""
    for spoilt in (*_other_quantities(pattern), *_other_repeats(pattern), *_fewer(pattern)):
        if spoilt != pattern and _compiles(spoilt):
            yield spoilt


def _other_quantities(pattern: str) -> Iterator[str]:
    for found in _QUANTITY.finditer(pattern):
        for group in (1, 3):
            if found[group]:
                for number in (int(found[group]) - 1, int(found[group]) + 1):
                    yield _with(pattern, found.span(group), str(number))


def _other_repeats(pattern: str) -> Iterator[str]:
    for found in _REPEATED.finditer(pattern):
        others = {"+": ("*", ""), "*": ("+", ""), "?": ("",)}[found[0]]
        for other in others:
            yield _with(pattern, found.span(), other)


def _fewer(pattern: str) -> Iterator[str]:
    """Character classes without one of their members."""
    for found in _CLASS.finditer(pattern):
        members = list(_MEMBER.finditer(found[2]))
        for member in members if len(members) > 1 else ():
            start = found.start(2)
            yield _with(pattern, (start + member.start(), start + member.end()), "")


def _with(pattern: str, span: tuple[int, int], other: str) -> str:
    return pattern[: span[0]] + other + pattern[span[1] :]


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
