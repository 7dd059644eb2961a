"""A finding about health: a judgement, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_IN_A_CHECKOUT = __name__ == "domain.finding"
"""In the package, the name of every module of ours begins with `clerk_user_sync`."""


def command(arguments: str, *, in_a_checkout: bool = _IN_A_CHECKOUT) -> str:
    """A command as it is typed here: of the package, or of a checkout."""
    if not in_a_checkout:
        return f"clerk-user-sync {arguments}"
    if arguments == "migrate":
        return "python -m service migrate"
    return f"python -m scripts.replay_webhooks {arguments}"


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Place(StrEnum):
    """The page of the console that shows the cause of a finding and what to do."""

    QUARANTINE = "quarantine"
    DRIFT = "drift"
    SILENCE = "silence"
    SUBSCRIPTIONS = "subscriptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The judgement of one thing, `about`. `advice` says what to do, if anything can be done.

    `words` and `advice` are clauses in lower case without a full stop. An `unready` finding makes
    the service unready. Any other that is not ok is a degradation, with the name `degrades`.
    """

    about: str
    state: State
    words: str
    advice: str = ""
    unready: bool = False
    place: Place | None = None
    degrades: str = ""

    @property
    def is_ok(self) -> bool:
        return self.state is State.OK

    @property
    def see(self) -> str:
        """The page of the documentation for this trouble; empty if there is none."""
        page = None if self.is_ok else _RUNBOOKS.get(self.about)
        return f"docs/operating/{page}.md" if page else ""

    def see_at(self, site: str) -> str:
        """The address of that page, on the documentation's site."""
        page = self.see.removeprefix("docs/").removesuffix(".md")
        return f"{site.rstrip('/')}/{page}.html" if page else ""


_RUNBOOKS: Mapping[str, str] = {
    "store": "store-failed-over",
    "schema": "upgrading",
    "signing_keys": "clerk-is-down",
    "clerk": "clerk-is-down",
    "polling": "reconcile-is-overdue",
    "reconcile": "reconcile-is-overdue",
    "jobs": "reconcile-is-overdue",
    "last_delivery": "webhooks-do-not-arrive",
    "webhooks": "webhooks-do-not-arrive",
    "quarantine": "quarantine-fills",
    "drift": "drift-found",
    "history": "restored-from-a-backup",
    "changes": "a-subscription-is-stuck",
}
"""By what a finding is about."""


def ok(about: str, words: str) -> Finding:
    return Finding(about=about, state=State.OK, words=words)


def warn(
    about: str, words: str, advice: str, place: Place | None = None, degrades: str = ""
) -> Finding:
    return Finding(
        about=about,
        state=State.WARN,
        words=words,
        advice=advice,
        place=place,
        degrades=degrades or about,
    )


def bad(
    about: str, words: str, advice: str, *, unready: bool = False, place: Place | None = None
) -> Finding:
    return Finding(
        about=about,
        state=State.BAD,
        words=words,
        advice=advice,
        unready=unready,
        place=place,
        degrades="" if unready else about,
    )
