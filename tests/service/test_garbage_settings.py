"""With any value of a setting, the service starts, or names the setting without its value."""

import asyncio
import io
import os
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.app import create_app
from service.bootstrap.settings import read_settings
from service.edge.listening import CannotListen, listening_sockets
from service.healthcheck import PREFIX
from service.mistakes import mistakes
from service.settings import Settings
from tests.service.given_settings import ENVIRONMENT, run

NAMES = sorted(name.upper() for name in Settings.model_fields)
CANARY = "cAnArY"

NASTY = [
    *(f"{CANARY}", f"$({CANARY})", f"`{CANARY}`", f"${{{CANARY}}}", f"'{CANARY}", f'"{CANARY}"'),
    *(f"{CANARY}\n", f"\t{CANARY}", f"{CANARY};", f"%{CANARY}", f"{{{CANARY}}}", f"[{CANARY}"),
    *(f"http://{CANARY}:port", f"https://{CANARY}:0", f"https://u:{CANARY}@h/", f"://{CANARY}"),
    *(f"postgresql://u:{CANARY}@h:port/d", f"socks5://[{CANARY}", f"/{CANARY}" * 2000),
    *("nan", "inf", "-1", "1e308", "9" * 40, "0x10", "\u0661", "true", ",", "::", "0", "\u202e"),
]

garbage = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")).map(
        lambda text: text[:40] + CANARY + text[40:]
    ),
    st.sampled_from(NASTY),
    st.integers().map(str),
    st.floats().map(str),
)


def what_is_wrong(environment: Mapping[str, str]) -> list[str] | Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            return read_settings(_env_file=None)
        except ValidationError as error:
            return mistakes(error)


def start(settings: Settings) -> str:
    """Bind, start and stop. Returns the log, or the words of a refusal to listen."""
    lines = io.StringIO()
    app = create_app(settings, lines)

    async def begin_and_end() -> None:
        for bound in listening_sockets(settings.host, settings.port):
            bound.close()
        async with app.router.lifespan_context(app):
            pass

    try:
        asyncio.run(begin_and_end())
    except CannotListen as error:
        return str(error)
    return lines.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", ["", PREFIX])
def test_nasty_values_are_taken_or_refused_by_the_settings_name(name: str, before: str) -> None:
    for value in NASTY if before == "" else NASTY[:6]:
        told = what_is_wrong({**ENVIRONMENT, f"{before}{name}": value})
        if isinstance(told, list):
            assert any(name in line for line in told), (name, value)
            assert CANARY not in "\n".join(told)


@given(name=st.sampled_from(NAMES), value=garbage)
@example(name="RECONCILE_EVERY", value="inf")
@example(name="JOURNAL_DAYS", value="999999999999")
@example(name="HOST", value=f"{CANARY}\u2100")
@example(name="SSL_CERT_FILE", value=CANARY)
def test_any_value_is_a_start_or_a_refusal_and_is_not_shown(
    postgres_url: str, name: str, value: str
) -> None:
    base = {**ENVIRONMENT, "DATABASE_URL": postgres_url, "PORT": "0", "CLERK_JWKS_URL": NOWHERE}
    told = what_is_wrong({**base, name: value})
    if isinstance(told, list):
        assert any(name in line for line in told)
    shown = "\n".join(told) if isinstance(told, list) else start(told)
    assert CANARY not in shown
    assert "Traceback" not in shown


NOWHERE = "http://127.0.0.1:1/keys"

SEVERAL = {
    "HTTPS_PROXY": f"ftp://{CANARY}",
    "SSL_CERT_FILE": f"/{CANARY}",
    "CLERK_JWT_KEY": CANARY,
    "CLERK_AUTHORIZED_PARTIES": CANARY,
    "RECONCILE_EVERY": "inf",
    "DATA_DIR": f"{os.devnull}/{CANARY}",
    "PORT": CANARY,
}


def test_all_that_is_wrong_is_told_at_once(tmp_path: object) -> None:
    ended = run(cwd=tmp_path, **ENVIRONMENT, **SEVERAL)  # type: ignore[arg-type]
    assert (ended.returncode, ended.stdout) == (78, "")
    assert {line.strip().partition(":")[0] for line in ended.stderr.splitlines()[1:]} == set(
        SEVERAL
    )
    assert CANARY not in ended.stderr
