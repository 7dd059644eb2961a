"""Misspelt settings are reported, and settings of other programs are not."""

import pytest

from service.mistakes import slips

SLIPS = {
    "CLERK_SECRETKEY": "CLERK_SECRET_KEY",
    "CLERK_AUTHORIZED_PARTY": "CLERK_AUTHORIZED_PARTIES",
    "CONSOLE_OPERATOR_TOKN": "CONSOLE_OPERATOR_TOKEN",
    "console_operater_token": "CONSOLE_OPERATOR_TOKEN",
    "JOURNAL_BODYDAYS": "JOURNAL_BODY_DAYS",
    "DATABASE_URI": "DATABASE_URL",
    "MIGRATE_ONSTART": "MIGRATE_ON_START",
    "RECONCILE_EVRY": "RECONCILE_EVERY",
    "CORS_ORIGIN": "CORS_ORIGINS",
    "LOG_LEVLE": "LOG_LEVEL",
    "CLERK_USER_SYNC_PROT": "CLERK_USER_SYNC_PORT",
    "CLERK_USERSYNC_DATABASE_URL": "CLERK_USER_SYNC_DATABASE_URL",
    "CLERKUSER_SYNC_LOG_LEVEL": "CLERK_USER_SYNC_LOG_LEVEL",
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_named_with_what_is_meant(name: str) -> None:
    assert slips([name]) == [f"{name.upper()} (is {SLIPS[name]} meant?)"]


def test_what_begins_as_clerks_settings_is_named_though_nothing_is_like_it() -> None:
    assert slips(["CLERK_WEBHOOK_SECRET"]) == ["CLERK_WEBHOOK_SECRET"]


OTHERS = [
    *("HOSTNAME", "HOSTS", "PORTS", "POST", "DOC", "HOME", "PATH", "LOGNAME", "DATABASE"),
    *("FTP_PROXY", "RSYNC_PROXY", "SSL_CERT_PATH", "DATA", "DATABASE_HOST", "DATABASE_PASSWORD"),
    *("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "PGHOST", "LOG_FILE", "CONSOLE", "SHUTDOWN"),
    *("http_proxy", "NO_PROXY", "CLERK_USER_SYNC_HTTP_PROXY", "CLERK_USER_SYNC_PORT", "Port"),
    *("CLERK_USER_SYNC_SERVICE_HOST", "CLERK_USER_SYNC_SERVICE_PORT_HTTP"),
    *("CLERK_USER_SYNC_PORT_80_TCP", "CLERK_USER_SYNC_PORT_80_TCP_ADDR"),
]


@pytest.mark.parametrize("name", OTHERS)
def test_other_programs_settings_and_right_names_are_not(name: str) -> None:
    assert slips([name]) == []
