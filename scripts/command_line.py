"""The command `clerk-user-sync`: the service, what an operator runs, and the emulated Clerk.

`main` is what the package installs. Without the extra `cli` it says so in one sentence;
`python -m clerk_user_sync` serves and migrates without that extra.
"""

import sys

from service.extras import MissingExtra, extra


def main() -> int:
    """Run it. Answers with the exit code."""
    try:
        with extra("cli", "The command line"):
            from scripts.program import program  # noqa: PLC0415
            from scripts.replay_webhooks import run  # noqa: PLC0415
    except MissingExtra as error:
        print(error, file=sys.stderr)
        return 78
    return run(program())
