"""Standard streams that cannot be written: a full disk, or a reader that has gone."""

import os
from typing import TextIO


def discard(stream: TextIO) -> None:
    """Discard all further output, and what is buffered: Python would write it at exit, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
