"""A user's state in one word, and how their requests are answered now, why, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.console import FoundUser
from domain.user import DeletedUser, User, UserState

NOT_HERE = "not here"
DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How the requests of users in one state are answered. `why` is empty where the row's own times
    say it.
    """

    words: str
    why: str = ""
    advice: str


ADMISSIONS: Mapping[str, Admission] = {
    NOT_HERE: Admission(
        words="Their first request asks Clerk, and creates their row.",
        why="We have no row of this user.",
        advice="Nothing, if Clerk knows the id. If not, they are refused with 401 "
        "user_unknown: is the front end on another Clerk instance?",
    ),
    DELETED: Admission(
        words="Their requests are refused: 401 user_deleted.",
        advice="There is no way back. They sign up again, and are a new user.",
    ),
    "banned": Admission(
        words="Their requests are refused: 403 user_banned.",
        why="In our row they are banned at Clerk, or removed by their company's directory.",
        advice="If Clerk's answer below is another, Sync now. If it is the same and wrong, "
        "lift the ban in Clerk's dashboard, under Users.",
    ),
    "locked": Admission(
        words="Their requests are served.",
        why="In our row Clerk has locked the account after failed attempts: they cannot sign "
        "in, but a session that they have goes on.",
        advice="Unlock it in Clerk's dashboard, under Users, or wait for Clerk's lock to end.",
    ),
    "live": Admission(
        words="Their requests are served.",
        advice="If they still cannot get in, their session token is refused: the code in the "
        "answer says why.",
    ),
}
"""By `state_of`. See `domain.resolve_user` for the rule."""


def state_of(user: UserState | FoundUser) -> str:
    """The state of a user in one word; None is a user without a row."""
    if user is None:
        return NOT_HERE
    if isinstance(user, DeletedUser) or (isinstance(user, FoundUser) and user.deleted_at):
        return DELETED
    return "banned" if user.banned else "locked" if user.locked else "live"


def full_name(user: UserState | FoundUser) -> str:
    """The first and the last name; empty if there is neither."""
    if user is None or isinstance(user, DeletedUser):
        return ""
    return f"{(user.first_name or '')[:40]} {(user.last_name or '')[:40]}".strip()


def name_of(user: UserState) -> str:
    """The name, or else the e-mail address; empty if there is neither."""
    return full_name(user) or ((user.email or "")[:80] if isinstance(user, User) else "")
