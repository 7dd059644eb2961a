"""The command `clerk-user-sync`: the service, the operator's commands, and the Clerk emulator.

The package installs `main`. Without the extra `cli` it prints how to install it;
`python -m clerk_user_sync` serves and migrates without that extra.
"""

import sys

from service.exit_code import ExitCode
from service.extras import MissingExtra, extra


def main() -> int:
    """Run the command. Returns the exit code."""
    try:
        with extra("cli", "The command line"):
            from scripts.program import program  # noqa: PLC0415
            from scripts.replay_webhooks import run  # noqa: PLC0415
    except MissingExtra as error:
        print(error, file=sys.stderr)
        return ExitCode.MISCONFIGURED
    return run(program())
