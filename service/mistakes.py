"""Mistakes in the settings, by their names in the environment and without their values."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError

from service.healthcheck import PREFIX
from service.settings import Settings

MISTAKEN = "These settings are missing or wrong:"
"""The line before the mistakes."""

_OF_OTHERS = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"}
"""Settings that other programs read too: names close to these are usual."""

_SHORTEST = 7
"""Letters. Shorter names of other programs are too often close to one of ours."""

_OF_KUBERNETES = re.compile(r".*_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))(_\w+)?")
"""What it sets for a Service in the namespace, which may be named `clerk-user-sync`."""

_ALIKE = 0.88
"""`difflib`'s ratio: one letter in eight may be missing, or two exchanged."""


def mistakes(error: ValidationError) -> list[str]:
    """One line for each wrong setting."""
    return [_mistake(detail["loc"], detail["msg"]) for detail in error.errors(include_input=False)]


def slips(names: Iterable[str]) -> list[str]:
    """Names that look like a setting and are not: otherwise the mistake would go unnoticed."""
    ours = {name.upper() for name in Settings.model_fields.keys() - _OF_OTHERS}
    ours |= {f"{PREFIX}{name}" for name in ours}
    known = ours | {f"{before}{name.upper()}" for name in _OF_OTHERS for before in ("", PREFIX)}
    candidates = sorted(name for name in ours if len(name) >= _SHORTEST)
    strange = sorted({name.upper() for name in names} - known)
    return [
        slip
        for name in strange
        if not _OF_KUBERNETES.fullmatch(name) and (slip := _slip(name, candidates))
    ]


def _slip(name: str, candidates: list[str]) -> str | None:
    meant = get_close_matches(name, candidates, n=1, cutoff=_ALIKE)
    if meant:
        return f"{name} (is {meant[0]} meant?)"
    return name if name.startswith("CLERK_") else None


def _mistake(place: tuple[int | str, ...], message: str) -> str:
    words = message.removeprefix("Value error, ")
    if not place:
        return words
    name = str(place[0])
    return f"{name.upper() if name.isidentifier() else name}: {words}"
