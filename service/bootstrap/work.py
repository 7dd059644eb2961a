"""A process that handles changes and does nothing else."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from structlog.typing import FilteringBoundLogger

from adapters.clerk.api.calls import BULK_LIMITS
from domain.instance import Instance
from domain.newest_position import NewestPosition
from service.bootstrap.clerk import OPERATOR_SHARE, identity_provider
from service.bootstrap.settings import checked
from service.bootstrap.store import migrate_at, open_database, store_address, store_of
from service.bootstrap.targets import targets_of
from service.changes import Changes
from service.deliveries import Deliveries
from service.jobs import Jobs
from service.metrics import Metrics
from service.settings import Settings


@asynccontextmanager
async def working(
    settings: Settings, changes: Changes, log: FilteringBoundLogger
) -> AsyncIterator[list[str]]:
    """Run the subscriptions while the block runs, which is given their names.

    Then finish what is in hand, or hand it back.
    """
    settings, metrics = checked(settings), Metrics()
    async with AsyncExitStack() as stack:
        jobs = Jobs(metrics, log)
        dsn = await stack.enter_async_context(store_address(settings, jobs))
        database = await open_database(stack, settings, dsn)
        stack.push_async_callback(jobs.close)
        if settings.database_url is None:
            await migrate_at(dsn, settings)
        store = store_of(database, dsn, Instance(settings.clerk_instance_id))
        clerk = await identity_provider(
            stack, settings, share=OPERATOR_SHARE, limits=BULK_LIMITS, report=metrics.clerk_call
        )
        targets = [*changes.targets, *await targets_of(stack, settings, clerk)]
        newest = NewestPosition(store.changes)
        jobs.start("newest change", newest.watch)
        deliveries = Deliveries(targets, store, newest, metrics, log)
        deliveries.start(jobs)
        stack.push_async_callback(deliveries.stop, settings.shutdown_seconds)
        yield [subscription.name for subscription, _ in targets]
