"""The changes of one user, what became of each, and which subscriptions have finished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.changes import Change
from domain.finished import Ending, endings
from domain.subscriptions import made_of
from domain.user import UserId
from service.services import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A change, and what each subscription made of it, by name."""

    change: Change
    made: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesOf:
    """The changes of a user that are kept, oldest first. A deleted user has `endings`."""

    rows: Sequence[ChangeRow]
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
        for change in changes
    ]
    return ChangesOf(rows=rows, endings=endings(changes, standings, asides))
