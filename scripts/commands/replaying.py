"""Replay deliveries one after the other, and count their results."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from domain.replay import RecordedDelivery, Replayed, Verdict
from scripts.commands.command import Run
from service.exit_code import ExitCode

AFTER_A_REPLAY = (
    "Replayed deliveries are saved; the same command starts over, and replaying twice is harmless."
)
"""The text after Ctrl-C."""

Destination = Callable[[RecordedDelivery], Awaitable[Replayed]]

_NOT_OUTCOMES = (Verdict.ACCEPTED, Verdict.TO_POST, Verdict.IGNORED, Verdict.NO_BODY)


async def replay(
    run: Run,
    deliveries: AsyncIterator[RecordedDelivery | Replayed],
    destination: Destination,
    total: int | None,
) -> ExitCode:
    """Replay all. Returns `BAD_DATA` if a delivery failed or stays in quarantine."""
    with run.screen.progress("deliveries", total) as advance:
        async for delivery in deliveries:
            if isinstance(delivery, RecordedDelivery):
                report(run, await destination(delivery))
            else:
                report(run, delivery)
            advance(1)
            # A line that sends no statement awaits nothing, and Ctrl-C would wait for the last one.
            await asyncio.sleep(0)
    return ExitCode.BAD_DATA if run.tally["failed"] + run.tally["quarantined"] else ExitCode.OK


def report(run: Run, replayed: Replayed) -> None:
    """Count the result, and print it if the delivery failed."""
    word = replayed.verdict.value
    if replayed.verdict in _NOT_OUTCOMES:
        run.facts[word] = run.facts.get(word, 0) + 1
    else:
        run.tally[word] += 1
    if replayed.verdict in (Verdict.FAILED, Verdict.QUARANTINED):
        run.screen.say(f"{replayed.svix_id}: {replayed.verdict}: {replayed.reason}")
    run.screen.record(
        {
            "svix_id": replayed.svix_id,
            "verdict": replayed.verdict,
            "reason": replayed.reason,
        }
    )
