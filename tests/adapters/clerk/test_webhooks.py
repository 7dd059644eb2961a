"""A webhook becomes a delivery only if its headers, time and body are genuine."""

import json

import pytest
import time_machine

from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from domain.instance import Instance
from domain.sync_user import FollowedDelivery, IgnoredDelivery, UnreadableDelivery
from domain.user import Source
from tests.adapters.clerk.deliveries import (
    BODY,
    OTHER_SECRET,
    SECRET,
    VECTORS,
    headers,
    refused,
    replaced,
    signed,
    verifier,
)
from tests.adapters.clerk.payloads import DATA, INSTANCE, envelope, ms, webhook_bytes
from tests.adapters.clerk.tokens import NOW

pytestmark = pytest.mark.usefixtures("now")


class TestGenuineDelivery:
    def test_becomes_its_command(self) -> None:
        delivery = verifier.verify(signed(BODY, at=NOW), BODY)
        assert isinstance(delivery, FollowedDelivery)
        assert delivery.command.source is Source.WEBHOOK
        assert delivery.svix_id == "msg_1"

    def test_again_within_five_minutes_is_the_same(self) -> None:
        once = verifier.verify(signed(BODY, at=NOW), BODY)
        assert verifier.verify(signed(BODY, at=NOW), BODY) == once

    @pytest.mark.parametrize("row", VECTORS["composed"]["rows"], ids=lambda row: row["file"])
    def test_of_every_recorded_kind_is_proven(self, row: dict[str, str]) -> None:
        body = (DATA / "webhooks" / row["file"]).read_bytes()
        proof = headers(row["svix-id"], row["svix-timestamp"], row["svix-signature"])
        assert verifier.verify(proof, body)

    @pytest.mark.parametrize("vector", VECTORS["official_vectors"], ids=lambda row: row["svix-id"])
    def test_of_svix_own_vectors_is_proven(
        self, vector: dict[str, str], now: time_machine.Traveller
    ) -> None:
        now.move_to(int(vector["svix-timestamp"]))
        proof = headers(vector["svix-id"], vector["svix-timestamp"], vector["svix-signature"])
        svix = ClerkWebhookVerifier([vector["secret"]], instance=Instance(None))
        assert isinstance(svix.verify(proof, vector["payload"].encode()), UnreadableDelivery)

    def test_of_another_instance_is_ignored(self) -> None:
        body = json.dumps(envelope(instance_id="ins_other")).encode()
        ours = ClerkWebhookVerifier([SECRET], instance=Instance(INSTANCE))
        delivery = ours.verify(signed(body, at=NOW), body)
        assert isinstance(delivery, IgnoredDelivery)
        assert delivery.reason == "other_instance"

    def test_without_a_time_of_its_own_has_the_time_it_was_sent(self) -> None:
        body = json.dumps(envelope("user.deleted", timestamp=None)).encode()
        delivery = verifier.verify(signed(body, at=NOW - 200), body)
        assert isinstance(delivery, FollowedDelivery)
        assert delivery.record.occurred_at == ms((NOW - 200) * 1000)

    @pytest.mark.parametrize(
        "body", [b"", b"not json", b"[]", b"null", b'"x"', b"5", b'{"type":"user.created"}']
    )
    def test_that_says_nothing_is_quarantined(self, body: bytes) -> None:
        delivery = verifier.verify(signed(body, at=NOW), body)
        assert isinstance(delivery, UnreadableDelivery)
        assert (delivery.svix_id, delivery.body) == ("msg_1", body)


