import gzip
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.api.client import clerk_client
from adapters.clerk.http import HttpClient
from adapters.clerk.network import read_authorities, transport_to
from domain.errors import IdentityProviderUnavailable
from domain.user import UserId
from tests.adapters.clerk.certificates import untrusted_server
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply, http_date
from tests.adapters.clerk.providers import (
    BAD_KEY,
    BROKEN,
    DOWN,
    FOUND,
    IMPATIENT,
    LIMITED,
    LIMITS,
    NOT_FOUND,
    USER_ID,
    Reports,
    asking_to_wait,
    provider,
)
from tests.adapters.clerk.proxies import Says, hangs_up, running_proxy, speaks_http
from tests.e2e.processes import reserved_port


async def unavailable(client: HttpClient) -> IdentityProviderUnavailable:
    with pytest.raises(IdentityProviderUnavailable) as caught:
        await provider(client).fetch(USER_ID)
    return caught.value


class TestRetries:
    @pytest.mark.parametrize(
        "trouble", [BROKEN, DOWN, LIMITED, Reply(status=502), Reply(status=504)]
    )
    async def test_bring_the_user_when_trouble_passes(
        self, clerk: HttpServer, client: HttpClient, trouble: Reply
    ) -> None:
        quick = replace(trouble, headers={"Retry-After": "0"})
        clerk.replies(quick, then=FOUND)
        assert await provider(client).fetch(USER_ID)
        assert len(clerk.asked) == 2

    @pytest.mark.parametrize(
        "trouble", [BROKEN, DOWN, Reply(silent=True), Reply(body=b"x", length=9)]
    )
    async def test_end_after_three_tries(
        self, clerk: HttpServer, client: HttpClient, trouble: Reply
    ) -> None:
        clerk.reply = trouble
        limits = IMPATIENT if trouble.silent else LIMITS
        with pytest.raises(IdentityProviderUnavailable):
            await provider(client, limits=limits).fetch(USER_ID)
        assert len(clerk.asked) == 3

    @pytest.mark.parametrize(
        "answer", [BAD_KEY, NOT_FOUND, Reply(status=400), Reply(status=422), Reply(body=b"x")]
    )
    async def test_are_not_made_when_another_answer_is_not_to_be_expected(
        self, clerk: HttpServer, client: HttpClient, answer: Reply
    ) -> None:
        clerk.reply = answer
        with suppress(IdentityProviderUnavailable):
            await provider(client).fetch(USER_ID)
        assert len(clerk.asked) == 1

    async def test_follow_a_refused_connection(self) -> None:
        reports = Reports()
        with reserved_port() as port:
            async with clerk_client("sk_test_x", f"http://127.0.0.1:{port.number}") as client:
                with pytest.raises(IdentityProviderUnavailable):
                    await provider(client, reports=reports).fetch(USER_ID)
        assert reports.attempts == [("fetch", "refused")] * 3

    @pytest.mark.parametrize("library", ["aiohttp", "httpx"])
    async def test_an_untrusted_certificate_is_refused_and_not_tried_again(
        self, private_key: RSAPrivateKey, tmp_path: Path, library: str
    ) -> None:
        transport = None if library == "aiohttp" else httpx.AsyncHTTPTransport(trust_env=False)
        reports = Reports()
        async with (
            untrusted_server(private_key, tmp_path) as server,
            clerk_client("sk_test_x", server.url, transport) as client,
        ):
            with pytest.raises(IdentityProviderUnavailable, match="see SSL_CERT_FILE"):
                await provider(client, reports=reports).fetch(USER_ID)
        assert reports.attempts == [("fetch", "untrusted")]
        assert server.heard == b""

    async def test_follow_an_unknown_host(self) -> None:
        async with clerk_client("sk_test_x", "http://clerk.invalid") as client:
            await unavailable(client)

    @pytest.mark.parametrize("says", [hangs_up, speaks_http])
    async def test_follow_a_proxy_that_does_not_speak_socks(self, says: Says) -> None:
        reports = Reports()
        async with running_proxy(says) as proxy:
            transport = transport_to(read_authorities(None, None), f"socks5://{proxy.at}")
            async with clerk_client("sk_test_x", "https://clerk.invalid", transport) as client:
                with pytest.raises(IdentityProviderUnavailable):
                    await provider(client, reports=reports).fetch(USER_ID)
        assert reports.attempts == [("fetch", "error")] * 3


class TestRetryAfter:
    async def test_that_fits_is_waited_for(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.replies(asking_to_wait("1"), then=FOUND)
        started = time.monotonic()
        assert await provider(client).fetch(USER_ID)
        assert time.monotonic() - started >= 1.0

    async def test_that_is_a_date_is_waited_for(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        now = datetime.now(UTC)
        headers = {"Date": http_date(now), "Retry-After": http_date(now + timedelta(seconds=1))}
        clerk.replies(replace(LIMITED, headers=headers), then=FOUND)
        started = time.monotonic()
        assert await provider(client).fetch(USER_ID)
        assert time.monotonic() - started >= 1.0

    async def test_that_does_not_fit_ends_it_at_once_and_is_passed_on(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = asking_to_wait("86400")
        started = time.monotonic()
        assert (await unavailable(client)).retry_after == 86_400
        assert time.monotonic() - started < 4
        assert len(clerk.asked) == 1

    async def test_that_makes_no_sense_is_a_second(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.replies(asking_to_wait("soon"), then=FOUND)
        assert await provider(client).fetch(USER_ID)
        assert len(clerk.asked) == 2

    async def test_holds_for_everybody(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.replies(asking_to_wait("30"), then=FOUND)
        users = provider(client, clock=Clock())
        for user_id in (USER_ID, UserId("user_another")):
            with pytest.raises(IdentityProviderUnavailable) as caught:
                await users.fetch(user_id)
            assert caught.value.retry_after == 30
        assert len(clerk.asked) == 1


class TestSize:
    async def test_beyond_the_limit_is_not_read_to_the_end(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = Reply(body=b" " * 100_000_000)
        await unavailable(client)
        assert len(clerk.asked) == 1
        assert clerk.sent < 20_000_000

    async def test_up_to_the_limit_is_read(self, clerk: HttpServer, client: HttpClient) -> None:
        padding = b" " * (LIMITS.max_bytes - len(FOUND.body))
        clerk.reply = Reply(body=FOUND.body + padding)
        assert await provider(client).fetch(USER_ID)
        clerk.reply = Reply(body=FOUND.body + padding + b" ")
        await unavailable(client)

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
    async def test_of_what_is_compressed_is_never_found_out(
        self, clerk: HttpServer, client: HttpClient, encoding: str
    ) -> None:
        bomb = gzip.compress(b" " * 10_000_000)
        clerk.reply = Reply(body=bomb, headers={"Content-Encoding": encoding})
        await unavailable(client)


class TestRedirect:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_is_not_followed(
        self, clerk: HttpServer, client: HttpClient, status: int
    ) -> None:
        async with HttpServer().running() as elsewhere:
            elsewhere.reply = FOUND
            location = f"{elsewhere.url}/v1/users/{USER_ID}"
            clerk.reply = Reply(status=status, headers={"Location": location})
            await unavailable(client)
            assert elsewhere.asked == []
