"""What an operator runs to make the table right again.

    command.py      what all commands share: options, the lock, the schema, the audit trail
    exit_codes.py   how a run ends, in words and as a number (sysexits)
    screen.py       progress on stderr, results on stdout
    backfill.py     all users of the Clerk instance
    reconcile.py    our table compared with Clerk
    journal.py      verified deliveries from our journal, here or to another service
    files.py        the same from and to JSON Lines (jsonl.py defines a line)
    replaying.py    one delivery after the other, counted
    explain.py      one user's history
    doctor.py       what is well, what is not, what to do
    retention.py    erases what the journal need not keep
    filters.py      options that choose deliveries

`scripts/replay_webhooks.py` and `scripts/program.py` make command lines of them.
"""
