import json
from datetime import timedelta
from typing import Any

import pytest

from adapters.clerk.translate.delivery import ClerkDeliveryReader, envelope_time, redacted
from adapters.clerk.translate.json import Unreadable
from domain.instance import Instance
from domain.sync_user import FollowedDelivery, UnreadableDelivery
from domain.user import DeletedUser, Source, User
from tests.adapters.clerk.payloads import (
    ADA,
    INSTANCE,
    MISSING,
    SENT_AT,
    UPDATED_MS,
    command,
    delivered,
    envelope,
    ignored,
    ms,
    poison,
    webhook_bytes,
    webhook_names,
    with_data,
)

USER_CHANGES = [
    name for name in webhook_names() if name.startswith(("user.created", "user.updated"))
]
NOT_FOLLOWED = [name for name in webhook_names() if not name.startswith("user.")]


class TestFollowedEvents:
    @pytest.mark.parametrize("name", USER_CHANGES)
    def test_of_a_user_become_a_change(self, name: str) -> None:
        change = command(webhook_bytes(name)).change
        assert isinstance(change, User)
        assert change.clerk_id == envelope(name)["data"]["id"]

    @pytest.mark.parametrize("name", ["user.deleted", "user.deleted.with_external_id"])
    def test_of_a_deletion_become_a_tombstone(self, name: str) -> None:
        body = webhook_bytes(name)
        assert command(body).change == DeletedUser(
            clerk_id=envelope(name)["data"]["id"], deleted_at=ms(envelope(name)["timestamp"])
        )

    def test_are_told_with_their_delivery(self) -> None:
        observed = command(webhook_bytes("user.created"))
        assert observed.source is Source.WEBHOOK
        assert observed.delivery is not None
        assert (observed.delivery.svix_id, observed.delivery.event_type) == (
            "msg_1",
            "user.created",
        )
        assert observed.delivery.occurred_at == ms(1760000000036)

    def test_are_seen_at_the_time_of_the_envelope(self) -> None:
        change = command(webhook_bytes("user.created")).change
        assert isinstance(change, User)
        assert change.observed_at == ms(1760000000036)

    def test_without_a_time_are_seen_at_their_update(self) -> None:
        observed = command(envelope(timestamp=MISSING))
        assert isinstance(observed.change, User)
        assert observed.change.observed_at == ms(UPDATED_MS)
        assert observed.delivery is not None
        assert observed.delivery.occurred_at == SENT_AT

    def test_of_a_deletion_without_a_time_happened_when_sent(self) -> None:
        change = command(envelope("user.deleted", timestamp=MISSING)).change
        assert isinstance(change, DeletedUser)
        assert change.deleted_at == SENT_AT

    def test_with_the_dashboards_time_in_seconds_are_read(self) -> None:
        observed = command(envelope(timestamp=1760000001))
        assert isinstance(observed.change, User)
        assert observed.change.observed_at == ms(1760000001000)

    def test_that_clerks_dashboard_sends_as_an_example_are_read(self) -> None:
        example = with_data(email_addresses=[], private_metadata=None)
        change = command({**example, "timestamp": 1760000001}).change
        assert isinstance(change, User)
        assert change.email is None


class TestWhatIsIgnored:
    @pytest.mark.parametrize("name", NOT_FOLLOWED)
    def test_are_events_we_do_not_follow(self, name: str) -> None:
        delivery = ignored(webhook_bytes(name))
        assert (delivery.reason, delivery.event_type) == (
            "event_not_followed",
            envelope(name)["type"],
        )

    @pytest.mark.parametrize("data", [None, [], 5, MISSING])
    def test_is_not_looked_into(self, data: Any) -> None:
        assert ignored(envelope(type="user.banned", data=data)).reason == "event_not_followed"
        other = ignored(envelope(instance_id="ins_other", data=data), instance_id=INSTANCE)
        assert other.reason == "other_instance"

    @pytest.mark.parametrize("name", ["user.created", "user.updated", "user.deleted"])
    def test_are_events_of_another_instance(self, name: str) -> None:
        delivery = ignored(envelope(name, instance_id="ins_other"), instance_id=INSTANCE)
        assert (delivery.reason, delivery.event_type) == ("other_instance", name)

    def test_is_not_an_event_of_ours(self) -> None:
        ours = delivered(envelope(instance_id=INSTANCE), instance_id=INSTANCE)
        assert isinstance(ours, FollowedDelivery)

    @pytest.mark.parametrize("instance_id", [MISSING, None])
    def test_is_not_an_event_of_no_instance(self, instance_id: Any) -> None:
        """It is quarantined if an instance is configured, and applied when it is replayed."""
        event = envelope(instance_id=instance_id)
        assert isinstance(delivered(event), FollowedDelivery)
        kept = delivered(event, instance_id=INSTANCE)
        assert isinstance(kept, UnreadableDelivery)
        assert kept.reason == "no_instance_id"
        reader = ClerkDeliveryReader(instance=Instance(INSTANCE))
        again = reader.read(kept.body, svix_id="msg_1", sent_at=SENT_AT)
        assert isinstance(again, FollowedDelivery)

    def test_any_instance_is_accepted_when_none_is_configured(self) -> None:
        assert isinstance(delivered(envelope(instance_id="ins_other")), FollowedDelivery)

    @pytest.mark.parametrize(
        ("event_type", "shown"),
        [
            ("a" * 10_000, "a" * 100),
            ("user.created\x00", "unprintable"),
            ("a\r\nb", "unprintable"),
            ("\x1b[31m", "unprintable"),
            ("\u202e", "unprintable"),
            ("", ""),
        ],
    )
    def test_shows_a_type_that_is_short_and_printable(self, event_type: str, shown: str) -> None:
        assert ignored(envelope(type=event_type)).event_type == shown


