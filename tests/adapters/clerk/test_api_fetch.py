import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.clerk.api.client import clerk_client, default_rate
from adapters.clerk.api.users import ClerkIdentityProvider
from adapters.clerk.http import HttpClient
from adapters.clerk.translate.user import read_user
from domain.errors import IdentityProviderUnavailable
from domain.user import User, UserId
from tests.adapters.clerk.http_server import HttpServer, Reply, http_date, json_reply
from tests.adapters.clerk.payloads import MISSING, UPDATED_MS, api_bytes, changed, ms
from tests.adapters.clerk.providers import (
    BAD_KEY,
    DOWN,
    FOUND,
    IMPATIENT,
    LIMITS,
    NOT_FOUND,
    USER_ID,
    Reports,
    provider,
)

USER = json.loads(api_bytes("get_user_200"))


async def fetched(clerk: HttpServer, client: HttpClient, reply: Reply) -> User | None:
    clerk.reply = reply
    return await provider(client).fetch(USER_ID)


async def unavailable(clerk: HttpServer, client: HttpClient, reply: Reply) -> bool:
    with pytest.raises(IdentityProviderUnavailable):
        await fetched(clerk, client, reply)
    return True


async def test_a_user_is_translated_as_in_a_webhook(clerk: HttpServer, client: HttpClient) -> None:
    user = await fetched(clerk, client, FOUND)
    assert user is not None
    assert user.digest == read_user(USER, observed_at=None, not_after=None).digest
    assert user.clerk_updated_at == ms(USER["updated_at"])


async def test_a_user_clerk_does_not_know_is_none(clerk: HttpServer, client: HttpClient) -> None:
    assert await fetched(clerk, client, NOT_FOUND) is None


async def test_the_request_is_clerks(clerk: HttpServer, client: HttpClient) -> None:
    await fetched(clerk, client, FOUND)
    [asked] = clerk.asked
    assert asked.path == f"/v1/users/{USER_ID}"
    assert asked.headers["authorization"] == "Bearer sk_test_secret"
    assert asked.headers["clerk-api-version"] == "2026-05-12"
    assert asked.headers["user-agent"] == "clerk-user-sync"
    assert asked.headers["accept-encoding"] == "identity"
    assert "cookie" not in asked.headers


async def test_an_api_address_may_end_in_a_slash(clerk: HttpServer) -> None:
    clerk.reply = FOUND
    async with clerk_client("sk_test_secret", f"{clerk.url}/") as client:
        await provider(client).fetch(USER_ID)
    assert clerk.asked[0].path == f"/v1/users/{USER_ID}"


@pytest.mark.parametrize(
    "user_id", ["", "user_x/../../jwks", "user_%2e", "user_a?b", "user_a\n", "org_a"]
)
async def test_an_invalid_user_id_never_reaches_a_path(
    clerk: HttpServer, client: HttpClient, user_id: str
) -> None:
    with pytest.raises(ValueError, match="not a Clerk user id"):
        await provider(client).fetch(UserId(user_id))
    assert clerk.asked == []


