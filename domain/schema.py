"""The state of the store's schema, compared with what this release needs."""

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """`AHEAD`: a newer release has migrated it. Migrations within a major version only add, so an
    older release works with it. `INCOMPLETE`: tables that its version needs are missing or empty.
    `IN_THE_WAY`: a table of another application has the name of ours. `UNREADABLE`: the role has no
    right to read the version.
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
    """`names` are the tables, or the encoding, that the standing is about. `lacking` are the rights
    that `role` does not have, like `DELETE on sync_journal`. `is_read_only` means that the store
    takes no writes now.
    """

    standing: Standing
    names: tuple[str, ...] = ()
    role: str = ""
    lacking: tuple[str, ...] = ()
    is_read_only: bool = False

    @property
    def is_usable(self) -> bool:
        """Whether this release can work with it."""
        return self.standing in {Standing.AT_HEAD, Standing.AHEAD}
