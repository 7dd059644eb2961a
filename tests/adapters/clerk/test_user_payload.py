from datetime import timedelta
from typing import Any

import pytest

from adapters.clerk.translate.json import Unreadable
from adapters.clerk.translate.user import read_user
from domain.user import EmailAddress, User
from tests.adapters.clerk.payloads import (
    ADA,
    MISSING,
    SENT_AT,
    UPDATED_MS,
    address,
    envelope,
    ms,
    reason,
    translated,
    user_fields,
)


def user_of(name: str) -> User:
    return read_user(envelope(name)["data"], observed_at=None, not_after=None)


def test_every_column_comes_from_the_user_object() -> None:
    assert user_of("user.updated") == User(
        clerk_id=ADA,  # type: ignore[arg-type]
        clerk_updated_at=ms(1760003600000),
        observed_at=ms(1760003600000),
        clerk_created_at=ms(1760000000000),
        email="ada@example.com",
        email_verified=True,
        phone_number=None,
        username="ada",
        first_name="Augusta Ada",
        last_name="Lovelace",
        image_url=envelope("user.updated")["data"]["image_url"],
        external_id="42",
        public_metadata={"plan": "pro"},
        banned=False,
        email_addresses=(EmailAddress(address="ada@example.com", verified=True, primary=True),),
        two_factor_enabled=True,
        locked=False,
        legal_accepted_at=None,
        last_sign_in_at=ms(1760000000120),
    )


class TestPrimaryAddress:
    def test_is_the_one_named_primary_and_not_the_first(self) -> None:
        data = envelope("user.updated.multi_email_primary_not_first")["data"]
        user = read_user(data, observed_at=None, not_after=None)
        assert user.email != data["email_addresses"][0]["email_address"]
        assert user.email is not None

    @pytest.mark.parametrize(
        "changes",
        [
            {"primary_email_address_id": None},
            {"primary_email_address_id": MISSING},
            {"primary_email_address_id": "idn_dangling"},
            {"email_addresses": []},
            {"email_addresses": None},
            {"email_addresses": MISSING},
            {"email_addresses": [None, 5, "x", {}]},
            {"email_addresses": [address(None)]},
        ],
    )
    def test_that_cannot_be_determined_is_none(self, changes: dict[str, Any]) -> None:
        user = translated(**changes)
        assert (user.email, user.email_verified) == (None, False)

    def test_is_found_among_ten_thousand(self) -> None:
        others = [{"id": f"idn_{number}", "email_address": "x@x"} for number in range(10_000)]
        assert translated(email_addresses=[*others, address()]).email == "ada@example.com"

    def test_list_of_another_kind_is_refused(self) -> None:
        assert reason(email_addresses={"a": 1}) == "wrong_type"

    @pytest.mark.parametrize(
        ("verification", "verified"),
        [
            ({"status": "verified"}, True),
            ({"status": "unverified"}, False),
            ({"status": "expired"}, False),
            ({"status": None}, False),
            ({}, False),
            (None, False),
            ("verified", False),
        ],
    )
    def test_is_verified_only_when_clerk_says_so(self, verification: Any, verified: bool) -> None:
        user = translated(email_addresses=[address(verification=verification)])
        assert user.email_verified is verified

    def test_of_the_phone_is_taken_likewise(self) -> None:
        data = envelope("user.created.phone_only")["data"]
        user = read_user(data, observed_at=None, not_after=None)
        assert user.phone_number == data["phone_numbers"][0]["phone_number"]
        assert user.email is None

    def test_longer_than_an_index_entry_is_refused(self) -> None:
        assert reason(email_addresses=[address("a" * 601)]) == "too_large"


class TestBanned:
    @pytest.mark.parametrize(
        ("changes", "banned"),
        [
            ({}, False),
            ({"banned": True}, True),
            ({"deprovisioned": True}, True),
            ({"banned": None, "deprovisioned": None}, False),
            ({"banned": MISSING, "deprovisioned": MISSING}, False),
            ({"locked": True}, False),
        ],
    )
    def test_is_banned_or_deprovisioned(self, changes: dict[str, Any], banned: bool) -> None:
        assert translated(**changes).banned is banned

    @pytest.mark.parametrize("value", ["true", 1, []])
    def test_of_another_kind_is_refused(self, value: Any) -> None:
        assert reason(banned=value) == "wrong_type"


