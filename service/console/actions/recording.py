"""Short actions, done while somebody waits."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from domain.errors import SyncError
from service.console.permission import Visit


async def on_the_trail(
    visit: Visit,
    action: str,
    target: str | None,
    detail: Mapping[str, Any],
    work: Callable[[], Awaitable[str]],
) -> str:
    """What came of it. On the audit trail before it begins, and when it has ended, however."""
    audit = visit.room.store.audit
    action_id = await audit.begin(
        who=visit.visitor.name, action=action, target=target, detail=detail
    )
    result = "broken off"
    try:
        result = await work()
    except SyncError as error:
        result = f"failed: {error.explained}"
        raise
    finally:
        await audit.end(action_id, result=result, detail=detail)
    return result
