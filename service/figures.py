"""Metrics that are read from the store, and so are the same in every replica."""

from datetime import datetime, timedelta

from domain.drift import load_sweep
from domain.polling import Polling
from domain.reconcile import LAST_FULL
from domain.subscription_health import standings_now
from service.metrics import Metrics
from service.services import Store


async def read_figures(
    store: Store, metrics: Metrics, polling: Polling | None, silence_after: timedelta
) -> None:
    """Raises `StorageUnavailable`."""
    if sweep := await load_sweep(store.checkpoints):
        metrics.last_sweep(sweep)
    metrics.subscriptions(await standings_now(store.changes, store.desk))
    last_full = await store.checkpoints.load(LAST_FULL)
    silent = store.watch.silent_users
    metrics.store_told(
        quarantined=await store.journal.quarantined(),
        silent_users=0 if polling else await silent(silence_after),
        went_back=await store.history.unrepaired() is not None,
        last_delivery_at=await store.watch.last_delivery_at(),
        last_full_at=datetime.fromisoformat(last_full) if last_full else None,
        last_poll_at=await polling.last_at() if polling else None,
    )
