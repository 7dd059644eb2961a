"""The subscriptions of a process: its handlers, and those that settings make, which are endpoints,
a broker, and our id at Clerk.
"""

import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from adapters.broker.publisher import broker_publisher
from adapters.clerk.network import read_authorities
from domain.instance import require_same_instance
from domain.subscriptions import Subscription, Target
from service.bootstrap.settings import proxy_for
from service.change_settings import PushTo
from service.changes import Changes
from service.extras import extra
from service.services import Clerk, Store
from service.settings import Settings
from service.targets import BROKER, SVIX_PAUSES, WRITE_BACK, published, pushed, written_back

if TYPE_CHECKING:
    from service.traces import Traces


async def targets_of(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    clerk: Clerk,
    *,
    changes: Changes | None,
    traces: "Traces | None",
) -> Sequence[tuple[Subscription, Target]]:
    """Opened now, and closed with the stack. Nothing is connected to yet."""
    handlers = changes.targets if changes else ()
    targets = [*handlers, *await _of_settings(stack, settings, store, clerk)]
    return traces.of_targets(targets) if traces else targets


async def _of_settings(
    stack: AsyncExitStack, settings: Settings, store: Store, clerk: Clerk
) -> Sequence[tuple[Subscription, Target]]:
    targets = [await _push(stack, settings, endpoint) for endpoint in settings.changes_push]
    if settings.changes_broker_url is not None:
        with extra("broker", "Publishing to a broker"):
            publisher = await stack.enter_async_context(
                broker_publisher(
                    settings.changes_broker_url.get_secret_value(),
                    settings.changes_broker_topic,
                    _authorities(settings),
                )
            )
        targets.append((BROKER, published(publisher.publish)))
    if settings.changes_write_back is not None:
        same_instance = partial(
            require_same_instance,
            clerk.bulk,
            store.user_table,
            store.checkpoints,
            clerk.instance.given,
        )
        target = written_back(clerk.writer, settings.write_back_key, same_instance)
        targets.append((WRITE_BACK, target))
    return targets


async def _push(
    stack: AsyncExitStack, settings: Settings, to: PushTo
) -> tuple[Subscription, Target]:
    with extra("push", "Pushing to an endpoint"):
        from adapters.push.endpoint import PushEndpoint, push_client  # noqa: PLC0415 - heavy
    client = await stack.enter_async_context(
        push_client(
            _authorities(settings),
            allow_private=settings.changes_push_private,
            proxy=proxy_for(settings, to.url),
        )
    )
    secrets = [secret.get_secret_value() for secret in to.secrets]
    return to.subscription(SVIX_PAUSES), pushed(PushEndpoint(client, to.url, secrets).post)


def _authorities(settings: Settings) -> ssl.SSLContext:
    return read_authorities(settings.ssl_cert_file, settings.ssl_cert_dir)
