"""Adoption: the rows of an application's own table of users are linked to our users.

A row is linked to a user by an external id, or by an address that is certain: Clerk has verified it
and it is the user's primary one, the application has verified it too, no other row has it, and no
other user has it in any role. Any other address may be another person's, and is only reported.

Addresses are compared without surrounding white space, and without regard to the case of ASCII
letters. Nothing else is normalised: no other letters, no dots, nothing after a `+`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """The verdict on a row, or on a user. The first two are links that can be made."""

    BY_EXTERNAL_ID = "by_external_id"
    BY_ADDRESS = "by_address"
    LINKED_BEFORE = "linked_before"
    CONFLICT = "conflict"
    """The row or the user is linked to another one."""
    AMBIGUOUS = "ambiguous"
    """Several rows or several users have that id or address."""
    UNVERIFIED = "unverified"
    """The same address, but not a verified primary one on both sides."""
    NO_USER = "no_user"
    """A row without a user."""
    NO_ROW = "no_row"
    """A user without a row."""


LINKABLE = (Verdict.BY_EXTERNAL_ID, Verdict.BY_ADDRESS)
CONTRADICTORY = (Verdict.CONFLICT, Verdict.AMBIGUOUS)
"""The two sides contradict each other: an operator has to decide."""


class UnfitTable(ValueError):
    """The application's table, or a column of it, cannot be used, as the text says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTable:
    """A table or view of the application's, and the names of its columns.

    `external_id` holds what Clerk's users have as `external_id`; None: the row's own id. `verified`
    is a boolean, or a time that is null until the address is verified. With `all_verified` every
    address counts as verified. Without either, no row is linked by its address.

    Raises `UnfitTable` where the ids are the addresses: a link is kept after its user is deleted.
    """

    name: str
    id: str = "id"
    email: str | None = None
    external_id: str | None = None
    verified: str | None = None
    all_verified: bool = False

    def __post_init__(self) -> None:
        if self.email is not None and self.id.lower() == self.email.lower():
            raise UnfitTable("the id must not be the address: a deleted user's id is kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row or one user. `row_id` is the row's id as text, `clerk_id` the user found for it."""

    verdict: Verdict
    row_id: str | None
    clerk_id: str | None


class Adoption(Protocol):
    """Compares the rows of an application's table with our users, and with the links so far.

    Each method raises `UnfitTable` or `StorageUnavailable`. None keeps more than a page in memory.
    """

    async def report(self, table: HostTable) -> Mapping[Verdict, int]:
        """How many there are of each verdict. Writes nothing."""
        ...

    async def link(self, table: HostTable) -> Mapping[Verdict, int]:
        """Write every link that can be made, or none at all. Returns what `report` would."""
        ...

    def judged(self, table: HostTable) -> AsyncIterator[Judged]:
        """Every row, and every user without one. Writes nothing."""
        ...