class TestPoison:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "not_json"),
            (b"not json", "not_json"),
            ([], "not_an_object"),
            ("x", "not_an_object"),
            (None, "not_an_object"),
            (5, "not_an_object"),
            (envelope(type=MISSING), "no_type"),
            (envelope(type=None), "no_type"),
            (envelope(type=5), "no_type"),
            (envelope(type=["user.created"]), "no_type"),
            (envelope(data=MISSING), "no_data"),
            (envelope(data=None), "no_data"),
            (envelope(data=[]), "not_an_object"),
            (with_data(id=MISSING), "no_user_id"),
            (with_data("user.deleted", id=MISSING), "no_user_id"),
            (with_data("user.deleted", id="user_../x"), "no_user_id"),
            (envelope("user.deleted", data="x"), "not_an_object"),
            (with_data(first_name="a\x00"), "nul_character"),
            (with_data(updated_at=MISSING), "no_updated_at"),
            (with_data(updated_at=4070908800000), "updated_at_absurd"),
            (envelope(timestamp="x"), "timestamp_absurd"),
            (envelope(timestamp=True), "timestamp_absurd"),
            (envelope("user.deleted", timestamp=1.5), "timestamp_absurd"),
        ],
    )
    def test_is_told_with_our_own_word(self, body: Any, reason: str) -> None:
        assert poison(body).reason == reason

    def test_keeps_its_bytes(self) -> None:
        assert poison(b'{"type": ').body == b'{"type": '

    def test_keeps_what_could_be_read_so_that_erasure_finds_it(self) -> None:
        delivery = poison(with_data(first_name="a\x00"))
        assert (delivery.event_type, delivery.clerk_id) == ("user.created", ADA)
        assert delivery.occurred_at == ms(1760000000036)

    @pytest.mark.parametrize(
        "body",
        [
            webhook_bytes("user.created").replace(b'"Ada"', b'"\\ud800"'),
            webhook_bytes("user.created")[:-200],
            webhook_bytes("user.created").replace(b'"Ada"', b"NaN"),
        ],
    )
    def test_that_is_not_json_is_still_found_by_its_user(self, body: bytes) -> None:
        delivery = poison(body)
        assert (delivery.reason, delivery.clerk_id) == ("not_json", ADA)

    def test_that_names_two_users_is_nobodys(self) -> None:
        assert poison(b'[{"id":"user_a"},{"id":"user_b"}, oops').clerk_id is None

    def test_tells_no_event_type_that_is_not_one_of_ours(self) -> None:
        assert poison(envelope(type=["user.created"])).event_type is None

    def test_too_deep_to_be_kept_is_told(self) -> None:
        deep = json.loads("[" * 300 + "]" * 300)
        assert poison(with_data(some_new_field=deep)).reason == "not_storable"

    def test_with_a_time_well_after_it_was_sent_is_not_believed(self) -> None:
        sent = ms(1760000000000)
        too_far = 1760000000000 + 5 * 60 * 1000 + 1
        body = with_data(updated_at=1760000000000)
        assert poison({**body, "timestamp": too_far}, sent_at=sent).reason == "timestamp_absurd"
        assert command({**body, "timestamp": too_far - 1}, sent_at=sent)

    def test_updated_well_after_its_own_envelope_is_not_believed(self) -> None:
        ahead = 1760000000036 + 5 * 60 * 1000
        assert command(with_data(updated_at=ahead))
        assert poison(with_data(updated_at=ahead + 1)).reason == "updated_at_absurd"

    def test_without_a_time_is_held_against_when_it_was_sent(self) -> None:
        body = envelope(timestamp=MISSING)
        sent = ms(UPDATED_MS) - timedelta(minutes=5)
        assert command(body, sent_at=sent)
        late = poison(body, sent_at=sent - timedelta(milliseconds=1))
        assert late.reason == "updated_at_absurd"


class TestEnvelopeTime:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (1760000000036, ms(1760000000036)),
            (1716883200, ms(1716883200000)),
            (1420070400, ms(1420070400000)),
        ],
    )
    def test_is_in_milliseconds_or_seconds(self, value: Any, expected: Any) -> None:
        assert envelope_time(value) == expected

    @pytest.mark.parametrize(
        "value", [0, -1, 1420070399, 4102444800, 4102444800000, 10**20, 1.5, True, "1", [], {}]
    )
    def test_is_refused_when_absurd(self, value: Any) -> None:
        with pytest.raises(Unreadable, match="timestamp_absurd"):
            envelope_time(value)


class TestJournalBody:
    def test_has_neither_client_address_nor_private_or_unsafe_metadata(self) -> None:
        whole = with_data(private_metadata={"a": "canary"}, unsafe_metadata={"b": "canary"})
        delivery = command(whole).delivery
        assert delivery is not None
        kept = json.loads(delivery.body)
        assert set(whole) - set(kept) == {"event_attributes"}
        assert set(whole["data"]) - set(kept["data"]) == {"private_metadata", "unsafe_metadata"}
        assert b"canary" not in delivery.body
        assert b"203.0.113.10" not in delivery.body

    def test_can_be_delivered_again(self) -> None:
        first = command(webhook_bytes("user.updated"))
        assert first.delivery is not None
        assert command(first.delivery.body) == first

    def test_redaction_leaves_the_envelope_alone(self) -> None:
        whole = envelope()
        redacted(whole)
        assert whole == envelope()

    def test_redaction_takes_an_envelope_without_data(self) -> None:
        assert redacted({"type": "x", "data": None}) == {"type": "x", "data": None}

    def test_private_metadata_cannot_poison_a_delivery(self) -> None:
        assert command(with_data(private_metadata={"a": "\x00"}))
