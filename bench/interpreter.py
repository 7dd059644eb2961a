"""The interpreter that runs the services in Python, and whether it was built with optimizations."""

import platform
import sysconfig
from collections.abc import Mapping

OPTIONS = {"--enable-optimizations": "PGO", "--with-lto": "LTO"}


def interpreter(variables: Mapping[str, object] | None = None) -> str:
    """Such as `CPython 3.13.1, optimized (PGO, LTO)`. `variables` are those of its build."""
    return f"{platform.python_implementation()} {platform.python_version()}, {built(variables)}"


def built(variables: Mapping[str, object] | None = None) -> str:
    known = sysconfig.get_config_vars() if variables is None else variables
    arguments = str(known.get("CONFIG_ARGS") or "")
    used = [word for option, word in OPTIONS.items() if option in arguments]
    if "PGO" in used:
        return f"optimized ({', '.join(used)})"
    # Debian profiles without that option, and clears all flags that would tell.
    if not known.get("PGO_PROF_USE_FLAG"):
        return "of a build that does not tell whether it is optimized"
    return "NOT optimized (built without --enable-optimizations)"
