"""What a database address says about TLS: what is verified, and with which files."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.tls import AddressRefused
from tests.adapters.postgres.addresses import parse
from tests.adapters.postgres.certificates import Certificates, certificates_in


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("certificates"), "localhost")


def context_of(url: str, **environment: Any) -> ssl.SSLContext:
    context = parse(url, **environment).tls.ssl
    assert isinstance(context, ssl.SSLContext)
    return context


@pytest.mark.parametrize(
    ("query", "ssl_"),
    [
        ("", None),
        ("sslmode=disable", "disable"),
        ("sslmode=allow", "allow"),
        ("sslmode=prefer", "prefer"),
        ("ssl=prefer", "prefer"),
        ("ssl=false", "disable"),
    ],
)
def test_a_session_that_may_be_plain_is_left_to_the_driver(query: str, ssl_: str | None) -> None:
    assert parse(f"postgresql://u@h/d?{query}").tls.ssl == ssl_


@pytest.mark.parametrize(
    ("query", "verifies", "name"),
    [
        ("sslmode=require", False, False),
        ("ssl=true", False, False),
        ("ssl=require&sslmode=require", False, False),
        ("requiressl=1", False, False),
        ("sslmode=no-verify", False, False),
        ("sslmode=require&sslrootcert={root}", True, False),
        ("sslmode=verify-ca&sslrootcert={root}", True, False),
        ("sslmode=verify-full&sslrootcert={root}", True, True),
        ("sslmode=verify-full&sslrootcert=system", True, True),
        ("sslrootcert=system", True, True),
        ("sslmode=require&channel_binding=require", True, True),
        ("channel_binding=require", True, True),
        ("sslmode=require&channel_binding=require&sslrootcert={root}", True, True),
        ("sslmode=verify-full&channel_binding=require&sslrootcert={root}", True, True),
        ("sslmode=verify-ca&channel_binding=require&sslrootcert={root}", True, False),
    ],
)
def test_what_is_verified_is_what_was_asked(
    query: str, verifies: bool, name: bool, certificates: Certificates
) -> None:
    context = context_of(f"postgresql://u@h/d?{query.format(root=certificates.root)}")
    assert (context.verify_mode == ssl.CERT_REQUIRED, context.check_hostname) == (verifies, name)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_only_the_given_authority_is_trusted(certificates: Certificates) -> None:
    url = f"postgresql://u@h/d?sslmode=verify-full&sslrootcert={certificates.root}"
    assert len(context_of(url).get_ca_certs()) == 1


def test_channel_binding_is_replaced_by_verification_and_that_is_said() -> None:
    url = "postgresql://u:canary@ep-a.neon.tech/d?sslmode=require&channel_binding=require"
    (note,) = parse(url).notes
    assert note.startswith("channel_binding=require: the driver cannot bind")
    assert "canary" not in note


def test_libpqs_own_files_and_variables_count(certificates: Certificates, tmp_path: Path) -> None:
    assert context_of(
        "postgresql://u@h/d?sslmode=verify-full", PGSSLROOTCERT=str(certificates.root)
    ).get_ca_certs()
    assert not context_of("postgresql://u@h/d", PGSSLMODE="require").get_ca_certs()
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").write_bytes(certificates.root.read_bytes())
    context = context_of("postgresql://u@h/d?sslmode=require", home=tmp_path)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


@pytest.mark.parametrize(
    ("query", "variables", "verifies", "least"),
    [
        ("", {"PGSSLMODE": "require", "PGCHANNELBINDING": "require"}, True, "TLSv1_2"),
        ("", {"PGSSLMODE": "require", "PGSSLMINPROTOCOLVERSION": "TLSv1.3"}, False, "TLSv1_3"),
        ("", {"PGREQUIRESSL": "1"}, False, "TLSv1_2"),
        ("", {"PGSSLMODE": "verify-full", "PGREQUIRESSL": "1"}, True, "TLSv1_2"),
        ("&channel_binding=prefer", {"PGCHANNELBINDING": "require"}, False, "TLSv1_2"),
        (
            "&ssl_min_protocol_version=TLSv1.2",
            {"PGSSLMINPROTOCOLVERSION": "TLSv1.3"},
            False,
            "TLSv1_2",
        ),
    ],
)
def test_libpqs_variables_demand_what_the_options_do_and_the_address_comes_first(
    query: str, variables: dict[str, str], verifies: bool, least: str, certificates: Certificates
) -> None:
    mode = f"sslmode=require{query}" if query else ""
    root = {"PGSSLROOTCERT": str(certificates.root)} if verifies else {}
    context = context_of(f"postgresql://u@h/d?{mode}", **variables, **root)
    assert (context.verify_mode == ssl.CERT_REQUIRED, context.minimum_version.name) == (
        verifies,
        least,
    )


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("PGGSSENCMODE", "require", "gssencmode"),
        ("PGREQUIREAUTH", "scram-sha-256", "require_auth"),
        ("PGSSLSNI", "0", "sslsni"),
        ("PGCHANNELBINDING", "maybe", "channel_binding"),
    ],
)
def test_a_variable_that_cannot_be_honoured_is_refused_as_the_option_is(
    variable: str, value: str, option: str
) -> None:
    environment: dict[str, Any] = {variable: value}
    with pytest.raises(AddressRefused, match=f"^{option}: "):
        parse("postgresql://u@h/d?sslmode=require", **environment)


def test_a_client_certificate_is_read(certificates: Certificates) -> None:
    files = f"sslcert={certificates.server}&sslkey={certificates.server_key}"
    assert context_of(f"postgresql://u@h/d?sslmode=require&{files}")


@pytest.mark.parametrize(
    ("query", "direct"),
    [("", None), ("&sslnegotiation=postgres", False), ("&sslnegotiation=direct", True)],
)
def test_tls_may_begin_without_being_asked_for(query: str, direct: bool | None) -> None:
    assert parse(f"postgresql://u@h/d?sslmode=require{query}").tls.direct is direct
