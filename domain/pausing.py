"""When a subscription is paused: its receiver is gone, or has failed for days.

A paused subscription reads and attempts nothing, and keeps its position, until it is resumed.
"""

from datetime import timedelta

from domain.delivery_parts import DeliveryParts
from domain.errors import ReceiverGone, StorageUnavailable
from domain.subscriptions import Subscription
from domain.words import span

FIVE_DAYS = timedelta(days=5).total_seconds()
"""Source: Svix, "Disabling Failing Endpoints"."""

GONE = "the receiver answered 410 Gone"
"""Source: Standard Webhooks 1.0: a sender disables an endpoint that answers 410."""


class Paused(Exception):
    """The subscription is paused. The message says why."""


def reason_to_pause(
    pause_after: float | None, failing_for: float | None, *, is_gone: bool
) -> str | None:
    """Why a subscription is to be paused, in words; None if it is not.

    `failing_for` is for how many seconds every attempt has failed; None if the last one did not.
    A subscription without `pause_after` is never paused.
    """
    if pause_after is None:
        return None
    if is_gone:
        return GONE
    if failing_for is not None and failing_for >= pause_after:
        return f"every attempt failed for {span(timedelta(seconds=failing_for))}"
    return None


class PauseWatch:
    """Keeps in the store how long every attempt of a subscription has failed, and pauses it."""

    def __init__(self, subscription: Subscription, parts: DeliveryParts) -> None:
        self._subscription = subscription
        self._parts = parts
        self._delivered = False
        self._failed = False
        self._is_gone = False
        self._may_be_failing = True

    def note(self, error: BaseException | None) -> None:
        """Note one attempt: its error, or None if it was delivered."""
        if self._subscription.pause_after is None:
            return
        if error is None:
            self._delivered = True
        else:
            self._failed = True
            self._is_gone |= isinstance(error, ReceiverGone)

    async def judge(self) -> None:
        """Pause the subscription if the attempts since the last call are a reason to.

        Raises `Paused` then, and `StorageUnavailable`.
        """
        delivered, failed, is_gone = self._delivered, self._failed, self._is_gone
        self._delivered = self._failed = self._is_gone = False
        if not failed and not (delivered and self._may_be_failing):
            return
        store, name, holder = self._parts.store, self._subscription.name, self._parts.holder
        try:
            failing_for = await store.note_attempts(name, holder, delivered=delivered)
        except StorageUnavailable:
            self._delivered |= delivered
            self._failed |= failed
            self._is_gone |= is_gone
            raise
        self._may_be_failing = not delivered
        reason = reason_to_pause(self._subscription.pause_after, failing_for, is_gone=is_gone)
        if reason is not None and await store.pause(name, holder, reason):
            raise Paused(reason)
