"""Parse DATABASE_URL, in any of the spellings that people paste, for `asyncpg.connect`.

Form and options are those of libpq (PostgreSQL manual, "Connection URIs" and "Parameter Key
Words"), with the spellings of Prisma, SQLAlchemy, node-postgres, JDBC and the hosting providers.
Escaping follows libpq strictly: a password with an unescaped `@` is ambiguous, and a wrong guess
would send a part of the password to a name server.

Options that only tune a client are applied or ignored. Options that asyncpg has under another name
are mapped. All others are refused, because asyncpg would send them to the server as settings.
"""

import ipaddress
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from adapters.postgres.tls import NO_TLS_ASKED, AddressRefused, Tls, tls_from

PORT = 5432

ESCAPES = (
    "in the user name and the password write % as %25, @ as %40, / as %2F, ? as %3F, # as %23, "
    "[ as %5B, ] as %5D"
)

_FORM = re.compile(
    r"(?is)postgres(?:ql)?(?:\+[a-z0-9_]+)?://([^/?#]*)(?:/([^?#]*))?(?:\?([^#]*))?(#.*)?"
)
_HOST = re.compile(r"(?s)(?:\[([^\[\]]*)\]|([^\[\]:]*))(?::([^:]*))?")

_SERVER_SETTINGS = {
    "application_name",
    "options",
    "search_path",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
}

_DRIVER = {"passfile", "service", "krbsrvname", "gsslib"}
"""Options that asyncpg takes under the same name."""

_ALIASES = {
    "ApplicationName": "application_name",
    "currentSchema": "schema",
    "database": "dbname",
    "prepared_statement_cache_size": "statement_cache_size",
}

_TUNING = {
    # libpq
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "load_balance_hosts", "fallback_application_name", "sslcompression"),
    # Prisma
    *("connection_limit", "pool_timeout", "socket_timeout", "max_idle_connection_lifetime"),
    # SQLAlchemy and asyncpg
    *("pool_size", "max_overflow", "pool_recycle", "pool_pre_ping", "min_size", "max_size"),
    *("async_fallback", "command_timeout", "prepared_statement_name_func"),
    *("max_cached_statement_lifetime", "max_cacheable_statement_size"),
    # pgx, Rails, Django, JDBC, node-postgres
    *("pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time"),
    *("pool_health_check_period", "pool_max_conn_lifetime_jitter", "statement_cache_capacity"),
    *("pool", "reaping_frequency", "checkout_timeout", "idle_timeout"),
    *("conn_max_age", "conn_health_checks", "disable_server_side_cursors"),
    *("tcpKeepAlive", "reWriteBatchedInserts", "uselibpqcompat"),
    # added by Vercel to Supabase's addresses
    *("supa", "workaround"),
}

_SESSIONS = {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}

_POOLED = {
    "pgbouncer": {"true", "1"},
    "statement_cache_size": {"0"},
    "prepareThreshold": {"0"},
    "prepared_statements": {"false", "0"},
    "default_query_exec_mode": {"simple_protocol", "exec", "describe_exec"},
}
"""Options of other clients, and their values, that mean a pooler in transaction mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The servers to connect to, and how. None means the driver's default, which is libpq's.

    `hosts` are pairs of a name, IP address or directory of Unix sockets, and a port; if empty, the
    driver's default. `schema` holds our tables. `connect_timeout` is in seconds. `keeps_statements`
    is false if the address shows a pooler in transaction mode. `driver` goes to asyncpg unchanged.
    `notes` are sentences for the log, without values.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    schema: str | None = None
    tls: Tls = NO_TLS_ASKED
    target_session_attrs: str | None = None
    connect_timeout: float | None = None
    keeps_statements: bool = True
    server_settings: Mapping[str, str] = field(default_factory=dict)
    driver: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.tls.notes


def parse_address(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The parsed address. Raises `AddressRefused`, whose text names an option and never a value.

    `environment` has libpq's variables about TLS; asyncpg reads libpq's other variables itself.
    """
    form = _form(text)
    authority, path, query, fragment = form.groups(default="")
    credentials, _, hosts = authority.rpartition("@")
    # An `@` after the authority means that an unescaped / ? or # in the password ended it early.
    if fragment or "@" in path + query or re.search(r"[@\[\]]", credentials):
        raise AddressRefused(ESCAPES)
    user, _, password = credentials.partition(":")
    options = _options(query)
    servers = _servers(hosts, options)
    address = Address(
        hosts=servers,
        user=options.pop("user", "") or _decoded(user) or None,
        password=options.pop("password", "") or _decoded(password) or None,
        database=options.pop("dbname", "") or _decoded(path) or None,
        schema=_schema(options),
        tls=tls_from(options, environment, only_sockets=_all_sockets(servers)),
        target_session_attrs=_one_of(options, "target_session_attrs", _SESSIONS),
        connect_timeout=_seconds(options, "connect_timeout"),
        keeps_statements=_keeps_statements(options, servers),
        server_settings=_server_settings(options),
        driver={name: options.pop(name) for name in _DRIVER if name in options},
    )
    for name in options:
        if name not in _TUNING:
            raise AddressRefused("this option is not supported", name)
    return address