class TestTimes:
    @pytest.mark.parametrize("value", [1760000000001, 1760000000999, 1420070400000])
    def test_are_exact_to_the_millisecond(self, value: int) -> None:
        assert translated(updated_at=value).clerk_updated_at == ms(value)

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (MISSING, "no_updated_at"),
            (None, "no_updated_at"),
            ("1760000000018", "updated_at_absurd"),
            (True, "updated_at_absurd"),
            (1.5, "updated_at_absurd"),
            (1760000000018.0, "updated_at_absurd"),
            ([], "updated_at_absurd"),
            (1760000000, "updated_at_absurd"),
            (0, "updated_at_absurd"),
            (-1760000000018, "updated_at_absurd"),
            (10**15, "updated_at_absurd"),
            (10**30, "updated_at_absurd"),
            (4070908800000, "updated_at_absurd"),
        ],
    )
    def test_that_cannot_be_an_update_are_refused(self, value: Any, why: str) -> None:
        assert reason(updated_at=value) == why

    def test_up_to_five_minutes_ahead_are_believed(self) -> None:
        data = user_fields()
        ahead = ms(UPDATED_MS) - timedelta(minutes=5)
        assert read_user(data, observed_at=None, not_after=ahead).clerk_updated_at == ms(UPDATED_MS)

    def test_further_ahead_are_not(self) -> None:
        ahead = ms(UPDATED_MS - 1) - timedelta(minutes=5)
        with pytest.raises(Unreadable, match="updated_at_absurd"):
            read_user(user_fields(), observed_at=None, not_after=ahead)

    def test_of_observation_is_the_one_given(self) -> None:
        user = read_user(user_fields(), observed_at=SENT_AT, not_after=None)
        assert user.observed_at == SENT_AT

    def test_of_creation_may_be_missing_or_before_clerk(self) -> None:
        assert translated(created_at=MISSING).clerk_created_at is None
        assert translated(created_at=946684800000).clerk_created_at == ms(946684800000)

    @pytest.mark.parametrize("value", ["x", 0, 1760000000, -1, 10**15, 1.5, False])
    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("created_at", "clerk_created_at"),
            ("legal_accepted_at", "legal_accepted_at"),
            ("last_sign_in_at", "last_sign_in_at"),
        ],
    )
    def test_that_take_no_part_in_the_order_are_left_out_when_absurd(
        self, value: Any, name: str, field: str
    ) -> None:
        """Users may be imported with any `created_at`: it must not cost the user."""
        assert getattr(translated(**{name: value}), field) is None


class TestEmailAddresses:
    def test_are_all_of_them_in_clerks_order(self) -> None:
        data = envelope("user.updated.multi_email_primary_not_first")["data"]
        user = read_user(data, observed_at=None, not_after=None)
        assert [one.address for one in user.email_addresses] == [
            one["email_address"] for one in data["email_addresses"]
        ]
        assert [one.address for one in user.email_addresses if one.primary] == [user.email]

    def test_without_an_address_are_left_out(self) -> None:
        assert translated(email_addresses=[None, 5, "x", {}]).email_addresses == ()


@pytest.mark.parametrize("value", [None, [], "x", 5, [{"id": ADA}]])
def test_a_user_is_an_object(value: Any) -> None:
    with pytest.raises(Unreadable, match="not_an_object"):
        read_user(value, observed_at=None, not_after=None)


@pytest.mark.parametrize(
    "value",
    [
        MISSING,
        None,
        5,
        "",
        "user_",
        "sess_1",
        "user_../../jwks",
        "user_%2e",
        "user_a\n",
        "user_" + "a" * 10_000,
        "user_é",
        ["user_a"],
    ],
)
def test_a_user_id_has_the_shape_of_one(value: Any) -> None:
    assert reason(id=value) == "no_user_id"
