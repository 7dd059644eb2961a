"""A process that handles changes and does nothing else."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from domain.instance import Instance
from domain.newest_position import NewestPosition
from service.bootstrap.clerk import clerk_of
from service.bootstrap.settings import checked
from service.bootstrap.store import open_with_jobs, store_of
from service.bootstrap.targets import targets_of
from service.changes import Changes
from service.deliveries import Deliveries
from service.figures import read_figures
from service.jobs import (
    Jobs,
    know_instance,
    tell_that_it_went_back,
    watch_event_loop,
    watch_history,
)
from service.metrics import Metrics
from service.readiness import Readiness
from service.services import Worker, comparing_of, polling_of
from service.settings import Settings
from service.shared_look import SharedLook

if TYPE_CHECKING:
    from service.traces import Traces


@asynccontextmanager
async def working(
    settings: Settings,
    changes: Changes,
    metrics: Metrics,
    log: FilteringBoundLogger,
    traces: "Traces | None" = None,
) -> AsyncIterator[Worker]:
    """Run the subscriptions while the block runs. Then finish what is in hand, or hand it back."""
    settings = checked(settings)
    async with AsyncExitStack() as stack:
        instance = Instance(settings.clerk_instance_id)
        clerk = await clerk_of(stack, settings, instance, report=metrics.clerk_call)
        jobs = Jobs(metrics, log)
        dsn, database = await open_with_jobs(stack, settings, jobs)
        store = store_of(database, dsn, instance, partial(tell_that_it_went_back, log))
        if settings.changes_write_back is not None:
            jobs.start("clerk instance", lambda: know_instance(clerk, store, log))
        targets = await targets_of(stack, settings, store, clerk, changes=changes, traces=traces)
        jobs.start("store history", lambda: watch_history(store.history, log))
        newest = NewestPosition(store.changes)
        jobs.start("newest change", newest.watch)
        deliveries = Deliveries(targets, store, newest, metrics, log)
        deliveries.start(jobs)
        stop = partial(deliveries.stop, settings.shutdown_seconds)
        stack.push_async_callback(stop)
        jobs.start("event loop", lambda: watch_event_loop(metrics.event_loop_lag))
        metrics.watch_pool(lambda: database.size, lambda: database.in_use)
        silence_after = timedelta(seconds=settings.silence_after)
        polling = polling_of(settings, store)
        yield Worker(
            subscriptions=[subscription.name for subscription, _ in targets],
            readiness=Readiness(
                schema=store.schema,
                keys_loaded=None,
                clerk_answers=clerk.answers,
                silent_users=lambda: store.watch.silent_users(silence_after),
                failing_jobs=lambda: jobs.failing,
                polling=polling,
                comparing=comparing_of(settings, store),
                contradiction=lambda: instance.contradiction,
                went_back=store.history.unrepaired,
            ),
            metrics=metrics,
            figures=SharedLook(partial(read_figures, store, metrics, polling, silence_after)),
            stop=stop,
        )
