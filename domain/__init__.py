"""The users, the rule that orders their versions, and the use cases.

Everything we learn about a user is an observation. The stored state becomes the greater of the
stored state and the observed one, so observations may come twice, late, out of order or at
the same time: the table ends the same. `user.py` holds that rule.

    user.py          the user, and the rule         journal.py    journal entries and queries
    sync_user.py     the command `SyncUser`         drift.py      differences from Clerk
    resolve_user.py  the user of a request          health.py     what is wrong and what to do
    backfill.py, reconcile.py, replay.py, sync_now.py, retention.py    what operators run
    change_log.py, subscriptions.py, deliver_changes.py    changes, and their delivery to receivers
    ports.py         interfaces of the adapters; a module of one subject has its own
    errors.py        the errors that have an answer

Standard library only. All I/O goes through the ports.
"""
