"""Replays deliveries, one after the other, and counts what each came to."""

from collections.abc import AsyncIterator, Awaitable, Callable

from domain.replay import RecordedDelivery, Replayed, Verdict
from scripts.commands.command import Run
from scripts.commands.exit_codes import ExitCode

AFTER_A_REPLAY = (
    "What is replayed is saved; the same command begins anew, and replaying twice changes nothing."
)
"""How to go on after Ctrl-C."""

Destination = Callable[[RecordedDelivery], Awaitable[Replayed]]

_BESIDE_THE_OUTCOMES = (Verdict.ACCEPTED, Verdict.TO_POST, Verdict.IGNORED, Verdict.NO_BODY)


async def replay(
    run: Run,
    deliveries: AsyncIterator[RecordedDelivery | Replayed],
    destination: Destination,
    total: int | None,
) -> ExitCode:
    """`BAD_DATA` if something failed or stays in quarantine; the rest is done all the same."""
    with run.screen.progress("deliveries", total) as advance:
        async for delivery in deliveries:
            report(run, await _sent_on(delivery, destination))
            advance(1)
    return ExitCode.BAD_DATA if run.tally["failed"] + run.tally["quarantined"] else ExitCode.OK


async def _sent_on(delivery: RecordedDelivery | Replayed, destination: Destination) -> Replayed:
    return delivery if isinstance(delivery, Replayed) else await destination(delivery)


def report(run: Run, replayed: Replayed) -> None:
    """Count it, and report what went wrong, if anything did."""
    word = replayed.verdict.value
    if replayed.verdict in _BESIDE_THE_OUTCOMES:
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
