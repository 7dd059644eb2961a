"""Whether the store went back: restored from a backup, or taken over by a standby that was behind.

Users deleted since the backup are live again then, and those created since are missing. No webhook
tells of them a second time. Only a full reconcile finds them all.
"""

from domain.ports import StoreHistory


async def notice(history: StoreHistory) -> str | None:
    """Mark the store, or say why it is not the one that was marked, and keep that in the store.

    Raises `StorageUnavailable`.
    """
    look = await history.look()
    if look.reason is not None:
        await history.note(look.reason)
    elif not look.is_marked:
        await history.mark()
    return look.reason
