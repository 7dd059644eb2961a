"""TLS of a connection: libpq's `sslmode` and the options that go with it.

Source: PostgreSQL manual, "SSL Support". asyncpg would read certificate files at every connect;
here they are read once, so that a missing file is reported at the start.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

_MAY_BE_PLAIN = {"disable", "allow", "prefer"}
_MODES = {*_MAY_BE_PLAIN, "no-verify", "require", "verify-ca", "verify-full"}
_VERIFYING = {"verify-ca", "verify-full"}
_SSL = {"true": "require", "1": "require", "false": "disable", "0": "disable"}
"""The `sslmode` for values of the option `ssl`, which JDBC and SQLAlchemy have."""
_FILES = {
    "sslrootcert": "root.crt",
    "sslcrl": "root.crl",
    "sslcert": "postgresql.crt",
    "sslkey": "postgresql.key",
}
"""The options that name files, and libpq's default file in `~/.postgresql` for each."""
_ALSO_VARIABLES = ("channel_binding", "gssencmode", "require_auth", "sslsni")
"""Other options that demand security, for which libpq has a variable as well."""

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}

_CHANNEL_BINDING = (
    "channel_binding=require: the driver cannot bind the password to the TLS channel; the server's "
    "certificate is verified instead"
)


class AddressRefused(ValueError):
    """A database address that cannot be used. The text names the option and holds no value."""

    def __init__(self, reason: str, option: str = "") -> None:
        super().__init__(f"{option}: {reason}" if option else reason)
        self.option = option


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """`ssl` and `direct_tls` of `asyncpg.connect`. None means its default, `prefer`."""

    ssl: SSLContext | str | None = None
    direct: bool | None = None
    notes: tuple[str, ...] = ()


NO_TLS_ASKED = Tls()


def tls_from(
    options: dict[str, str], environment: Mapping[str, str], *, only_sockets: bool = False
) -> Tls:
    """Remove the options about TLS from `options` and apply them. Raises `AddressRefused`.

    A demand for security is met or refused, never ignored. With `only_sockets` there is no TLS, as
    in libpq.
    """
    _take_variables(options, environment)
    mode = _mode(options, environment)
    given = {name: options[name] for name in _FILES if name in options}
    files = {**_usual_files(environment), **given}
    notes: tuple[str, ...] = ()
    if files.get("sslrootcert") == "system" and mode != "verify-full":
        if mode is not None:  # libpq demands it: with all authorities, the name must be verified
            raise AddressRefused("sslrootcert=system needs sslmode=verify-full", "sslmode")
        mode = "verify-full"
    if _channel_binding(options, mode, only_sockets=only_sockets):
        if mode not in _VERIFYING:
            mode = "verify-full"
            files.setdefault("sslrootcert", "system")
        notes = (f"{_CHANNEL_BINDING}, as with sslmode={mode}",)
    direct = _direct(options, mode)
    if mode is None or mode in _MAY_BE_PLAIN:
        _refuse_what_needs_tls(options)
        return Tls(ssl=mode, direct=direct)
    for name, needs in (("sslrootcert", mode != "no-verify"), ("sslcrl", "sslrootcert" in files)):
        if name in given and not needs:
            raise AddressRefused("nothing is verified with this sslmode", name)
    if "sslkey" in given and "sslcert" not in files:
        raise AddressRefused("this needs sslcert", "sslkey")
    context = _context(mode, files, options.pop("sslpassword", ""))
    _set_versions(context, options, environment)
    for name in given:
        del options[name]
    return Tls(ssl=context, direct=direct, notes=notes)


def _take_variables(options: dict[str, str], environment: Mapping[str, str]) -> None:
    for name in _ALSO_VARIABLES:
        if value := environment.get(_variable(name)):
            options.setdefault(name, value)
    if options.get("require_auth") == "":  # any method, as in libpq
        del options["require_auth"]


def _usual_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The files that libpq's environment variables name, and those in `~/.postgresql`."""
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never raises
    files = {}
    for name, file in _FILES.items():
        usual = home / ".postgresql" / file
        named = environment.get(_variable(name))
        if named or os.path.isfile(usual):  # noqa: PTH113 - never raises
            files[name] = named or str(usual)
    return files


def _variable(option: str) -> str:
    return f"PG{option.upper().replace('_', '')}"


