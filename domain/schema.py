"""How the store's schema stands to this release."""

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """`AHEAD`: a newer release has migrated it. Migrations within a major version only add, so an
    older release works with it. `INCOMPLETE`: its version and its tables contradict each other.
    `IN_THE_WAY`: a table of another application has the name of ours. `UNREADABLE`: the role may
    not read the version.
    """

    AT_HEAD = "at head"
    AHEAD = "ahead"
    BEHIND = "behind"
    INCOMPLETE = "incomplete"
    IN_THE_WAY = "in the way"
    WRONG_ENCODING = "wrong encoding"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """`names` are the tables, or the encoding, that decide. `lacking` are rights that the role does
    not have, like `DELETE on sync_journal`.
    """

    standing: Standing
    names: tuple[str, ...] = ()
    role: str = ""
    lacking: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether this release can work with it."""
        return self.standing in {Standing.AT_HEAD, Standing.AHEAD}