def with_database(text: str, name: str) -> str:
    """The address with this database in place of the one that it names, in its path or options.

    `name` is one that needs no escapes. Raises `AddressRefused`.
    """
    form = _form(text)
    others = [
        part
        for part in (form[3] or "").split("&")
        if part and not part.startswith(("dbname=", "database="))
    ]
    query = f"?{'&'.join(others)}" if others else ""
    return f"{form.string[: form.end(1)]}/{name}{query}"


def _form(text: str) -> re.Match[str]:
    form = _FORM.fullmatch(text.strip())
    if form is None:
        raise AddressRefused("not postgresql://user:password@host:port/database")
    return form


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or re.fullmatch(r"[A-Za-z_]{1,63}", name) is None:
            raise AddressRefused(f"options are written ?name=value&name=value; {ESCAPES}")
        name = _ALIASES.get(name, name)
        if name in options:
            raise AddressRefused("this option is given twice", name)
        options[name] = _decoded(value, name)
    return options


def _servers(listed: str, options: dict[str, str]) -> tuple[tuple[str, int], ...]:
    """The hosts of the option `host`, or else those between `@` and `/`, each with its port."""
    in_option, ports = options.pop("host", ""), options.pop("port", "")
    if in_option:
        hosts = [(host, "") for host in in_option.split(",")]
    else:
        hosts = [_host_and_port(host) for host in listed.split(",")] if listed else []
    if ports and not hosts:
        raise AddressRefused("this port has no host", "port")
    given = ports.split(",") if ports else []
    if len(given) not in {0, 1, len(hosts)}:
        raise AddressRefused("give one port, or one for each host", "port")
    each = given * len(hosts) if len(given) == 1 else given or [""] * len(hosts)
    return tuple(
        (_host(host), _port(own or other)) for (host, own), other in zip(hosts, each, strict=True)
    )


def _host_and_port(text: str) -> tuple[str, str]:
    match = _HOST.fullmatch(text)
    if match is None:
        raise AddressRefused(f"the host cannot be read: [ ] are for IPv6 only; {ESCAPES}")
    ipv6, name, port = match.groups(default="")
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(_decoded(ipv6))), port
        except ValueError:
            raise AddressRefused(f"[ ] must hold an IPv6 address; {ESCAPES}") from None
    return _decoded(name), port


def _host(name: str) -> str:
    """The name, if it is a host name, an IP address or a directory."""
    if name.startswith("/"):
        return name
    try:
        # The look-up encodes it too, which raises for a label that is empty or too long.
        name.encode("idna")
    except UnicodeError:
        name = ""
    if not name or re.search(r"[\s/@?#\[\]\\]", name):
        raise AddressRefused("this is not the name of a host", "host")
    return name


def _port(text: str) -> int:
    if not text:
        return PORT
    if re.fullmatch("[0-9]{1,5}", text) is None or not 0 < int(text) < 65536:
        raise AddressRefused(f"a port is a number from 1 to 65535; {ESCAPES}", "port")
    return int(text)


def _all_sockets(servers: tuple[tuple[str, int], ...]) -> bool:
    return bool(servers) and all(host.startswith("/") for host, _ in servers)


def _keeps_statements(options: dict[str, str], hosts: tuple[tuple[str, int], ...]) -> bool:
    # Supabase's pooler, shared or dedicated, is in transaction mode on this port.
    known = any(
        port == 6543 and host.endswith((".supabase.com", ".supabase.co")) for host, port in hosts
    )
    told = [options.pop(name, None) in values for name, values in _POOLED.items()]
    return not known and not any(told)


def _server_settings(options: dict[str, str]) -> dict[str, str]:
    settings = {name: options.pop(name) for name in _SERVER_SETTINGS if name in options}
    if "options" in settings:
        settings["options"] = settings["options"].replace("+", " ")  # SQLAlchemy writes + for space
    if options.pop("client_encoding", "utf8").lower().replace("-", "") not in {"utf8", "auto"}:
        raise AddressRefused("only UTF8 is supported", "client_encoding")
    return settings


def _schema(options: dict[str, str]) -> str | None:
    """Prisma's `schema` or JDBC's `currentSchema`, with the meaning of `DATABASE_SCHEMA`."""
    schema = options.pop("schema", "") or None
    if schema is not None and not is_schema_name(schema):
        raise AddressRefused("this is not the name of one schema", "schema")
    return schema


def is_schema_name(name: str) -> bool:
    """Whether the name is safe inside a statement, and not longer than Postgres' 63 bytes."""
    return re.fullmatch(r"[^\W\d][\w$ -]*", name) is not None and len(name.encode()) <= 63


def _seconds(options: dict[str, str], name: str) -> float | None:
    text = options.pop(name, "0")
    if re.fullmatch("[0-9]{1,9}", text) is None:
        raise AddressRefused("give a whole number of seconds", name)
    return float(text) or None


def _one_of(options: dict[str, str], name: str, allowed: set[str]) -> str | None:
    value = options.pop(name, None)
    if value is not None and value not in allowed:
        raise AddressRefused(f"give one of {', '.join(sorted(allowed))}", name)
    return value


def _decoded(text: str, option: str = "") -> str:
    """The text, percent-decoded. A % that starts no escape means that the text was not escaped."""
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise AddressRefused(ESCAPES, option)
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeError:
        raise AddressRefused(f"it is not UTF-8; {ESCAPES}", option) from None
    # NUL would end a name in the driver's first message; a lone surrogate cannot be encoded.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in decoded):
        raise AddressRefused("it holds a control character", option)
    return decoded
