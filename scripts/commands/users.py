"""The users that an operator names."""

from typing import Annotated

import typer

from domain.console import ConsoleReads
from domain.user import UserId, parse_user_id
from scripts.commands.ending import Refusal
from scripts.commands.screen import written
from service.exit_code import ExitCode

UserArgument = Annotated[
    str,
    typer.Argument(
        metavar="USER", help="A Clerk user id, an id of ours, an e-mail address or an external id."
    ),
]


async def found_user(reads: ConsoleReads, unverified: str) -> UserId:
    """The Clerk id of the user that the operator names. It need not be in our table.

    Raises `Refusal` if there is no such user, or more than one.
    """
    try:
        return parse_user_id(unverified)
    except ValueError:
        found = await reads.find_users(unverified)
    if len(found) == 1:
        return found[0].clerk_id
    if not found:
        words = f"No user here has {unverified!r} as own id, e-mail address or external id."
        raise Refusal(ExitCode.BAD_DATA, words)
    listed = [f"{one.clerk_id}  {written(one.email)}" for one in found]
    first = f"{unverified!r} matches {len(found)} users. Give one of these ids:"
    raise Refusal(ExitCode.USAGE, "\n  ".join([first, *listed]))