class TestTimestamp:
    @pytest.mark.parametrize("offset", [-299, 0, 299])
    def test_within_five_minutes_passes(self, offset: int) -> None:
        body = webhook_bytes("user.deleted")
        assert verifier.verify(signed(body, at=NOW + offset), body)

    @pytest.mark.parametrize("offset", [-301, 301, -3600, 3600])
    def test_beyond_five_minutes_is_refused(self, offset: int) -> None:
        assert refused(signed(BODY, at=NOW + offset))

    @pytest.mark.parametrize(
        "timestamp",
        [
            "",
            "hello",
            "nan",
            "inf",
            "1e400",
            f"{NOW}.0",
            f"{NOW}.5",
            "1.76e9",
            f"+{NOW}",
            f" {NOW}",
            f"{NOW} ",
            f"{NOW}\n",
            "1_760_000_000",
            f"-{NOW}",
            f"{NOW}000",
            "176000000",
            "9" * 100_000,
        ],
    )
    def test_is_ten_digits(self, timestamp: str) -> None:
        proof = replaced(signed(BODY, at=NOW), b"svix-timestamp", timestamp.encode())
        assert refused(proof)

    def test_is_in_ascii_digits(self) -> None:
        arabic = "".join(chr(0x660 + int(digit)) for digit in str(NOW)).encode()
        assert refused(replaced(signed(BODY, at=NOW), b"svix-timestamp", arabic))


class TestHeaders:
    @pytest.mark.parametrize("name", [b"svix-id", b"svix-timestamp", b"svix-signature"])
    def test_are_needed(self, name: bytes) -> None:
        assert refused(replaced(signed(BODY, at=NOW), name))
        assert refused(replaced(signed(BODY, at=NOW), name, b""))

    @pytest.mark.parametrize("name", [b"svix-id", b"svix-timestamp", b"svix-signature"])
    def test_come_once_even_when_they_agree(self, name: bytes) -> None:
        proof = signed(BODY, at=NOW)
        value = dict(proof)[name]
        assert refused(replaced(proof, name, value, value))

    def test_with_a_second_id_are_refused_in_either_order(self) -> None:
        proof = signed(BODY, at=NOW)
        assert refused(replaced(proof, b"svix-id", b"msg_fake", b"msg_1"))
        assert refused(replaced(proof, b"svix-id", b"msg_1", b"msg_fake"))

    def test_with_a_second_id_in_place_of_another_are_refused(self) -> None:
        proof = replaced(signed(BODY, at=NOW), b"svix-id", b"msg_1", b"msg_1")
        assert refused(replaced(proof, b"svix-signature"))
        assert refused(replaced(proof, b"svix-timestamp"))

    def test_of_the_other_family_count_for_nothing(self) -> None:
        decoys = [
            (b"webhook-id", b"msg_fake"),
            (b"webhook-timestamp", b"1"),
            (b"webhook-signature", b"v1,x"),
        ]
        delivery = verifier.verify([*decoys, *signed(BODY, at=NOW), *decoys], BODY)
        assert isinstance(delivery, FollowedDelivery)

    def test_of_the_other_family_do_not_stand_in(self) -> None:
        renamed = [
            (name.replace(b"svix-", b"webhook-"), value) for name, value in signed(BODY, at=NOW)
        ]
        assert refused(renamed)

    @pytest.mark.parametrize(
        "svix_id",
        [
            "msg.1",
            f"m.{NOW}",
            "msg 1",
            "msg\t1",
            "msg/1",
            "msg:1",
            "a" * 129,
            "msg\xe9",
            "a" * 10_000,
        ],
    )
    def test_have_an_id_of_plain_characters(self, svix_id: str) -> None:
        assert refused(signed(BODY, svix_id=svix_id, at=NOW))

    @pytest.mark.parametrize("svix_id", ["a", "-", "_", "AZ-az_09", "a" * 128])
    def test_have_an_id_of_1_to_128_characters(self, svix_id: str) -> None:
        assert verifier.verify(signed(BODY, svix_id=svix_id, at=NOW), BODY)

    def test_have_an_id_without_a_line_end(self) -> None:
        assert refused(replaced(signed(BODY, at=NOW), b"svix-id", b"msg_1\n"))


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            BODY.replace(b"Ada", b"Eve", 1),
            BODY + b"\n",
            b"\xef\xbb\xbf" + BODY,
            json.dumps(json.loads(BODY)).encode(),
            b"",
            b"\xff\xfe",
        ],
    )
    def test_that_was_touched_is_refused(self, body: bytes) -> None:
        assert refused(signed(BODY, at=NOW), body)

    def test_of_another_delivery_is_refused(self) -> None:
        assert refused(signed(BODY, at=NOW), webhook_bytes("user.updated"))

    def test_signed_by_a_stranger_is_refused(self) -> None:
        assert refused(signed(BODY, at=NOW, secret=OTHER_SECRET))
