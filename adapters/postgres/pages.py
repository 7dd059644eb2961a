"""What one statement may take, and what may be written at the same time."""

from collections import defaultdict
from collections.abc import Sequence

from domain.observation import SyncUser

WORTH_HALVING = 100
"""Commands of a page."""


def keys_of(command: SyncUser) -> list[str]:
    """What a statement can take only once: the user, and the delivery."""
    delivery = command.delivery
    return [command.change.clerk_id, *([f"delivery {delivery.svix_id}"] if delivery else [])]


def in_parts(commands: Sequence[SyncUser]) -> list[Sequence[SyncUser]]:
    """Of a long page two halves: the store has one while we make the other ready.

    They are written at the same time, so they have nobody in common.
    """
    if len(commands) < WORTH_HALVING or not _are_distinct(commands):
        return [commands] if commands else []
    middle = len(commands) // 2
    return [commands[:middle], commands[middle:]]


def in_waves(commands: Sequence[SyncUser]) -> list[list[int]]:
    """The commands' places, split so that a wave has each user and each svix id at most once."""
    if _are_distinct(commands):
        return [list(range(len(commands)))]
    waves: list[list[int]] = []
    next_wave: dict[str, int] = defaultdict(int)
    for index, command in enumerate(commands):
        taken = keys_of(command)
        wave = max(next_wave[key] for key in taken)
        next_wave.update(dict.fromkeys(taken, wave + 1))
        if wave == len(waves):
            waves.append([])
        waves[wave].append(index)
    return waves


def _are_distinct(commands: Sequence[SyncUser]) -> bool:
    taken = [key for command in commands for key in keys_of(command)]
    return len(taken) == len(set(taken))
