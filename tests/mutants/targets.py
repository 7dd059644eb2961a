"""Which modules are changed, and which tests should fail: the quickest first."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """A module and its tests. `sql` changes its SQL statements instead of its Python."""

    module: str
    tests: tuple[str, ...]
    sql: bool = False

    @property
    def path(self) -> Path:
        return ROOT.joinpath(*self.module.split(".")).with_suffix(".py")


_CLERK = "tests/adapters/clerk"
_POSTGRES = "tests/adapters/postgres"

TARGETS = {
    "join": Target("domain.user", ("tests/domain/test_join.py",)),
    "statement": Target(
        "adapters.postgres.statements",
        (
            "tests/contract",
            f"{_POSTGRES}/test_laws.py",
            f"{_POSTGRES}/test_row_locks.py",
            f"{_POSTGRES}/test_journal.py",
            f"{_POSTGRES}/test_batching.py",
            f"{_POSTGRES}/test_batches_in_postgres.py",
            f"{_POSTGRES}/test_races.py",
            f"{_POSTGRES}/test_store_faults.py",
            "tests/commands/test_journal_replay.py",
            "tests/service/test_webhooks.py",
            "tests/service/test_redeliveries.py",
        ),
        sql=True,
    ),
    "create_statement": Target(
        "adapters.postgres.create_statement",
        (f"{_POSTGRES}/test_first_requests.py", f"{_POSTGRES}/test_laws.py"),
        sql=True,
    ),
    "webhooks": Target(
        "adapters.clerk.prove.webhooks",
        (f"{_CLERK}/test_webhooks.py", f"{_CLERK}/test_webhook_signatures.py"),
    ),
    "sessions": Target(
        "adapters.clerk.prove.sessions",
        (
            f"{_CLERK}/test_sessions.py",
            f"{_CLERK}/test_session_tokens.py",
            f"{_CLERK}/test_session_memory.py",
            f"{_CLERK}/test_key_rotation.py",
            f"{_CLERK}/test_fuzz_proofs.py",
            "tests/service/test_sessions.py",
        ),
    ),
    "signing_keys": Target(
        "adapters.clerk.prove.signing_keys",
        (
            f"{_CLERK}/test_key_set.py",
            f"{_CLERK}/test_signing_keys.py",
            f"{_CLERK}/test_stale_signing_keys.py",
            f"{_CLERK}/test_key_rotation.py",
            "tests/simulation/test_keys_fail.py",
        ),
    ),
    "key_set": Target("adapters.clerk.prove.key_set", (f"{_CLERK}/test_key_set.py",)),
    "token_memory": Target(
        "adapters.clerk.prove.token_memory",
        (f"{_CLERK}/test_token_memory.py", f"{_CLERK}/test_session_memory.py"),
    ),
}
