"""A service whose output is watched, and all that may happen to a person whose every field is a canary."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import httpx

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.adapters.clerk.payloads import ADA, with_data
from tests.adapters.clerk.tokens import rs256
from tests.people import new_id
from tests.running import WEBHOOKS, Service, bearer, running_service, svix_headers

PERSON: dict[str, Any] = {
    "username": "canary_username",
    "first_name": "canary-first",
    "last_name": "canary-last",
    "external_id": "canary-external",
    "image_url": "https://img.example.com/canary-image",
    "public_metadata": {"canary-public-key": "canary-public"},
    "private_metadata": {"canary-private-key": "canary-private"},
    "unsafe_metadata": {"canary-unsafe-key": "canary-unsafe"},
    "email_addresses": [
        {"id": "idn_1", "email_address": "canary@mail.example", "verification": None},
        {"id": "idn_2", "email_address": "canary-other@mail.example", "verification": None},
    ],
    "primary_email_address_id": "idn_1",
    "phone_numbers": [{"id": "idn_3", "phone_number": "+15550canary"}],
    "primary_phone_number_id": "idn_3",
    "web3_wallets": [{"id": "idn_4", "web3_wallet": "0xcanary"}],
    "external_accounts": [
        {"id": "eac_1", "provider": "oauth_canary", "email_address": "canary@oauth.example"}
    ],
    "saml_accounts": [{"id": "samlacc_1", "email_address": "canary@saml.example"}],
    "passkeys": [{"id": "idn_5", "name": "canary-passkey"}],
    "profile_image_url": "https://img.example.com/canary-profile",
    "last_sign_in_at": None,
}
FROM = {"http_request": {"client_ip": "canary-address", "user_agent": "canary-agent"}}
"""The IP address and browser of a person."""


def event(kind: str = "user.created", **data: Any) -> dict[str, Any]:
    """An event of Clerk about one user."""
    return with_data(kind, **data) | {"event_attributes": FROM}


DSN = "postgresql://canary-user:canary-password@127.0.0.1:1/canary-database"


@dataclass
class Watched:
    """A service, and all its output except answers to the user."""

    service: Service
    clerk: ClerkEmulator
    log: StringIO
    refusals: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def token(self, user_id: str, **claims: Any) -> str:
        made = self.clerk.session_token(user_id, **claims)
        self.tokens.append(made.rpartition(".")[2])
        return made

    def signed_up(self) -> dict[str, Any]:
        """A user at Clerk without a local record."""
        return self.clerk.create_user(
            email_address=[f"canary-{new_id()}@mail.example"],
            first_name="canary-first",
            username=f"canary_{new_id()}"[:40],
            external_id=f"canary-{new_id()}",
            public_metadata={"canary": "canary-public"},
            private_metadata={"canary": "canary-private"},
        )

    async def hear(self, answer: httpx.Response) -> None:
        await answer.aread()
        if answer.status_code >= 400:
            self.refusals.append(f"{answer.headers} {answer.text}")

    def secrets(self) -> list[str]:
        config = self.clerk.config
        webhook = config.webhook_secrets[0].removeprefix("whsec_")
        return [config.secret_key, webhook, "BEGIN PUBLIC KEY", *self.tokens]

    async def told(self) -> str:
        metrics = (await self.service.http.get("/metrics")).text
        return "\n".join([self.log.getvalue(), metrics, *self.refusals])


async def watched(
    clerk: ClerkEmulator, database_url: str, **settings: Any
) -> AsyncIterator[Watched]:
    log = StringIO()
    async with running_service(clerk, database_url, log=log, **settings) as service:
        watching = Watched(service, clerk, log)
        service.http.event_hooks["response"].append(watching.hear)
        yield watching


async def webhooks(watch: Watched) -> None:
    for kind in ("user.created", "user.updated", "user.created"):
        await watch.service.deliver(event(kind, **PERSON), svix_id=f"msg_{kind[5:]}")
    await watch.service.deliver(event(**PERSON | {"first_name": "canary"}), svix_id="msg_created")


async def poison(watch: Watched) -> None:
    whole = json.dumps(event(**PERSON)).encode()
    spoilt = [
        event(**PERSON | {"last_name": "canary\x00"}),
        event(**PERSON | {"first_name": {"canary": "canary"}}),
        event(**PERSON | {"id": "canary"}),
    ]
    for body in (whole[:-9], *(json.dumps(one).encode() for one in spoilt)):
        assert (await watch.service.deliver(body)).status_code == 202


async def not_followed(watch: Watched) -> None:
    for changes in ({"type": "canary.created"}, {"instance_id": "ins_canary"}):
        await watch.service.deliver(event(**PERSON) | changes)


async def forgeries(watch: Watched) -> None:
    body = json.dumps(event(**PERSON)).encode()
    headers = svix_headers(watch.service.secret, b"another", svix_id="msg_canary")
    canaries = {"x-request-id": "canary@", "user-agent": "canary", "cookie": "canary=canary"}
    kinds: list[dict[str, str]] = [
        {},
        {"content-type": "canary/canary"},
        {"content-encoding": "canary"},
    ]
    for kind in kinds:
        answer = await watch.service.http.post(
            f"{WEBHOOKS}?canary=canary", content=body, headers=headers | canaries | kind
        )
        assert 400 <= answer.status_code < 500


async def first_requests(watch: Watched) -> None:
    person = watch.signed_up()
    for _ in range(2):
        assert (await watch.service.me(watch.token(person["id"]))).status_code == 200


async def a_banned_user(watch: Watched) -> None:
    person = watch.signed_up()
    token = watch.token(person["id"])
    watch.clerk.ban_user(person["id"])
    assert (await watch.service.me(token)).status_code == 403


async def a_lying_clerk(watch: Watched) -> None:
    person = watch.signed_up()
    spoilt = json.dumps(PERSON | {"id": person["id"], "updated_at": "canary"})
    for fault in (
        ApiFault(kind=FaultKind.RAW, status=200, body=spoilt),
        ApiFault(kind=FaultKind.RAW, status=200, body="canary"),
        ApiFault(kind=FaultKind.WRONG_USER),
        ApiFault(kind=FaultKind.TRUNCATED),
        ApiFault(kind=FaultKind.REDIRECT, location="https://canary.example/canary"),
    ):
        watch.clerk.faults.clear()
        watch.clerk.faults.add(fault)
        assert (await watch.service.me(watch.token(person["id"]))).status_code == 503


async def a_refused_key(watch: Watched) -> None:
    person = watch.signed_up()
    watch.clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401))
    assert (await watch.service.me(watch.token(person["id"]))).status_code == 503


async def bad_tokens(watch: Watched) -> None:
    for claims in (
        {"azp": "https://canary"},
        {"sub": "canary"},
        {"iss": "canary"},
        {"exp": "canary"},
    ):
        assert (await watch.service.me(watch.token(ADA, **claims))).status_code == 401
    unsigned = rs256(watch.clerk.keys.private_key, {"alg": "canary", "kid": "canary"}, PERSON)
    for token in ("canary", unsigned, watch.clerk.config.secret_key):
        assert (await watch.service.me(token)).status_code == 401
    await watch.service.http.get("/v1/canary", params={"token": "canary"})


async def a_fault_of_ours(watch: Watched) -> None:
    async def failing(password: str = "canary") -> None:
        raise LookupError(f"{password} {PERSON}")

    watch.service.app.get("/failing")(failing)
    answer = await watch.service.http.get("/failing", headers=bearer(watch.token(ADA)))
    assert answer.status_code == 500


async def an_outage(watch: Watched) -> None:
    assert (await watch.service.deliver(event(**PERSON))).status_code == 503
    assert (await watch.service.deliver(b"canary")).status_code == 503
    assert (await watch.service.me(watch.token(ADA))).status_code == 503
    assert (await watch.service.http.get("/readyz")).status_code == 503


STORIES: list[Callable[[Watched], Awaitable[None]]] = [
    webhooks,
    poison,
    not_followed,
    forgeries,
    first_requests,
    a_banned_user,
    a_lying_clerk,
    a_refused_key,
    bad_tokens,
    a_fault_of_ours,
]
