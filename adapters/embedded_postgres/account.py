"""The operating system's account that the server runs under. PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from adapters.embedded_postgres.errors import EmbeddedPostgresUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The owner of the server's processes and files. `prefix` goes before every command."""

    prefix: tuple[str, ...]
    uid: int
    gid: int

    def take_over(self, home: Path) -> None:
        """Own everything in `home`: an earlier run may have used another account."""
        for path in (home, *home.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def unprivileged_account() -> Account:
    """Our own account if it is not root and has a name (`initdb` needs one), else another one.

    Raises `EmbeddedPostgresUnavailable`.
    """
    user = os.geteuid()
    if user != 0 and _has_name(user):
        return _our_own()
    nobody = pwd.getpwnam("nobody")
    for account in (_our_own_in_a_namespace(nobody), _another(nobody)):
        if _is_allowed(account):
            return account
    raise EmbeddedPostgresUnavailable(
        f"PostgreSQL will not run as user {user}, and neither `unshare` nor `setpriv` may change "
        "that here: run this as a normal user, or set DATABASE_URL"
    )


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _our_own(prefix: tuple[str, ...] = ()) -> Account:
    return Account(prefix=prefix, uid=os.geteuid(), gid=os.getegid())


def _our_own_in_a_namespace(name: pwd.struct_passwd) -> Account:
    """Under another name in a user namespace. The files stay ours, closed to everybody else."""
    mapped = (f"--map-user={name.pw_uid}", f"--map-group={name.pw_gid}")
    return _our_own(("unshare", "--user", *mapped, "--"))


def _another(user: pwd.struct_passwd) -> Account:
    """For where namespaces are denied, as in most containers.

    It keeps one of root's capabilities, to reach files below a directory that is closed to others.
    Without the security bit the system call `access` would ignore that capability.
    """
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    reach = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    prefix = ("setpriv", *identity, *reach, "--securebits=+no_setuid_fixup", "--")
    return Account(prefix=prefix, uid=user.pw_uid, gid=user.pw_gid)


def _is_allowed(account: Account) -> bool:
    command = [*account.prefix, "/bin/sh", "-c", ":"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
    except FileNotFoundError:
        return False
