import base64
import json
from collections.abc import Iterator

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from domain.errors import InvalidSignature
from domain.instance import Instance
from domain.sync_user import FollowedDelivery, IgnoredDelivery, UnreadableDelivery
from domain.user import Source
from tests.adapters.clerk.deliveries import (
    OTHER_SECRET,
    SECRET,
    Headers,
    headers,
    replaced,
    signature,
    signed,
)
from tests.adapters.clerk.payloads import DATA, INSTANCE, envelope, ms, webhook_bytes

NOW = 1760000000
BODY = webhook_bytes("user.created")
VECTORS = json.loads((DATA / "signatures.json").read_text())
GOOD = signature(BODY, at=NOW)
DECOY = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="

verifier = ClerkWebhookVerifier([SECRET], instance=Instance(None))


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def refused(unverified_headers: Headers, body: bytes = BODY) -> bool:
    with pytest.raises(InvalidSignature):
        verifier.verify(unverified_headers, body)
    return True


def padded(length: int) -> str:
    """A good signature, behind one of another kind that fills up the rest."""
    return f"v1a,{'A' * (length - len(GOOD) - len('v1a, '))} {GOOD}"


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


class TestSignatures:
    @pytest.mark.parametrize(
        "signatures",
        [
            "garbage",
            GOOD.removeprefix("v1,"),
            f"{GOOD},",
            f"v1,,{GOOD}",
            "v1,",
            "v1",
            ",",
            " ",
            "v1,abc",
            "v1,é",
            "v1,====",
            "v1," + "A" * 44,
            f"v2,{GOOD.removeprefix('v1,')}",
            f"v1a,{GOOD.removeprefix('v1,')}",
            f"V1,{GOOD.removeprefix('v1,')}",
            f"garbage {GOOD}",
            f"  {GOOD}",
            " ".join([DECOY] * 10 + [GOOD]),
            "v1," + "A" * 3_000 + f" {GOOD}",
            "\xff",
        ],
    )
    def test_that_prove_nothing_are_refused(self, signatures: str) -> None:
        assert refused(headers("msg_1", NOW, signatures))

    @pytest.mark.parametrize(
        "signatures",
        [
            f"{DECOY} {GOOD}",
            f"{GOOD} {DECOY}",
            f"v1a,abc v2,abc {GOOD}",
            " ".join([DECOY] * 9 + [GOOD]),
        ],
    )
    def test_may_have_others_beside_them(self, signatures: str) -> None:
        assert verifier.verify(headers("msg_1", NOW, signatures), BODY)

    def test_may_be_two_kibibytes_long_in_all(self) -> None:
        assert len(padded(2048)) == 2048
        assert verifier.verify(headers("msg_1", NOW, padded(2048)), BODY)

    def test_longer_than_that_are_refused(self) -> None:
        assert refused(headers("msg_1", NOW, padded(2049)))

    def test_made_with_an_asymmetric_key_prove_nothing(self, now: time_machine.Traveller) -> None:
        vector = VECTORS["official_asymmetric_vector"]
        now.move_to(int(vector["svix-timestamp"]))
        proof = headers(vector["svix-id"], vector["svix-timestamp"], vector["svix-signature"])
        assert refused(proof, vector["payload"].encode())

    @settings(max_examples=50)
    @given(st.text(st.characters(max_codepoint=255), max_size=200))
    def test_of_any_shape_raise_nothing_else(self, signatures: str) -> None:
        with pytest.raises(InvalidSignature):
            verifier.verify(headers("msg_1", NOW, signatures), BODY)


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


class TestSecrets:
    @pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
    def test_any_of_them_proves(self, secret: str) -> None:
        both = ClerkWebhookVerifier([SECRET, OTHER_SECRET], instance=Instance(None))
        assert both.verify(signed(BODY, at=NOW, secret=secret), BODY)

    @pytest.mark.parametrize(
        "secret",
        [
            SECRET,
            SECRET.removeprefix("whsec_"),
            "whsec_" + base64.b64encode(b"k" * 25).decode(),
            "whsec_" + base64.b64encode(b"k" * 25).decode().rstrip("="),
            "whsec_" + base64.b64encode(b"k" * 64).decode(),
            "whsec_" + base64.b64encode(b"\xff" * 75).decode(),
            "whsec_" + "A" * 31 + "x",
        ],
    )
    def test_of_svix_shape_are_taken(self, secret: str) -> None:
        taken = ClerkWebhookVerifier([secret], instance=Instance(None))
        assert taken.verify(signed(BODY, at=NOW, secret=secret), BODY)

    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "whsec_",
            "whsec_a",
            "whsec_!!!!",
            "whsec_" + base64.b64encode(b"k" * 16).decode(),
            "whsec_" + base64.b64encode(b"k" * 23).decode(),
            "whsec_" + base64.b64encode(b"k" * 80).decode(),
            "whsec_" + "A" * 100 + "=",
            f" {SECRET}",
            f"{SECRET}\n",
            SECRET.replace("8", "-"),
            SECRET.replace("8", "_"),
            SECRET[:20] + " " + SECRET[20:],
            SECRET[:20] + "==" + SECRET[20:],
            SECRET + "a",
            "whsec_" + base64.b64encode(b"k" * 26).decode() + "AAAA",
            f"{SECRET},{OTHER_SECRET}",
            "sk_test_" + "a" * 40,
            "pk_test_Y2xlcmsuaW5zcGlyZWQucHVtYS03NC5sY2wuZGV2JA",
        ],
    )
    def test_that_could_never_work_are_refused_at_once(self, secret: str) -> None:
        with pytest.raises(ValueError, match="webhook signing secret") as caught:
            ClerkWebhookVerifier([SECRET, secret], instance=Instance(None))
        assert secret in ("", "whsec_") or secret not in str(caught.value)

    def test_without_any_every_delivery_is_refused(self) -> None:
        unsigned = ClerkWebhookVerifier([], instance=Instance(None))
        with pytest.raises(InvalidSignature):
            unsigned.verify(signed(BODY, at=NOW), BODY)
