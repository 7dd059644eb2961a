"""A Clerk instance on this machine: Backend API, signing keys, session tokens and webhooks.

It needs no account and no network; in process it needs no socket either. The service does not
import it, and it does not import the service.

**Users and session tokens.** Parameters and answers are those of Clerk's Backend API::

    clerk = ClerkEmulator()
    ada = clerk.create_user(email_address=["ada@example.com"], first_name="Ada")
    clerk.update_user(ada["id"], first_name="Augusta")
    clerk.ban_user(ada["id"])
    token = clerk.session_token(ada["id"])
    pending = clerk.session_token(ada["id"], sts="pending", azp=None)  # other claims
    clerk.delete_user(ada["id"])

**The HTTP API**, in process through a transport of httpx, or on a port::

    key = {"Authorization": f"Bearer {clerk.config.secret_key}"}
    async with httpx.AsyncClient(transport=clerk.transport, base_url=clerk.url) as api:
        assert (await api.get(f"/v1/users/{ada['id']}", headers=key)).status_code == 404
        clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=503, times=1))
        assert (await api.get("/v1/users", headers=key)).status_code == 503
        assert (await api.get("/v1/users", headers=key)).status_code == 200

    async with running_emulator() as other:
        settings = other.config.environment()  # CLERK_API_URL, CLERK_SECRET_KEY, …

**Webhooks.** Every change creates a message. A test posts the signed deliveries itself, as often
and in any order it wants::

    created, renamed, banned, deleted = clerk.deliveries(ada["id"])
    for delivery in (deleted, created, created, banned):
        await app.post("/webhooks/clerk", content=delivery.body, headers=delivery.headers)

**Svix's behaviour.** Or the emulator posts them to its endpoints, with Svix's retries (here in a
thousandth of the time) and a plan for each message::

    config = EmulatorConfig(webhook_urls=("http://app/webhooks/clerk",), time_scale=0.001)
    clerk = ClerkEmulator(config, transport=app_transport)  # without it: over the network
    await clerk.start()
    clerk.sender.plans.for_next(DeliveryPlan(hold=True), DeliveryPlan(repeat=2))
    grace = clerk.create_user(email_address=["grace@example.com"])
    clerk.update_user(grace["id"], first_name="Grace")
    await clerk.sender.settled()  # user.updated arrived twice
    clerk.sender.release()
    await clerk.sender.settled()  # user.created arrived late
    await clerk.stop()

`clerk.sender.plans.from_seed(FaultPlan(seed=1, drop=0.1, reorder=0.3))` draws plans from a seed.
"""

from scripts.clerk_emulator.config import Clock, EmulatorConfig, Endpoint
from scripts.clerk_emulator.deliveries import DeliveryStatus, SignedDelivery
from scripts.clerk_emulator.emulator import ClerkEmulator
from scripts.clerk_emulator.errors import ClerkApiError
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.plans import DeliveryPlan, FaultPlan
from scripts.clerk_emulator.server import running_emulator

__all__ = [
    "ApiFault",
    "ClerkApiError",
    "ClerkEmulator",
    "Clock",
    "DeliveryPlan",
    "DeliveryStatus",
    "EmulatorConfig",
    "Endpoint",
    "FaultKind",
    "FaultPlan",
    "SignedDelivery",
    "running_emulator",
]
