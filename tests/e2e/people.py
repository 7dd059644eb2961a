"""Users at Clerk who come, change and go at random."""

import random
from collections.abc import Iterable
from uuid import UUID

from scripts.clerk_emulator import ClerkEmulator


class People:
    """Create, change and delete users at Clerk, at random. Some may exist already."""

    def __init__(
        self, clerk: ClerkEmulator, chance: random.Random, present: Iterable[str] = ()
    ) -> None:
        self._clerk = clerk
        self._chance = chance
        self._steps = [self._come, self._come, *[self._change] * 4, self._turn, self._go]
        self._present = list(present)
        self.ids = list(present)

    def step(self) -> None:
        """Change one of them."""
        self._chance.choice(self._steps if self._present else [self._come])()

    def _come(self) -> None:
        address = f"{UUID(int=self._chance.getrandbits(128)).hex}@example.com"
        user_id = self._clerk.create_user(email_address=[address])["id"]
        self._present.append(user_id)
        self.ids.append(user_id)

    def _change(self) -> None:
        number = self._chance.randrange(1000)
        self._clerk.update_user(self._somebody(), first_name=f"Ada {number}", last_name=None)

    def _turn(self) -> None:
        """Ban or unban the user."""
        self._clerk.edit_user(self._somebody(), banned=self._chance.random() < 0.5)

    def _go(self) -> None:
        user_id = self._somebody()
        self._present.remove(user_id)
        self._clerk.delete_user(user_id)

    def _somebody(self) -> str:
        return self._chance.choice(self._present)
