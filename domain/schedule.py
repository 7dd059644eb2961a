"""What a subscription delivers next: decisions without a clock, a store or a target."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from domain.change_log import Page, Progress
from domain.changes import Change
from domain.subscriptions import AsideState, SetAside, Wants
from domain.user import UserId


@dataclass(eq=False, slots=True)
class Turn:
    """A change that is ready or in delivery. `failures` counts the earlier tries."""

    change: Change
    failures: int = 0
    is_aside: bool = False

    @property
    def position(self) -> int:
        return self.change.position

    def aside(self, state: AsideState, error: str | None = None, pause: float = 0.0) -> SetAside:
        return SetAside(
            position=self.position,
            clerk_id=self.change.clerk_id,
            state=state,
            attempts=self.failures,
            error=error,
            pause=pause,
        )


class Schedule:
    """The changes that were read and are not yet delivered: one turn for each user at a time.

    Methods return the turns that are ready now. A change that fails, or takes long, is set aside:
    it no longer holds back `position`, and the store gives out its user's later changes one by one,
    each when the one before is resolved.
    """

    def __init__(self, position: int, wants: Wants) -> None:
        self.read = position
        self._wants = wants
        self._open: dict[int, None] = {}
        self._turns: dict[UserId, Turn] = {}
        self._later: dict[UserId, deque[Change]] = {}
        self._aside: dict[int, SetAside] = {}
        self._resolved: list[SetAside] = []
        self._given_up: list[SetAside] = []

    @property
    def position(self) -> int:
        """Everything up to here is delivered, set aside or not wanted."""
        return next(iter(self._open), self.read + 1) - 1

    @property
    def unsettled(self) -> int:
        """How many changes that were read still hold back `position`."""
        return len(self._open)

    @property
    def aside(self) -> int:
        """How many changes were set aside since the last save."""
        return len(self._aside)

    @property
    def in_hand(self) -> list[UserId]:
        """The users with a turn, or with one that has ended and is not saved yet.

        What the store has set aside for them is out of date.
        """
        ended = (*self._aside.values(), *self._resolved, *self._given_up)
        return [*{*self._turns, *(aside.clerk_id for aside in ended)}]

    def add(self, page: Page) -> list[Turn]:
        """Add the changes of the next page."""
        held = page.held | {aside.clerk_id for aside in self._aside.values()}
        ready = [turn for change in page.changes if (turn := self._take(change, held))]
        if page.changes:
            self.read = page.changes[-1].position
        return ready

    def _take(self, change: Change, held: frozenset[UserId]) -> Turn | None:
        user_id = change.clerk_id
        if user_id in held or change not in self._wants:
            return None
        self._open[change.position] = None
        if user_id in self._turns:
            self._later.setdefault(user_id, deque()).append(change)
            return None
        turn = self._turns[user_id] = Turn(change)
        return turn

    def add_due(self, due: Iterable[tuple[SetAside, Change | None]]) -> list[Turn]:
        """Add changes that were set aside and are due. One without a change is given up."""
        ready = []
        for aside, change in due:
            if aside.clerk_id in self._turns:
                continue
            if change is None or aside.state is AsideState.SKIPPING:
                self._given_up.append(aside)
            elif change not in self._wants:
                self._resolved.append(aside)
            else:
                turn = Turn(change, failures=aside.attempts, is_aside=True)
                self._turns[aside.clerk_id] = turn
                ready.append(turn)
        return ready

    def delivered(self, turn: Turn) -> list[Turn]:
        """End a turn. The user's next change is ready, if there is one."""
        user_id = turn.change.clerk_id
        del self._turns[user_id]
        if turn.is_aside:
            self._resolved.append(turn.aside(AsideState.WAITING))
            return []
        del self._open[turn.position]
        if not (later := self._later.get(user_id)):
            return []
        following = self._turns[user_id] = Turn(later.popleft())
        if not later:
            del self._later[user_id]
        return [following]

    def failed(self, turn: Turn, error: str, pause: float | None) -> None:
        """End a turn: try again after `pause` seconds, or park it if `pause` is None."""
        del self._turns[turn.change.clerk_id]
        turn.failures += 1
        state = AsideState.PARKED if pause is None else AsideState.WAITING
        self._put_aside(turn, turn.aside(state, error, pause or 0.0))

    def set_aside(self, turn: Turn) -> None:
        """Set a turn aside that takes long, so that it does not hold back the position."""
        if not turn.is_aside:
            self._put_aside(turn, turn.aside(AsideState.WAITING))

    def handed_back(self, turn: Turn) -> None:
        """End a turn that was not tried. The next process to read delivers the change."""
        del self._turns[turn.change.clerk_id]

    def progress(self) -> Progress:
        """The progress since the last call. If it cannot be saved, pass it to `not_saved`."""
        progress = Progress(
            position=self.position,
            read=self.read,
            aside=tuple(self._aside.values()),
            resolved=tuple(self._resolved),
            given_up=tuple(self._given_up),
        )
        self._aside, self._resolved, self._given_up = {}, [], []
        return progress

    def not_saved(self, progress: Progress) -> None:
        """Keep the progress for the next call of `progress`."""
        older = {aside.position: aside for aside in progress.aside}
        self._aside = {**older, **self._aside}
        self._resolved = [*progress.resolved, *self._resolved]
        self._given_up = [*progress.given_up, *self._given_up]

    def _put_aside(self, turn: Turn, aside: SetAside) -> None:
        self._aside[turn.position] = aside
        if turn.is_aside:
            return
        turn.is_aside = True
        del self._open[turn.position]
        for change in self._later.pop(turn.change.clerk_id, ()):
            del self._open[change.position]
