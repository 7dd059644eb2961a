"""Database addresses, parsed in an environment that a test sets."""

from pathlib import Path

from adapters.postgres.address import Address, parse_address


def parse(url: str, home: Path = Path("/nonexistent"), **environment: str) -> Address:
    """Parse it in an empty environment."""
    return parse_address(url, {"HOME": str(home), **environment})
