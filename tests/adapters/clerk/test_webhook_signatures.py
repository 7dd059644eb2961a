"""A delivery's signatures and the secrets that prove them."""

import base64

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from domain.errors import InvalidSignature
from domain.instance import Instance
from tests.adapters.clerk.deliveries import (
    BODY,
    OTHER_SECRET,
    SECRET,
    VECTORS,
    headers,
    refused,
    signature,
    signed,
    verifier,
)
from tests.adapters.clerk.tokens import NOW

pytestmark = pytest.mark.usefixtures("now")

GOOD = signature(BODY, at=NOW)
DECOY = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


def padded(length: int) -> str:
    """A good signature, behind one of another kind that fills up the rest."""
    return f"v1a,{'A' * (length - len(GOOD) - len('v1a, '))} {GOOD}"


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
