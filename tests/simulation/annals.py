"""Every state of every user at Clerk, in order. Our table may show these, and never go back."""

from collections import defaultdict
from typing import Any

Look = dict[str, Any]


class Annals:
    """`write` takes every state at Clerk, `read` every state that our table shows."""

    def __init__(self) -> None:
        self._looks: dict[str, list[tuple[int, Look]]] = defaultdict(list)
        self._shown: dict[str, int] = {}

    def write(self, user_id: str, milliseconds: int, look: Look) -> None:
        """The user has these contents from this moment of Clerk's clock on."""
        self._looks[user_id].append((milliseconds, look))

    def read(self, user_id: str, look: Look) -> bool:
        """Whether the user had these contents, and not before the contents that were shown last.

        Two states of the same millisecond have no order. Neither have two states of one version,
        because an API answer shows its time in whole seconds.
        """
        looks, shown = self._looks[user_id], self._shown.get(user_id, 0)
        earliest = next(i for i, one in enumerate(looks) if _alike_in_time(one, looks[shown]))
        found = [i for i, (_, one) in enumerate(looks) if one == look and i >= earliest]
        self._shown[user_id] = max(shown, found[0]) if found else shown
        return bool(found)


def _alike_in_time(one: tuple[int, Look], other: tuple[int, Look]) -> bool:
    return one[0] == other[0] or one[1]["clerk_updated_at"] == other[1]["clerk_updated_at"]
