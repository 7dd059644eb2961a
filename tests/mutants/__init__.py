"""Would the tests notice? Small mistakes made on purpose, one at a time, and the tests run on each.

`python -m tests.mutants` makes them all; `--help` says how to make some.

    python.py      mistakes in Python: conditions, limits, words, what is left out
    patterns.py    mistakes in regular expressions
    sql.py         mistakes in SQL
    statements.py  which of them the store does not even take for SQL
    targets.py     what is spoilt, and which tests should notice
    trial.py       one mistake, one process, the tests
"""
