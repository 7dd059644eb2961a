"""The operator's commands.

    command.py      the parts of every command: options, lock, schema, audit trail
    entries.py      the commands by name, with their examples, for a command line
    ending.py       the exit code and the text that an error ends a command with
    screen.py       progress on stderr, results on stdout
    backfill.py     copy all users of the Clerk instance
    reconcile.py    compare our table with Clerk, and repair it
    adopt.py        rows of an application's own table, linked to users of ours
    journal.py      replay deliveries of our journal, here or to another service
    changes.py      the log of changes and its subscriptions
    dismiss.py      take deliveries out of quarantine unapplied
    files.py        the same from and to JSON Lines (jsonl.py defines a line)
    replaying.py    the loop over deliveries
    explain.py      show one user's history
    doctor.py       check everything, and tell what to do
    retention.py    delete what the journal no longer keeps
    filters.py      the options that select deliveries
    demo.py         the settings of a demo that runs in this folder

`scripts/replay_webhooks.py` and `scripts/program.py` put them into command lines.
"""
