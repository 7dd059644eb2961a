"""DATABASE_URL as providers and other clients write it: the parsed address, and refusals."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.address import Address
from adapters.postgres.tls import AddressRefused
from tests.adapters.postgres.addresses import parse

PASSWORD = "canary"


FORMS: dict[str, dict[str, Any]] = {
    "postgresql://app:canary@db.example.com:6000/shop": {
        "hosts": (("db.example.com", 6000),),
        "user": "app",
        "password": "canary",
        "database": "shop",
    },
    "postgres://app:canary@h/d": {"hosts": (("h", 5432),), "password": "canary"},
    "postgresql+asyncpg://app:canary@h/d": {"user": "app", "database": "d"},
    "postgresql+psycopg://app:canary@h/d": {"user": "app", "database": "d"},
    "  postgresql://app@h/d\n": {"hosts": (("h", 5432),), "user": "app", "password": None},
    "postgresql://": {"hosts": (), "user": None, "password": None, "database": None},
    "postgresql://h": {"hosts": (("h", 5432),), "database": None},
    "postgresql:///d": {"hosts": (), "database": "d"},
    # Azure, escaped as on its pages
    "postgresql://app%40myserver:S3cret@myserver.postgres.database.azure.com:5432/app": {
        "user": "app@myserver",
        "hosts": (("myserver.postgres.database.azure.com", 5432),),
    },
    # every character that has to be escaped, and a colon, which need not be
    f"postgresql://u:{quote('a@b/c?d#e[f]g%h', safe='')}:i@h/d": {"password": "a@b/c?d#e[f]g%h:i"},
    "postgresql://u:p%C3%A4ss+word@h/d": {"password": "päss+word"},
    # Heroku
    "postgres://u1:p2@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d3": {
        "user": "u1",
        "database": "d3",
    },
    # Supabase's pooler, in transaction mode on this port, in session mode on the other
    "postgresql://postgres.abc:p@aws-0-eu-west-1.pooler.supabase.com:6543/postgres": {
        "user": "postgres.abc",
        "keeps_statements": False,
    },
    "postgresql://postgres.abc:p@aws-0-eu-west-1.pooler.supabase.com:5432/postgres": {
        "keeps_statements": True
    },
    "postgres://p.a:p@x.pooler.supabase.com:6543/postgres?sslmode=disable&supa=base-pooler.x": {
        "keeps_statements": False,
        "server_settings": {},
    },
    # Prisma
    "postgresql://u:p@h/d?schema=public&pgbouncer=true&connection_limit=1&pool_timeout=0": {
        "keeps_statements": False,
        "server_settings": {},
    },
    "postgresql://u:p@h/d?schema=shop&pgbouncer=false": {
        "schema": "shop",
        "server_settings": {},
        "keeps_statements": True,
    },
    "postgresql://u:p@h/d?schema=My%20app-1": {"schema": "My app-1"},
    # other clients
    "postgresql+asyncpg://u@h/d?prepared_statement_cache_size=0": {"keeps_statements": False},
    "postgresql://u@h/d?statement_cache_size=500": {"keeps_statements": True},
    "postgresql://u@h/d?prepareThreshold=0&ApplicationName=shop&currentSchema=shop": {
        "keeps_statements": False,
        "schema": "shop",
        "server_settings": {"application_name": "shop"},
    },
    "postgresql://u@h/d?default_query_exec_mode=simple_protocol&pool_max_conns=9": {
        "keeps_statements": False
    },
    # libpq
    "postgresql://u@h/d?connect_timeout=10&keepalives=1&tcp_user_timeout=5": {
        "connect_timeout": 10.0,
        "server_settings": {},
    },
    "postgresql://u@h/d?connect_timeout=0": {"connect_timeout": None},
    "postgresql://u@h/d?application_name=shop&client_encoding=UTF8": {
        "server_settings": {"application_name": "shop"}
    },
    "postgresql://u@h/d?options=-c%20search_path%3Dshop": {
        "server_settings": {"options": "-c search_path=shop"}
    },
    "postgresql://u@h/d?options=-c+search_path%3Dshop": {
        "server_settings": {"options": "-c search_path=shop"}
    },
    "postgresql://u@h/d?options=endpoint%3Dep-cool-1": {
        "server_settings": {"options": "endpoint=ep-cool-1"}
    },
    "postgresql://u@h/d?target_session_attrs=any": {"target_session_attrs": "any"},
    "postgresql://u@h/d?channel_binding=prefer&gssencmode=disable&sslsni=1": {"notes": ()},
    "postgresql://u@h/d?passfile=/run/pgpass": {"driver": {"passfile": "/run/pgpass"}},
    "postgresql://?host=h&port=6000&user=u&password=canary&dbname=d": {
        "hosts": (("h", 6000),),
        "user": "u",
        "password": "canary",
        "database": "d",
    },
    # several hosts
    "postgresql://u@one:6001,two/d": {"hosts": (("one", 6001), ("two", 5432))},
    "postgresql://u@/d?host=one,two&port=1,2": {"hosts": (("one", 1), ("two", 2))},
    "postgresql://u@one,two/d?port=6000": {"hosts": (("one", 6000), ("two", 6000))},
    "postgresql://u@[::1],127.0.0.1/d": {"hosts": (("::1", 5432), ("127.0.0.1", 5432))},
    # IPv6 and Unix sockets
    "postgresql://u@[2001:db8::1]:6000/d": {"hosts": (("2001:db8::1", 6000),)},
    "postgresql:///d?host=/var/run/postgresql": {"hosts": (("/var/run/postgresql", 5432),)},
    "postgresql://u@%2Fvar%2Frun%2Fpostgresql:6000/d": {"hosts": (("/var/run/postgresql", 6000),)},
    "postgresql://u:p@localhost/d?host=/cloudsql/project:region:name": {
        "hosts": (("/cloudsql/project:region:name", 5432),)
    },
}


@pytest.mark.parametrize("url", FORMS)
def test_an_address_is_read_as_its_provider_means_it(url: str) -> None:
    address = parse(url)
    assert {name: getattr(address, name) for name in FORMS[url]} == FORMS[url]


ESCAPES = "write % as %25, @ as %40"
REFUSED = {
    "postgresql://u:p@h/d?schema=a%22b": "schema",
    "postgresql://u:p@h/d?currentSchema=shop,public": "schema",
    "": "not postgresql://",
    "canary": "not postgresql://",
    "mysql://u:canary@h/d": "not postgresql://",
    "jdbc:postgresql://h/d?user=u&password=canary": "not postgresql://",
    '"postgresql://u:canary@h/d"': "not postgresql://",
    "postgresql://app@myserver:canary@127.0.0.1:5432/app": ESCAPES,
    "postgresql://app:se[canary]x@h/app": ESCAPES,
    "postgresql://app:can@ary@h/app": ESCAPES,
    "postgresql://app:can/ary@h/app": ESCAPES,
    "postgresql://app:can?ary@h/app": ESCAPES,
    "postgresql://app:can#ary@h/app": ESCAPES,
    "postgresql://app:100%zcanary@h/app": ESCAPES,
    # the first half could be taken for a port, an option or a database
    "postgresql://app:12/canary@h/app": ESCAPES,
    "postgresql://app:12?canary=1@h/app": ESCAPES,
    "postgresql://u@h/d#canary": ESCAPES,
    "postgresql://u@[canary]/d": "must hold an IPv6 address",
    "postgresql://u@[canary/d": "the host cannot be read",
    "postgresql://u@h:canary/d": "port: a port is a number",
    "postgresql://u@h:99999/d": "port: a port is a number",
    "postgresql://u@h:0/d": "port: a port is a number",
    "postgresql://u@one,two/d?port=1,2,3": "port: give one port, or one for each",
    "postgresql://u@a..b/d": "host: this is not the name of a host",
    "postgresql://u@one,,two/d": "host: this is not the name of a host",
    "postgresql://u@ca%20nary/d": "host: this is not the name of a host",
    f"postgresql://u@{'canary' * 20}/d": "host: this is not the name of a host",
    "postgresql://u:canary%00x@h/d": "control character",
    "postgresql://u:canary\x00x@h/d": "control character",
    "postgresql://u:canary\udcffx@h/d": "control character",
    "postgresql://u:canary%ffx@h/d": "it is not UTF-8",
    "postgresql://u@h/d?canary": "options are written",
    "postgresql://u@h/d?ca%6eary=1": "options are written",
    "postgresql://u@h/d?no_such_option=canary": "no_such_option: this option is not supported",
    "postgresql://u@h/d?user=canary&user=canary": "user: this option is given twice",
    "postgresql://u@h/d?dbname=canary&database=canary": "dbname: this option is given twice",
    "postgresql://u@h/d?connect_timeout=canary": "connect_timeout: give a whole number",
    "postgresql://u@h/d?connect_timeout=-1": "connect_timeout: give a whole number",
    "postgresql://u@h/d?target_session_attrs=canary": "target_session_attrs: give one of any, ",
    "postgresql://u@h/d?client_encoding=LATIN1": "client_encoding: only UTF8",
    "postgresql://u@h/d?require_auth=scram-sha-256": "require_auth: this option is not supported",
    "postgresql://u@h/d?gssencmode=require": "gssencmode: encryption by GSSAPI",
    "postgresql://u@h/d?sslmode=canary": "sslmode: give one of allow, ",
    "postgresql://u@h/d?ssl=canary": "ssl: give true, false or one of allow, ",
    "postgresql://u@h/d?ssl=false&sslmode=require": "ssl: ssl and sslmode contradict",
    "postgresql://u@h/d?sslmode=verify-full": "sslmode: give sslrootcert=/path/to/the",
    "postgresql://u@h/d?sslmode=verify-ca": "sslmode: give sslrootcert=/path/to/the",
    "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/canary": "sslrootcert: no certificates",
    "postgresql://u@h/d?sslmode=require&sslrootcert=/canary": "sslrootcert: no certificates",
    "postgresql://u@h/d?sslrootcert=/canary": "sslrootcert: this needs sslmode=verify-full",
    "postgresql://u@h/d?sslmode=prefer&sslrootcert=/canary": "sslrootcert: this needs sslmode",
    "postgresql://u@h/d?sslmode=no-verify&sslrootcert=/canary": "sslrootcert: nothing is verified",
    "postgresql://u@h/d?sslmode=require&sslrootcert=system": "sslmode: sslrootcert=system needs",
    "postgresql://u@h/d?sslmode=require&sslcert=/canary": "sslcert: certificate and key cannot",
    "postgresql://u@h/d?sslmode=require&sslcrl=/canary&sslrootcert=/dev/null": "sslrootcert: no",
    "postgresql://u@h/d?sslmode=require&sslcrl=/canary": "sslcrl: nothing is verified",
    "postgresql://u@h/d?sslmode=require&sslkey=/canary": "sslkey: this needs sslcert",
    "postgresql://u@h/d?sslmode=require&ssl_min_protocol_version=SSLv3": "ssl_min_protocol_version",
    "postgresql://u@h/d?sslmode=require&ssl_max_protocol_version=TLSv1.1": (
        "ssl_max_protocol_version"
    ),
    "postgresql://u@h/d?sslnegotiation=direct": "sslnegotiation: direct needs sslmode=require",
    "postgresql://u@h/d?channel_binding=canary": "channel_binding: give disable, prefer or require",
    "postgresql://u@h/d?channel_binding=require&sslmode=disable": "channel_binding: require needs",
    "postgresql://u@h/d?channel_binding=require&sslmode=no-verify": "channel_binding: require needs",
    "postgresql:///d?channel_binding=require&host=/run": "channel_binding: require needs",
}


@pytest.mark.parametrize("url", REFUSED)
def test_what_cannot_be_done_is_refused_by_its_name_and_without_its_value(url: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        parse(url)
    assert REFUSED[url] in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_not_shown() -> None:
    assert "canary" not in repr(parse("postgresql://u:canary@h/d"))


PIECES = st.sampled_from(
    [
        *(
            "postgresql://",
            "postgres://",
            "@",
            ":",
            "/",
            "?",
            "#",
            "[",
            "]",
            "%",
            "%41",
            "%ff",
            "%00",
        ),
        *(",", "&", "=", "::1", "5432", "99999", "host=", "port=", "sslmode=", "require", "prefer"),
        *(
            "verify-full",
            "sslrootcert=",
            "system",
            "channel_binding=",
            "options=",
            "ssl=",
            "é",
            " ",
        ),
        *("connect_timeout=", "\x00", "\udcff", "\n", "..", "target_session_attrs=", "schema="),
    ]
)
GARBAGE = st.one_of(
    st.text(), st.lists(PIECES | st.text(max_size=3), max_size=15).map("".join)
).flatmap(lambda text: st.sampled_from([text, f"postgresql://{text}"]))


@given(GARBAGE)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse(text)
    except AddressRefused:
        return
    assert isinstance(address, Address)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_password_is_read_as_it_is_or_refused_and_never_shown(text: str) -> None:
    """With any of its characters unescaped."""
    password = f"{PASSWORD}{text}{PASSWORD}"
    url = f"postgresql://user:{password}@host/db"
    if set(text) & set("@/?#[]"):
        with pytest.raises(AddressRefused) as caught:
            parse(url)
        assert PASSWORD not in str(caught.value)
    elif "%" not in text:
        assert parse(url).password == password
