"""Why a delivery did what it did, in words. The journal keeps a code where it could not be read."""

from collections.abc import Mapping

from domain import explain
from domain.journal import QUARANTINED, JournalEntry

_WORDS: Mapping[str, str] = {
    "not_json": "its body is not JSON",
    "not_an_object": "there is something else where Clerk documents an object",
    "no_type": "it does not say what kind of event it is",
    "no_data": "it has no data in it",
    "no_user_id": "it does not name a user",
    "no_updated_at": "it does not say when the user was changed",
    "updated_at_absurd": "it says that the user was changed at a time that cannot be",
    "created_at_absurd": "it says that the user was created at a time that cannot be",
    "timestamp_absurd": "it says that it was sent at a time that cannot be",
    "wrong_type": "a field is not of the kind that Clerk documents",
    "nul_character": "a text in it has a NUL character, which Postgres cannot keep",
    "lone_surrogate": "a text in it has half a character, which Postgres cannot keep",
    "not_storable": "a value in it is one that Postgres cannot keep",
    "too_large": "a value in it is larger than what we keep",
    "unstorable": "the store refuses it",
    "event_not_followed": "events of its kind are not followed",
    "other_instance": "it is of another Clerk instance",
}


def because(code: str) -> str:
    """The code in words, and what it says in particular; what we have no words for as it is."""
    known, _, particular = code.partition(": ")
    if known not in _WORDS:
        return code
    return f"{_WORDS[known]} ({particular})" if particular else _WORDS[known]


def why(entry: JournalEntry) -> str:
    """As `domain.explain` tells it, with words for codes: `quarantined: its body is not JSON`."""
    if entry.outcome == QUARANTINED and entry.error:
        return f"{QUARANTINED}: {because(entry.error)}"
    return explain.why(entry)
