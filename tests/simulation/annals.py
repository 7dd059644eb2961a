"""How every user has looked at Clerk, in order: what our table may show, and never backwards."""

from collections import defaultdict
from typing import Any

Look = dict[str, Any]


class Annals:
    """`write` is told of every change, `read` of every look that our table shows."""

    def __init__(self) -> None:
        self._looks: dict[str, list[tuple[int, Look]]] = defaultdict(list)
        self._shown: dict[str, int] = {}

    def write(self, user_id: str, milliseconds: int, look: Look) -> None:
        """From this moment on, by Clerk's clock, the user looks like that."""
        self._looks[user_id].append((milliseconds, look))

    def read(self, user_id: str, look: Look) -> bool:
        """Whether this is a look that the user had, and none from before the one last shown.

        Of two looks from one and the same millisecond nobody can tell which came first; nor of two
        of one version, where one was seen in an answer: that bears the time in whole seconds.
        """
        looks, shown = self._looks[user_id], self._shown.get(user_id, 0)
        earliest = next(i for i, one in enumerate(looks) if _alike_in_time(one, looks[shown]))
        found = [i for i, (_, one) in enumerate(looks) if one == look and i >= earliest]
        self._shown[user_id] = max(shown, found[0]) if found else shown
        return bool(found)


def _alike_in_time(one: tuple[int, Look], other: tuple[int, Look]) -> bool:
    return one[0] == other[0] or one[1]["clerk_updated_at"] == other[1]["clerk_updated_at"]