def _mode(options: dict[str, str], environment: Mapping[str, str]) -> str | None:
    mode, other = options.pop("sslmode", None), options.pop("ssl", None)
    if other is not None:
        other = _SSL.get(other, other)
        if other not in _MODES:
            raise AddressRefused(f"give true, false or one of {', '.join(sorted(_MODES))}", "ssl")
        if mode not in {None, other}:
            raise AddressRefused("ssl and sslmode contradict each other", "ssl")
        mode = other
    if options.pop("requiressl", "0") == "1":
        mode = mode or "require"
    mode = mode or environment.get("PGSSLMODE") or None
    if mode is None and environment.get("PGREQUIRESSL", "").startswith("1"):
        mode = "require"
    if mode is not None and mode not in _MODES:
        raise AddressRefused(f"give one of {', '.join(sorted(_MODES))}", "sslmode")
    if options.pop("gssencmode", "prefer") not in {"prefer", "disable"}:
        raise AddressRefused("encryption by GSSAPI is not supported", "gssencmode")
    if options.pop("sslsni", "1") != "1":
        raise AddressRefused("the host name is always sent", "sslsni")
    return mode


def _channel_binding(options: dict[str, str], mode: str | None, *, only_sockets: bool) -> bool:
    """Whether channel binding is required, as in Neon's addresses. asyncpg does not support it."""
    binding = options.pop("channel_binding", "prefer")
    if binding not in {"disable", "prefer", "require"}:
        raise AddressRefused("give disable, prefer or require", "channel_binding")
    if binding == "require" and (only_sockets or mode in {"disable", "no-verify"}):
        raise AddressRefused(
            "require needs TLS to a server whose certificate is verified", "channel_binding"
        )
    return binding == "require"


def _direct(options: dict[str, str], mode: str | None) -> bool | None:
    negotiation = options.pop("sslnegotiation", None)
    if negotiation not in {None, "postgres", "direct"}:
        raise AddressRefused("give postgres or direct", "sslnegotiation")
    if negotiation == "direct" and (mode is None or mode in _MAY_BE_PLAIN):
        raise AddressRefused("direct needs sslmode=require or stricter", "sslnegotiation")
    return None if negotiation is None else negotiation == "direct"


def _refuse_what_needs_tls(options: dict[str, str]) -> None:
    """Refuse options that need TLS if the mode allows a connection without it."""
    for name in (*_FILES, "ssl_min_protocol_version"):
        if name in options:
            raise AddressRefused("this needs sslmode=verify-full or another that needs TLS", name)
    options.pop("sslpassword", None)
    options.pop("ssl_max_protocol_version", None)


def _context(mode: str, files: Mapping[str, str], password: str) -> SSLContext:
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if mode != "no-verify" and "sslrootcert" in files:
        _load_authorities(context, files)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = mode == "verify-full"
    elif mode in _VERIFYING:
        raise AddressRefused(
            "give sslrootcert=/path/to/the/authorities.pem, or sslrootcert=system for those that "
            "this machine trusts",
            "sslmode",
        )
    if "sslcert" in files:
        try:
            context.load_cert_chain(files["sslcert"], files.get("sslkey"), lambda: password)
        except (OSError, ValueError):
            raise AddressRefused(
                "certificate and key cannot be read with sslcert, sslkey and sslpassword", "sslcert"
            ) from None
    context.set_alpn_protocols(["postgresql"])
    return context


def _load_authorities(context: SSLContext, files: Mapping[str, str]) -> None:
    if files["sslrootcert"] == "system":
        context.load_default_certs()
    else:
        _load(context, files, "sslrootcert")
    if "sslcrl" in files:
        _load(context, files, "sslcrl")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load(context: SSLContext, files: Mapping[str, str], name: str) -> None:
    try:
        context.load_verify_locations(cafile=files[name])
    except OSError:
        raise AddressRefused("no certificates can be read from that file", name) from None


def _set_versions(
    context: SSLContext, options: dict[str, str], environment: Mapping[str, str]
) -> None:
    """Where TLS is not demanded, asyncpg reads the variables itself."""
    least, most = (
        options.pop(name, environment.get(_variable(name)) or usual)
        for name, usual in (
            ("ssl_min_protocol_version", "TLSv1.2"),
            ("ssl_max_protocol_version", "TLSv1.3"),
        )
    )
    # Older versions are never used, so a lower minimum is satisfied.
    minimum = _VERSIONS.get({"TLSv1": "TLSv1.2", "TLSv1.1": "TLSv1.2"}.get(least, least))
    maximum = _VERSIONS.get(most)
    if minimum is None:
        raise AddressRefused("give TLSv1.2 or TLSv1.3", "ssl_min_protocol_version")
    if maximum is None or maximum < minimum:
        raise AddressRefused(
            "give TLSv1.2 or TLSv1.3, not below the minimum", "ssl_max_protocol_version"
        )
    context.minimum_version, context.maximum_version = minimum, maximum
