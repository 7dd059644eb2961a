"""Adoption in memory: the rule written out once more, one row at a time."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from domain.adoption import LINKABLE, Adoption, HostTable, Judged, Verdict
from domain.user import User

_ASCII = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class HostRow:
    """A row of an application's table."""

    id: str
    email: str | None = None
    external_id: str | None = None
    verified: bool = True


@dataclass
class InMemoryAdoption(Adoption):
    """`links` are from the ids of rows to those of users."""

    rows: Sequence[HostRow]
    users: Sequence[User]
    deleted: Sequence[str] = ()
    links: dict[str, str] = field(default_factory=dict)

    async def report(self, table: HostTable) -> Mapping[Verdict, int]:
        return Counter([one.verdict async for one in self.judged(table)])

    async def link(self, table: HostTable) -> Mapping[Verdict, int]:
        found = [one async for one in self.judged(table)]
        for one in found:
            if one.verdict in LINKABLE:
                assert one.row_id is not None
                assert one.clerk_id is not None
                self.links[one.row_id] = one.clerk_id
        return Counter(one.verdict for one in found)

    async def judged(self, table: HostTable) -> AsyncIterator[Judged]:
        for row in self.rows:
            yield self._of_row(row, table)
        for user in self.users:
            if self._has_no_row(user, table):
                yield Judged(verdict=Verdict.NO_ROW, row_id=None, clerk_id=user.clerk_id)

    def _of_row(self, row: HostRow, table: HostTable) -> Judged:
        match, verdict = self._match(row, table)
        if [one.id for one in self.rows].count(row.id) > 1:
            verdict = Verdict.AMBIGUOUS
        elif row.id in self.links:
            same = match is None or self.links[row.id] == match
            verdict = Verdict.LINKED_BEFORE if same else Verdict.CONFLICT
        elif match in self.links.values():
            verdict = Verdict.CONFLICT
        return Judged(verdict=verdict, row_id=row.id, clerk_id=match)

    def _match(self, row: HostRow, table: HostTable) -> tuple[str | None, Verdict]:
        external = self._external_id(row, table)
        users = [user for user in self.users if external and user.external_id == external]
        rows = [one for one in self.rows if self._external_id(one, table) == external]
        if len(users) == len(rows) == 1:
            return users[0].clerk_id, Verdict.BY_EXTERNAL_ID
        if users:
            return self._by_address(row, table, otherwise=Verdict.AMBIGUOUS)
        return self._by_address(row, table, otherwise=None)

    def _by_address(
        self, row: HostRow, table: HostTable, otherwise: Verdict | None
    ) -> tuple[str | None, Verdict]:
        if otherwise is not None:
            return None, otherwise
        address = _normalised(row.email) if table.email else None
        users = [user for user in self.users if address and address in _addresses(user)]
        if not users:
            return None, Verdict.NO_USER
        rows = [one for one in self.rows if _normalised(one.email) == address]
        if len(users) > 1 or len(rows) > 1:
            return None, Verdict.AMBIGUOUS
        (user,) = users
        proven = user.email_verified and _normalised(user.email) == address
        if not (proven and (row.verified if table.verified else table.all_verified)):
            return None, Verdict.UNVERIFIED
        taken = any(self._external_id(one, table) == user.external_id for one in self.rows)
        if user.external_id and taken:
            return None, Verdict.CONFLICT
        return user.clerk_id, Verdict.BY_ADDRESS

    def _has_no_row(self, user: User, table: HostTable) -> bool:
        if user.clerk_id in self.links.values():
            return False
        if user.external_id and any(
            self._external_id(row, table) == user.external_id for row in self.rows
        ):
            return False
        address = _normalised(user.email)
        return not (
            table.email and address and any(_normalised(one.email) == address for one in self.rows)
        )

    def _external_id(self, row: HostRow, table: HostTable) -> str | None:
        return row.external_id if table.external_id else row.id


def _addresses(user: User) -> set[str | None]:
    every = [user.email, *(one.address for one in user.email_addresses)]
    return {_normalised(one) for one in every}


def _normalised(address: str | None) -> str | None:
    return (address or "").strip(" \t\n\r\f\v").translate(_ASCII) or None
