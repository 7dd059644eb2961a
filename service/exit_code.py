"""The exit codes of the service and of the operators' commands.

From 64 on they are BSD's sysexits, then 128 + the signal's number, as in shells.
"""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """`meaning` is shown in the help of the commands."""

    meaning: str

    OK = 0, "done"
    NOT_WELL = 1, "something is not well"
    DRIFT = 3, "the table differs from Clerk"
    USAGE = 64, "wrong usage, or not agreed to"
    BAD_DATA = 65, "bad data"
    UNAVAILABLE = 69, "the store or Clerk is unavailable"
    PORT_TAKEN = 71, "the port is taken"
    IO_ERROR = 74, "input or output failed"
    ALREADY_RUNNING = 75, "another run is under way"
    NOT_PERMITTED = 77, "the key is wrong, or the Clerk instance is not the one of our rows"
    MISCONFIGURED = 78, "settings are wrong, or the schema does not fit"
    INTERRUPTED = 130, "stopped by Ctrl-C"
    BROKEN_PIPE = 141, "the reader of the output has gone"

    def __new__(cls, value: int, meaning: str) -> Self:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code
