"""Settings: all mistakes are reported at once and by name, and no value is shown."""

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.settings import Settings
from tests.service.given_settings import (
    CERTIFICATE,
    EC_KEY,
    GOOD,
    OTHER_WEBHOOK_SECRET,
    PRIVATE_KEY,
    PUBLIC_KEY,
    PUBLISHABLE_KEY,
    ROOT,
    SECRET_KEY,
    WEBHOOK_SECRET,
    mistakes_of,
    settings,
    whsec,
)


def test_what_is_missing_is_told_at_once() -> None:
    assert [line.partition(":")[0] for line in mistakes_of()] == [
        "CLERK_SECRET_KEY",
        "CLERK_ISSUER",
        "CLERK_WEBHOOK_SIGNING_SECRET",
    ]


def test_every_mistake_is_told_at_once() -> None:
    wrong = {
        "clerk_secret_key": PUBLISHABLE_KEY,
        "clerk_publishable_key": SECRET_KEY,
        "clerk_webhook_signing_secret": "whsec_short",
        "clerk_missing_azp": "maybe",
        "clerk_instance_id": "production",
        "clerk_api_url": "http://api.clerk.com",
        "clerk_jwt_key": "canary",
        "database_url": "mysql://canary@localhost",
        "port": "eighty",
        "log_level": "loud",
        "jit_deadline": "-1",
    }
    told = mistakes_of(**wrong)
    assert {line.partition(":")[0] for line in told} == {name.upper() for name in wrong}
    assert not [value for value in wrong.values() if value in "\n".join(told)]


WRONG: dict[str, list[Any]] = {
    "clerk_secret_key": [
        "",
        "canary",
        PUBLISHABLE_KEY,
        WEBHOOK_SECRET,
        "sk_test_",
        "sk_test_short",
        f" {SECRET_KEY}",
        f"{SECRET_KEY}\n",
        "sk_prod_canaryCanaryCanary",
    ],
    "clerk_publishable_key": [
        "canary",
        SECRET_KEY,
        "pk_test_",
        "pk_test_!!!",
        "pk_test_" + base64.b64encode(b"no-dollar.example.com").decode(),
        "pk_test_" + base64.b64encode(b"nodot$").decode(),
        "pk_test_" + base64.b64encode(b"evil.example.com/path$").decode(),
        "pk_test_" + base64.b64encode(b"user@evil.example.com$").decode(),
        "pk_test_" + base64.b64encode(b"\xff\xfe.example.com$").decode(),
    ],
    "clerk_webhook_signing_secret": [
        "",
        ",",
        "canary",
        "whsec_",
        "whsec_a",
        whsec(16),
        whsec(23),
        whsec(80),
        "whsec_" + "!" * 40,
        f"{WEBHOOK_SECRET},whsec_short",
        f"{WEBHOOK_SECRET};{OTHER_WEBHOOK_SECRET}",
        SECRET_KEY,
        PUBLISHABLE_KEY,
    ],
    "clerk_jwt_key": [
        "canary",
        PRIVATE_KEY,
        CERTIFICATE,
        EC_KEY,
        "-----BEGIN PUBLIC KEY-----",
        PUBLIC_KEY[:200],
        "ssh-rsa AAAAB3canary",
    ],
    "http_proxy": ["ftp://canary", "http://", "http://canary:port", "socks4://canary:1"],
    "https_proxy": ["http://user:can/ary@proxy:1", "http://[canary", "canary:99999", "a b"],
    "all_proxy": ["direct://canary", "socks5://", "://canary"],
    "ssl_cert_file": ["/nowhere/canary.pem", "/", __file__, "/dev/null"],
    "ssl_cert_dir": ["/nowhere/canary", __file__, "/nowhere/canary:/nowhere"],
    "data_dir": [f"{__file__}/canary", "/dev/null/canary/data", "can\nary"],
    "clerk_issuer": [
        "canary",
        "clerk.example.com",
        "http://clerk.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "http://169.254.169.254/",
        "ftp://localhost",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://[canary",
    ],
    "clerk_jwks_url": ["http://example.com/jwks", "http://10.0.0.1/jwks", "file:///etc/passwd"],
    "clerk_api_url": ["http://api.clerk.com", "http://0.0.0.0:1", "http://[::2]:1", "localhost"],
    "database_url": [
        "canary",
        "mysql://canary@localhost/db",
        "postgresql://user:can@ary@localhost/db",
        "postgresql://localhost/db?sslmode=canary",
        "postgresql://localhost/db?no_such_option=canary",
        "postgresql://user:can/ary@localhost/db",
        "postgresql://user:can#ary@localhost/db",
        "postgresql://user:can?ary@localhost/db",
        "postgresql://user@localhost:port/db",
        "postgresql://user@[canary/db",
    ],
    "clerk_instance_id": ["canary", "ins_", "ins_a b", "app_1"],
    "clerk_missing_azp": ["yes"],
    "clerk_rate_limit": ["0", "-1", "9", "many"],
    "jit_deadline": ["0", "11", "nan", "soon"],
    "jit_max_fetches": ["0"],
    "database_pool_size": ["0", "1001", "x"],
    "console_token": ["canary", "c" * 31, f"{'canary' * 6}\n"],
    "console_operator_token": ["canary", f" {'canary' * 6}"],
    "changes_token": [f"{'canary' * 6}\n"],
    "clerk_audience": ["canary\n", " canary"],
    "console_readers": ["canary", "role:admin", "user_", "user_a b", "org_1", "user_1;user_2"],
    "console_operators": ["admin", "org_1:", "org_1:Admin!", ":admin"],
    "console_bodies": ["yes"],
    "root_path": ["sync", "/sync/", "/", "//evil.example", "/a b", "/<script>"],
    "port": ["-1", "65536", "x"],
    "log_level": ["loud"],
    "log_format": ["xml"],
    "cors_origins": ['["canary"]', '["https://canary', '[{"canary": 1}]', "*"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, one) for name, all_ in WRONG.items() for one in all_]
)
def test_what_is_wrong_is_told_by_name_and_never_shown(name: str, value: str) -> None:
    (told,) = mistakes_of(**{**GOOD, name: value})
    assert told.startswith(f"{name.upper()}: ")
    assert len(value) < 10 or value not in told
    assert "canary" not in told


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - {"clerk_jwt_key"}))
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_value_are_refused_and_it_is_said_where_they_come_from(
    name: str, quote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), f"{quote}{'canary' * 6}{quote}")
    (told,) = mistakes_of(**{given: value for given, value in GOOD.items() if given != name})
    words = "leave out the quotes: docker --env-file and kubectl keep them"
    assert told == f"{name.upper()}: {words}"


