"""Any changed token or signature is refused, unless it means exactly the same."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from domain.errors import InvalidSession, InvalidSignature, SessionPending
from domain.instance import Instance
from domain.ports import Session
from domain.sync_user import FollowedDelivery
from service.auth import unverified_token
from tests.adapters.clerk.deliveries import SECRET, Headers, signed
from tests.adapters.clerk.mutations import ANY_JSON, garbled, spoilt, written
from tests.adapters.clerk.payloads import webhook_bytes
from tests.adapters.clerk.tokens import (
    CLAIMS,
    HEADER,
    NOW,
    PARTY,
    rs256,
    segment,
    session_token,
)
from tests.adapters.clerk.verifiers import verifier_of

BODY = webhook_bytes("user.created")

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Proofs:
    """A genuine token and delivery, and their verifiers."""

    key: RSAPrivateKey
    token: str
    session: Session
    runner: asyncio.Runner
    webhooks: ClerkWebhookVerifier

    def session_of(self, token: str) -> Session | None:
        """The session, or None if it is refused, from a verifier with an empty cache."""
        try:
            return self.runner.run(verifier_of(self.key).verify(token))
        except (InvalidSession, SessionPending):
            return None


@pytest.fixture(scope="module", autouse=True)
def now() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(scope="module")
def proofs(now: None, private_key: RSAPrivateKey) -> Iterator[Proofs]:
    token = session_token(private_key)
    with asyncio.Runner() as runner:
        session = runner.run(verifier_of(private_key).verify(token))
        webhooks = ClerkWebhookVerifier([SECRET], instance=Instance(None))
        yield Proofs(private_key, token, session, runner, webhooks)


def assert_same_or_refused(proofs: Proofs, token: str) -> None:
    assert proofs.session_of(token) in (None, proofs.session)


@st.composite
def resegmented(draw: st.DrawFn, token: str) -> str:
    """The token with changed segments: replaced, in another base64, or in another order."""
    segments = token.split(".")
    made = [
        st.just(segment(HEADER)),
        st.just(segment(CLAIMS)),
        spoilt(lambda: [HEADER, CLAIMS]).map(written).map(segment),
        st.binary(max_size=40).map(segment),
        st.text(max_size=20),
        st.sampled_from(segments).map(lambda one: one + "=" * (-len(one) % 4)),
        st.sampled_from(segments).map(lambda one: one[:-1] + chr(ord(one[-1]) ^ 1)),
        st.sampled_from(segments),
    ]
    index = draw(st.integers(0, 2))
    segments[index] = draw(st.one_of(made))
    return ".".join(draw(st.permutations(segments)) if draw(st.booleans()) else segments)


def unsigned_tokens(token: str) -> st.SearchStrategy[str]:
    """Nothing that Clerk has signed, or the genuine token spelt in another way."""
    spoilt_bytes = garbled(lambda: [token.encode()]).map(lambda text: text.decode("latin-1"))
    return spoilt_bytes | resegmented(token) | st.text(max_size=200)


SIGNED_CLAIMS = spoilt(lambda: [CLAIMS]) | ANY_JSON
SIGNED_HEADERS = spoilt(lambda: [HEADER]) | ANY_JSON


def assert_signed_is_a_session_or_refused(proofs: Proofs, header: Any, claims: Any) -> None:
    """Claims that Clerk would not sign, with a valid signature."""
    session = proofs.session_of(rs256(proofs.key, written(header), written(claims)))
    if session is None:
        return
    assert session.user_id.startswith("user_")
    assert session.authorized_party == PARTY
    assert session.expires_at.timestamp() > NOW - 5
    assert (session.expires_at - session.issued_at).days <= 1


AUTHORIZATIONS = st.lists(
    st.tuples(
        st.sampled_from([b"authorization", b"cookie", b"x-authorization"]),
        st.binary(max_size=60)
        | st.binary(max_size=60).map(lambda token: b"Bearer " + token)
        | garbled(lambda: [b"Bearer a.b.c"]),
    ),
    max_size=3,
)


GENUINE = signed(BODY, at=NOW)


def only(original: bytes) -> Callable[[], list[bytes]]:
    return lambda: [original]


@st.composite
def svix_headers(draw: st.DrawFn) -> Headers:
    """Headers of a delivery: some left out, doubled, renamed, reordered, or with other bytes."""
    genuine = dict(GENUINE)
    names = draw(st.lists(st.sampled_from([*genuine, b"webhook-id", b"SVIX-ID"]), max_size=8))
    values = st.binary(max_size=40) | st.sampled_from(list(genuine.values()))
    pairs = [(name, genuine.get(name) or draw(values)) for name in names]
    changed = draw(st.lists(st.integers(0, 7), max_size=2))
    return [
        (name, draw(garbled(only(value)) | values) if place in changed else value)
        for place, (name, value) in enumerate(pairs)
    ]


@st.composite
def genuine_but_for(draw: st.DrawFn) -> Headers:
    """The genuine headers, with one of them changed."""
    spoilt_name = draw(st.sampled_from([b"svix-id", b"svix-timestamp", b"svix-signature"]))
    return [
        (name, draw(garbled(only(value)))) if name == spoilt_name else (name, value)
        for name, value in GENUINE
    ]


HEADERS = svix_headers() | genuine_but_for()
TOUCHED = garbled(lambda: [BODY])


def assert_genuine_or_refused(proofs: Proofs, headers: Headers, body: bytes) -> None:
    try:
        delivery = proofs.webhooks.verify(headers, body)
    except InvalidSignature:
        return
    assert body == BODY
    assert isinstance(delivery, FollowedDelivery)
    assert delivery.svix_id == "msg_1"


def test_the_genuine_ones_pass(proofs: Proofs) -> None:
    assert proofs.session_of(proofs.token) == proofs.session
    assert isinstance(proofs.webhooks.verify(GENUINE, BODY), FollowedDelivery)
    signature = dict(GENUINE)[b"svix-signature"]
    assert base64.b64decode(signature.removeprefix(b"v1,"))
    assert json.loads(BODY)


@given(st.data())
def test_an_unsigned_token_is_refused(proofs: Proofs, data: st.DataObject) -> None:
    assert_same_or_refused(proofs, data.draw(unsigned_tokens(proofs.token)))


@given(SIGNED_CLAIMS)
def test_strange_claims_are_refused_even_signed(proofs: Proofs, claims: Any) -> None:
    assert_signed_is_a_session_or_refused(proofs, HEADER, claims)


@given(SIGNED_HEADERS)
def test_strange_headers_are_refused_even_signed(proofs: Proofs, header: Any) -> None:
    assert_signed_is_a_session_or_refused(proofs, header, CLAIMS)


@given(AUTHORIZATIONS)
def test_any_request_has_one_token_or_none(
    proofs: Proofs, headers: list[tuple[bytes, bytes]]
) -> None:
    try:
        token = unverified_token(headers)
    except InvalidSession:
        return
    assert_same_or_refused(proofs, token)


@given(HEADERS)
def test_headers_prove_the_delivery_they_were_made_for_or_nothing(
    proofs: Proofs, headers: Headers
) -> None:
    assert_genuine_or_refused(proofs, headers, BODY)


@given(TOUCHED)
def test_a_body_is_proven_as_it_was_or_not_at_all(proofs: Proofs, body: bytes) -> None:
    assert_genuine_or_refused(proofs, GENUINE, body)