class TestObservation:
    async def test_is_as_old_as_the_answer_less_the_time_it_took(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        date = datetime.now(UTC).replace(microsecond=0)
        reply = Reply(body=FOUND.body, after=0.1, headers={"Date": http_date(date)})
        began = time.monotonic()
        user = await fetched(clerk, client, reply)
        longest = timedelta(seconds=time.monotonic() - began, milliseconds=1)
        assert user is not None
        assert date - longest <= user.observed_at <= date - timedelta(seconds=0.1)
        assert user.observed_at.microsecond % 1000 == 0

    async def test_is_never_before_the_users_own_update(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        reply = Reply(body=FOUND.body, headers={"Date": http_date(ms(USER["updated_at"] - 1000))})
        user = await fetched(clerk, client, reply)
        assert user is not None
        assert user.observed_at == user.clerk_updated_at

    @pytest.mark.parametrize("date", ["", "yesterday"])
    async def test_without_a_date_is_as_old_as_the_update(
        self, clerk: HttpServer, client: HttpClient, date: str
    ) -> None:
        user = await fetched(clerk, client, Reply(body=FOUND.body, headers={"Date": date}))
        assert user is not None
        assert user.observed_at == user.clerk_updated_at

    @pytest.mark.parametrize("date", [http_date(ms(UPDATED_MS)), ""])
    async def test_of_an_update_in_the_future_is_not_believed(
        self, clerk: HttpServer, client: HttpClient, date: str
    ) -> None:
        ahead = changed(USER, updated_at=4070908800000)
        assert await unavailable(clerk, client, json_reply(ahead, headers={"Date": date}))


class TestAnswer:
    @pytest.mark.parametrize(
        "reply",
        [
            Reply(body=b"<html>hello</html>", headers={"Content-Type": "text/html"}),
            Reply(body=b""),
            Reply(body=FOUND.body[:-50]),
            json_reply([]),
            json_reply([USER]),
            json_reply(None),
            json_reply("x"),
            json_reply({}),
            json_reply(changed(USER, id="user_somebodyElse")),
            json_reply(changed(USER, id=MISSING)),
            json_reply(changed(USER, id=None)),
            json_reply(changed(USER, updated_at=MISSING)),
            json_reply(changed(USER, first_name="a\x00")),
            json_reply({"data": USER}),
            json_reply(USER, status=201),
            json_reply(USER, status=206),
            Reply(status=204),
            Reply(status=400, body=NOT_FOUND.body),
            Reply(status=418),
        ],
    )
    async def test_of_another_user_is_unavailable(
        self, clerk: HttpServer, client: HttpClient, reply: Reply
    ) -> None:
        assert await unavailable(clerk, client, reply)
        assert len(clerk.asked) == 1

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(status=404),
            Reply(status=404, body=b"<html>404</html>"),
            Reply(status=404, body=NOT_FOUND.body[:-10]),
            json_reply({}, status=404),
            json_reply([], status=404),
            json_reply({"errors": []}, status=404),
            json_reply({"errors": "resource_not_found"}, status=404),
            json_reply({"errors": ["resource_not_found"]}, status=404),
            json_reply({"errors": [{"code": "other"}]}, status=404),
        ],
    )
    async def test_404_that_is_not_clerks_own_says_nothing_about_the_user(
        self, clerk: HttpServer, client: HttpClient, reply: Reply
    ) -> None:
        assert await unavailable(clerk, client, reply)

    async def test_with_fields_we_do_not_know_is_read(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        assert await fetched(clerk, client, json_reply({**USER, "new": {"a": [1]}}))

    async def test_with_little_more_than_an_id_is_read(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        little = {"id": USER_ID, "updated_at": USER["updated_at"]}
        assert await fetched(clerk, client, json_reply(little))


class TestCount:
    async def test_is_clerks_total(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.reply = Reply(body=api_bytes("users_count_200"))
        assert await provider(client).count() == 2
        assert clerk.asked[0].path == "/v1/users/count"

    @pytest.mark.parametrize(
        "value", [{}, [], 5, {"total_count": None}, {"total_count": True}, {"total_count": 1.5}]
    )
    async def test_that_is_not_a_number_is_unavailable(
        self, clerk: HttpServer, client: HttpClient, value: Any
    ) -> None:
        clerk.reply = json_reply(value)
        with pytest.raises(IdentityProviderUnavailable):
            await provider(client).count()

    async def test_is_not_a_404(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.reply = NOT_FOUND
        with pytest.raises(IdentityProviderUnavailable):
            await provider(client).count()


class TestReports:
    @pytest.mark.parametrize(
        ("reply", "statuses"),
        [
            (FOUND, ["200"]),
            (NOT_FOUND, ["404"]),
            (BAD_KEY, ["401"]),
            (DOWN, ["503", "503", "503"]),
            (Reply(status=418), ["4xx"]),
            (Reply(status=302), ["3xx"]),
            (Reply(silent=True), ["timeout", "timeout", "timeout"]),
            (Reply(body=b"x", headers={"Content-Encoding": "gzip"}), ["unusable"]),
            (Reply(body=b"x", length=5), ["error", "error", "error"]),
        ],
    )
    async def test_hear_of_every_attempt_in_one_word(
        self, clerk: HttpServer, client: HttpClient, reply: Reply, statuses: list[str]
    ) -> None:
        clerk.reply = reply
        reports = Reports()
        limits = IMPATIENT if reply.silent else LIMITS
        with suppress(IdentityProviderUnavailable):
            await provider(client, limits=limits, reports=reports).fetch(USER_ID)
        assert reports.attempts == [("fetch", status) for status in statuses]

    async def test_are_not_required(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.reply = FOUND
        assert await ClerkIdentityProvider(client).fetch(USER_ID)


@pytest.mark.parametrize(
    ("secret_key", "rate"), [("sk_live_x", 900), ("sk_test_x", 90), ("anything", 90)]
)
def test_the_rate_follows_from_the_key(secret_key: str, rate: int) -> None:
    assert default_rate(secret_key) == rate