def test_the_error_itself_shows_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        settings(clerk_secret_key="canary", clerk_jwt_key="canary", port="canary")
    assert "canary" not in f"{caught.value} {caught.value!r}"


RIGHT: list[tuple[str, Any]] = [
    ("clerk_webhook_signing_secret", WEBHOOK_SECRET.removeprefix("whsec_")),
    ("clerk_webhook_signing_secret", whsec(24)),
    ("clerk_webhook_signing_secret", whsec(64)),
    ("clerk_api_url", "http://127.0.0.1:8401"),
    ("clerk_api_url", "http://localhost:8401/"),
    ("clerk_api_url", "http://[::1]:8401"),
    ("clerk_api_url", "https://api.example.com"),
    ("database_url", "postgres://localhost/db"),
    ("database_url", "postgresql:///db?host=/var/run/postgresql"),
    ("database_url", "postgresql://user:p%2Fw%23@[::1]:5432/db?sslmode=require"),
    ("database_url", "postgresql://user@one:5432,two:5432/db"),
    ("database_url", "postgresql+asyncpg://user:p%40ss@localhost/db?pgbouncer=true"),
    ("clerk_instance_id", "ins_3fwv0wiA77ZnkfQgQP92BDrKNUo"),
    ("console_token", "c" * 32),
    ("console_readers", "user_1, org_2abc:admin"),
    ("console_operators", "org_2abc:billing:manager"),
    ("clerk_jwt_key", PUBLIC_KEY.replace("\n", "\\n")),
    ("clerk_jwt_key", PUBLIC_KEY.replace("\n", "\\\\n")),
    ("clerk_jwt_key", PUBLIC_KEY.replace("\n", "\\r\\n")),
    ("clerk_jwt_key", f'"{PUBLIC_KEY}"'),
    ("http_proxy", "proxy.example:3128"),
    ("https_proxy", "http://user:p%40ss@proxy.example:3128/"),
    ("all_proxy", "socks5://127.0.0.1:1080"),
    ("all_proxy", "socks5h://proxy.example"),
    ("all_proxy", "socks://127.0.0.1:1080/"),
    ("no_proxy", "localhost,fd07:b51a:cc66:f0::/64"),
    ("ssl_cert_dir", f"/nowhere:{Path(__file__).parent}"),
    ("root_path", "/ops/sync"),
    ("cors_origins", '["https://app.example.com", "http://localhost:3000"]'),
    ("log_format", "JSON"),
    ("log_level", "INFO"),
    ("port", "0"),
]


