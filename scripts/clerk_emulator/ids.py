"""Ids of Clerk's shape: a prefix and 27 base62 characters, as in `user_…` and `ins_…`.

Clerk's are KSUIDs; of those ours have the alphabet and the length, but not the time.
"""

import os
import string

_LENGTH = 27
_BASE62 = (string.digits + string.ascii_uppercase + string.ascii_lowercase).encode()
_FROM_BYTE = bytes(_BASE62[byte % len(_BASE62)] for byte in range(256))


def new_id(prefix: str) -> str:
    """A fresh id such as `user_2g7np7Hrk0SN6kj5EDMLDaKNL0S`."""
    return f"{prefix}_{os.urandom(_LENGTH).translate(_FROM_BYTE).decode()}"
