"""The changes of one user, what became of each, and which subscriptions have finished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.changes import Change, Kind
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


async def changes_of(store: Store, user_id: UserId, newest: int | None = None) -> ChangesOf:
    """Of a user who is not deleted, no more than so many of the newest, if that is given.

    Raises `StorageUnavailable`.
    """
    changes = await store.changes.history(user_id, newest)
    if not changes:
        return ChangesOf(rows=(), endings=())
    if newest is not None and changes[-1].kind is Kind.DELETED:
        changes = await store.changes.history(user_id)  # `endings` count what is left of all
    standings = await store.desk.standings()
    asides = await store.desk.aside_of(user_id, since=changes[0].position)
    made = {one.name: made_of(changes, one, asides.get(one.name, ())) for one in standings}
    rows = [
        ChangeRow(change=change, made={name: words[place] for name, words in made.items()})
        for place, change in enumerate(changes)
    ]
    return ChangesOf(rows=rows, endings=endings(changes, standings, asides))