def test_keys_of_two_kinds_are_not_of_one_instance() -> None:
    (told,) = mistakes_of(**{**GOOD, "clerk_secret_key": "sk_live_canaryCanaryCanary"})
    assert told.startswith("CLERK_PUBLISHABLE_KEY: one of this and CLERK_SECRET_KEY is a test key")


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_what_is_right_is_taken(name: str, value: str) -> None:
    assert settings(**{name: value})


class TestIssuer:
    def test_is_told_by_the_publishable_key(self) -> None:
        told = settings()
        assert told.issuer == "https://clerk.inspired.puma-74.lcl.dev"
        assert told.jwks_url == "https://clerk.inspired.puma-74.lcl.dev/.well-known/jwks.json"

    def test_may_be_given_instead(self) -> None:
        told = settings(clerk_publishable_key=None, clerk_issuer="https://clerk.example.com/")
        assert told.issuer == "https://clerk.example.com"

    def test_given_counts_for_more_than_the_publishable_keys(self) -> None:
        told = settings(clerk_issuer="https://clerk.example.com")
        assert told.jwks_url == "https://clerk.example.com/.well-known/jwks.json"

    def test_may_keep_its_keys_elsewhere(self) -> None:
        assert (
            settings(clerk_jwks_url="https://keys.example.com").jwks_url
            == "https://keys.example.com"
        )


def test_the_readers_token_is_not_the_operators() -> None:
    (told,) = mistakes_of(**GOOD, console_token="c" * 32, console_operator_token="c" * 32)
    assert told.startswith("CONSOLE_OPERATOR_TOKEN: must not be CONSOLE_TOKEN")


def test_the_console_is_off_unless_the_settings_permit_somebody() -> None:
    assert not settings().has_console
    assert settings(console_readers="user_1").has_console


def test_lists_are_comma_separated() -> None:
    told = settings(
        clerk_webhook_signing_secret=f" {WEBHOOK_SECRET} ,, {OTHER_WEBHOOK_SECRET},",
        clerk_authorized_parties="https://a.example, https://b.example ,",
    )
    secrets = [secret.get_secret_value() for secret in told.clerk_webhook_signing_secret]
    assert secrets == [WEBHOOK_SECRET, OTHER_WEBHOOK_SECRET]
    assert told.clerk_authorized_parties == ("https://a.example", "https://b.example")


def test_lists_may_be_json() -> None:
    told = settings(cors_origins=' ["https://a.example", " https://b.example/", ""]')
    assert told.cors_origins == ("https://a.example", "https://b.example")
    assert settings(clerk_authorized_parties="[]").clerk_authorized_parties == ()


@pytest.mark.parametrize("show", [repr, str, lambda told: told.model_dump_json()])
def test_shown_they_keep_their_secrets(show: Any) -> None:
    shown = show(
        settings(
            database_url="postgresql://u:canary@localhost/db",
            https_proxy="http://user:canary@proxy.example:3128",
            clerk_jwt_key=PUBLIC_KEY,
        )
    )
    for secret in ("canary", SECRET_KEY, WEBHOOK_SECRET, PUBLIC_KEY.splitlines()[1]):
        assert secret not in shown


def test_the_example_file_names_every_setting() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert named == {name.upper() for name in Settings.model_fields}
