"""The invariants of a simulated world."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.e2e.truth import in_our_table
from tests.simulation.annals import Annals
from tests.simulation.stores import Row, Store


class Laws:
    """Checks the tables after every write, and every answer.

    Violations are collected in `broken`. Raised inside the application they would become 500s.
    """

    def __init__(self, store: Store) -> None:
        self.annals = Annals()
        self.broken: list[str] = []
        self.looks = 0
        self._store = store
        self._seen: dict[str, Row] = {}
        self._acknowledged: dict[str, str | None] = {}
        self._strangers: Counter[tuple[str, str]] = Counter()

    def look(self) -> None:
        """Check every invariant of the tables."""
        self.looks += 1
        rows = self._store.table()
        now = {row["clerk_id"]: row for row in rows}
        self._hold(len(now) == len(rows), "one row for one user")
        self._hold(self._seen.keys() <= now.keys(), "no row is lost")
        for user_id, row in now.items():
            if row != self._seen.get(user_id):
                self._look_at_change(self._seen.get(user_id), row)
        self._seen = now
        self._look_at_journal()

    def acknowledged(self, svix_id: str, deleted: str | None) -> None:
        """A delivery was answered 2xx; `deleted` is the user that it deletes, if any."""
        self._acknowledged[svix_id] = deleted
        self.look()

    def is_gone(self, user_id: str) -> bool:
        """Whether our table has a tombstone of this user."""
        row = self._seen.get(user_id)
        return row is not None and row["deleted_at"] is not None

    def request_begins(self, replica: str, user_id: str) -> bool:
        """Whether the user has no row yet, so that the service may ask Clerk."""
        stranger = user_id not in self._seen
        self._strangers[replica, user_id] += stranger
        return stranger

    def request_ends(self, replica: str, user_id: str, *, stranger: bool) -> None:
        self._strangers[replica, user_id] -= stranger

    def clerk_is_asked(self, replica: str, path: str) -> None:
        """A replica calls Clerk at request time."""
        user_id = path.removeprefix("/v1/users/")
        if user_id != path:
            stranger = self._strangers[replica, user_id] > 0
            self._hold(stranger, "Clerk is not asked about a known user")

    def webhook_is_answered(self, status: int) -> None:
        self._hold(status in {204, 503}, f"a good delivery is not answered {status}")

    def request_is_answered(
        self,
        status: int,
        document: Mapping[str, Any],
        *,
        stranger: bool,
        was_gone: bool,
        at_clerk: bool,
    ) -> None:
        """Check an answer of `GET /v1/me`. `at_clerk` is the state after the answer, the rest before."""
        if status == 200:
            self._hold(not was_gone, "a deleted user is not served")
            return
        code = document.get("code")
        possible = {"user_deleted", "user_banned", "user_unknown", "storage_unavailable"}
        if stranger:
            possible.add("identity_provider_unavailable")
        self._hold(code in possible, f"{code} is not an answer (user without a row: {stranger})")
        sent_away = code in {"user_deleted", "user_unknown"}
        self._hold(
            not (sent_away and at_clerk),
            "a user who exists at Clerk is not refused as unknown or deleted",
        )

    def _look_at_change(self, before: Row | None, now: Row) -> None:
        look = in_our_table(now)
        if look is None:
            return
        if before is not None and before["deleted_at"] is not None:
            self._hold(False, "a deleted user never comes back")
            return
        older = before is not None and now["clerk_updated_at"] < before["clerk_updated_at"]
        self._hold(not older, "a version never goes back")
        self._hold(self.annals.read(now["clerk_id"], look), "contents never go back")

    def healed_request_is_answered(
        self, status: int | None, *, at_clerk: bool, banned: bool
    ) -> None:
        """Without failures every request gets its right answer at the first try."""
        due = 401 if not at_clerk else 403 if banned else 200
        self._hold(status == due, f"without failures the answer is {due}, not {status}")

    def _look_at_journal(self) -> None:
        entries = self._store.entries_made()
        ids = [entry.svix_id for entry in entries if entry.svix_id]
        self._hold(len(set(ids)) == len(ids), "one entry for one delivery")
        self._hold(self._acknowledged.keys() <= set(ids), "what is acknowledged is journaled")
        told = filter(None, self._acknowledged.values())
        self._hold(all(map(self.is_gone, told)), "an acknowledged deletion is done")
        kept = (entry.clerk_id for entry in entries if entry.has_body and entry.clerk_id)
        self._hold(not any(map(self.is_gone, kept)), "no body outlives its user")

    def _hold(self, holds: bool, law: str) -> None:
        if not holds and law not in self.broken:
            self.broken.append(law)
