"""The user account that the server runs as. PostgreSQL refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from adapters.embedded_postgres.cluster import EmbeddedPostgresUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The owner of the server's processes and files. `prefix` is put before every command."""

    prefix: tuple[str, ...]
    uid: int
    gid: int

    def take_over(self, home: Path) -> None:
        """Own everything in `home`, which an earlier run may have left to another account."""
        for path in (home, *home.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def unprivileged_account() -> Account:
    """Our own account, if it is not root and has a name (`initdb` needs one), or else another.

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
        f"PostgreSQL does not run as user {user}, and neither `unshare` nor `setpriv` is allowed "
        "here to change the user: run this as a normal user, or set DATABASE_URL"
    )


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _our_own(prefix: tuple[str, ...] = ()) -> Account:
    return Account(prefix=prefix, uid=os.geteuid(), gid=os.getegid())


def _our_own_in_a_namespace(name: pwd.struct_passwd) -> Account:
    """Our own account under another name, in a user namespace. The files stay our own."""
    mapped = (f"--map-user={name.pw_uid}", f"--map-group={name.pw_gid}")
    return _our_own(("unshare", "--user", *mapped, "--"))


def _another(user: pwd.struct_passwd) -> Account:
    """The account of `user`, for systems that deny namespaces, as most containers do.

    It keeps one of root's capabilities, to reach files below a directory that is closed to others.
    Without the security bit, the system call `access` would ignore that capability.
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
