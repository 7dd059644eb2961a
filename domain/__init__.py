"""What is true about users, and the one rule that keeps it true.

Everything we learn about a user is an observation. The stored state becomes the greater of the
stored state and the observed one, so observations may come twice, late, out of order or all at
once: the table ends the same. `user.py` holds that rule; nothing else compares versions.

    user.py          the user, and the rule         journal.py    what arrived, and queries for it
    sync_user.py     the one command                drift.py      where the two sides disagree
    resolve_user.py  request time                   health.py     what is well, and what to do
    backfill.py, reconcile.py, replay.py, sync_now.py, retention.py    what operators run
    ports.py         what the domain asks of the world              errors.py   every no

Standard library only, frozen values, no I/O.
"""
