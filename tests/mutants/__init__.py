"""Mutation tests: make one small mistake at a time in the code, and check that a test fails.

`python -m tests.mutants` tries all mistakes; `--help` shows how to choose.

    python.py      mistakes in Python: conditions, limits, constants, omissions
    patterns.py    mistakes in regular expressions
    sql.py         mistakes in SQL
    statements.py  which of them are not valid SQL
    targets.py     which modules are changed, and which tests should fail
    trial.py       runs the tests on one mistake, in one process
"""
