"""How a user's requests are answered now, why, and what to do about it."""

from dataclasses import dataclass

from domain.user import DeletedUser, User, UserState


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """`state` is the user's in one word. `why` is empty where the row's own times say it."""

    state: str
    words: str
    why: str = ""
    advice: str


def door_of(record: UserState) -> Door:
    """How requests of this user are answered. See `domain.resolve_user`."""
    if record is None:
        return Door(
            state="not here",
            words="Their first request asks Clerk, and creates their row.",
            why="We have no row of this user.",
            advice="Nothing, if Clerk knows the id. If not, they are refused with 401 "
            "user_unknown: is the front end on another Clerk instance?",
        )
    if isinstance(record, DeletedUser):
        return Door(
            state="deleted",
            words="Their requests are refused: 401 user_deleted.",
            advice="There is no way back. They sign up again, and are a new user.",
        )
    if record.banned:
        return Door(
            state="banned",
            words="Their requests are refused: 403 user_banned.",
            why="In our row they are banned at Clerk, or removed by their company's directory.",
            advice="If Clerk's answer below is another, Sync now. If it is the same and wrong, "
            "lift the ban in Clerk's dashboard, under Users.",
        )
    if record.locked:
        return Door(
            state="locked",
            words="Their requests are served.",
            why="In our row Clerk has locked the account after failed attempts: they cannot sign "
            "in, but a session that they have goes on.",
            advice="Unlock it in Clerk's dashboard, under Users, or wait for Clerk's lock to end.",
        )
    return Door(
        state="live",
        words="Their requests are served.",
        advice="If they still cannot get in, their session token is refused: the code in the "
        "answer says why.",
    )


def name_of(record: User | DeletedUser | None) -> str:
    """The name, or else the e-mail address; empty if there is neither."""
    if not isinstance(record, User):
        return ""
    name = f"{(record.first_name or '')[:40]} {(record.last_name or '')[:40]}".strip()
    return name or (record.email or "")[:80]
