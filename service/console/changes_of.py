"""The changes of one user, and what every subscription made of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.changes import Change
from domain.finished import Ending, endings
from domain.subscriptions import made_of
from domain.user import UserId
from service.services import Store

SHOWN = 50
"""Changes on the page of one user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A change, and what each subscription made of it, by name."""

    change: Change
    made: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesOf:
    """The newest changes of a user of `total`. A deleted user has `endings`."""

    rows: Sequence[ChangeRow]
    total: int
    endings: Sequence[Ending]


async def changes_of(store: Store, user_id: UserId) -> ChangesOf:
    """Raises `StorageUnavailable`."""
    changes = await store.changes.history(user_id)
    standings = await store.desk.standings() if changes else ()
    asides = await store.desk.aside_of(user_id) if changes else {}
    rows = [
        ChangeRow(
            change=change,
            made={one.name: made_of(change, one, asides.get(one.name, ())) for one in standings},
        )
        for change in reversed(changes[-SHOWN:])
    ]
    return ChangesOf(rows=rows, total=len(changes), endings=endings(changes, standings, asides))
