"""The templates: autoescaped always, and an unknown name is an error, not an empty string."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from domain.words import span
from service.console import reasons, words

HERE = Path(__file__).parent


class Templates:
    """Rendered with what every page needs, besides its own facts."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            ago=words.ago,
            because=reasons.because,
            clock=words.clock,
            exact=words.exact,
            iso=words.iso,
            moment=datetime.fromisoformat,
            sentence=words.sentence,
            source=words.source,
            span=span,
            value=words.value,
            why=reasons.why,
        )
        self._environment.globals["version"] = _version()
        for name in self._environment.list_templates():
            self._environment.get_template(name)  # compiled now, not while somebody waits

    def render(self, name: str, facts: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render({"now": datetime.now(UTC), **facts})


def _version() -> str:
    """Changes when a file under `static/` does, so that a browser may keep each for good."""
    digest = sha256()
    for file in sorted((HERE / "static").iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
