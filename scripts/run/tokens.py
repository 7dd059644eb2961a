"""The tokens of the demo, which stay the same from one run to the next."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_urlsafe

_FILE = "tokens.json"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Let an operator into the console, and another service to the changes."""

    console: str
    changes: str


def kept_tokens(data: Path) -> Tokens:
    """Those of the environment, or else those kept in `data`, made on first use."""
    file = data / _FILE
    try:
        kept = Tokens(**json.loads(file.read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        kept = Tokens(console=token_urlsafe(32), changes=token_urlsafe(32))
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            json.dump(asdict(kept), opened)
    return Tokens(
        console=os.environ.get("CONSOLE_OPERATOR_TOKEN") or kept.console,
        changes=os.environ.get("CHANGES_TOKEN") or kept.changes,
    )
