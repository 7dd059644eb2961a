"""What an operator does when the table has to be made right again.

    command.py      what all commands share: options, the lock, the schema, how a run ends
    ending.py       how a run ends, whatever ends it
    exit_codes.py   the same as a number (sysexits)
    screen.py       progress on stderr, results on stdout
    backfill.py     all users of the Clerk instance
    reconcile.py    both sides held against each other
    journal.py      verified deliveries from our journal, here or at another front door
    files.py        the same from and to JSON Lines (jsonl.py says what a line is)
    replaying.py    one delivery after the other, counted
    explain.py      one user's story
    doctor.py       what is well, what is not, what to do
    retention.py    what the journal forgets
    filters.py      which deliveries are wanted
    times.py        times as an operator writes them

`scripts/replay_webhooks.py` is the command line.
"""
