"""The shop over HTTP, asynchronously."""

from adapters.tables import Order
from scripts.report import spent
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload


async def test_a_customer_orders(client, synced_user, signed_in_as, engine) -> None:
    ada = synced_user(first_name="Ada", email_address=["ada@example.com"])
    answer = await client.post("/orders?item=lamp", headers=signed_in_as(ada))
    assert answer.status_code == 201, answer.text
    assert (await client.get("/orders", headers=signed_in_as(ada))).json() == ["lamp"]
    async with AsyncSession(engine) as session:
        order = await session.get(Order, answer.json(), options=[selectinload(Order.customer)])
        assert (order.customer.id, order.customer.email) == (ada.id, "ada@example.com")


async def test_a_customer_orders_a_moment_after_signing_up(client, clerk, signed_in_as) -> None:
    grace = clerk.create_user(email_address=["grace@example.com"])
    assert (await client.post("/orders?item=chair", headers=signed_in_as(grace))).is_success
    assert clerk.calls.count("GetUser") == 1


async def test_what_a_deleted_customer_left(
    client, deliver, synced_user, signed_in_as, engine
) -> None:
    ada, grace = synced_user(first_name="Ada"), synced_user(first_name="Grace")
    for person in (ada, grace):
        await client.post("/reviews?item=chair&stars=5", headers=signed_in_as(person))
        await client.post("/orders?item=chair", headers=signed_in_as(person))
    assert {ada.email, grace.email} <= set(await spent(engine))
    await deliver("user.deleted", ada)
    reviews = (await client.get("/reviews/chair")).json()
    assert reviews == [{"stars": 5, "by": "somebody"}, {"stars": 5, "by": "Grace"}]
    assert {ada.email, grace.email} & set(await spent(engine)) == {grace.email}
    async with AsyncSession(engine) as session:
        orders = await session.scalars(select(Order.item).where(Order.customer_id == ada.id))
        assert orders.all() == ["chair"]


async def test_webhooks_in_any_order(client, deliver, synced_user, signed_in_as) -> None:
    ada = synced_user(first_name="Ada")
    await deliver("user.updated", ada, first_name="Augusta", late=True)
    await deliver("user.updated", ada, first_name="Augusta Ada", times=2)
    await deliver.late()
    await deliver.again(ada, out_of_order=True)
    answer = await client.get("/", headers=signed_in_as(ada))
    assert answer.json() == "Hello, Augusta Ada"


async def test_a_visitor(client) -> None:
    assert (await client.get("/")).json() == "Hello, stranger"
    answer = await client.get("/orders")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_invalid")


async def test_the_mounted_club_knows_the_customer(client, synced_user, signed_in_as) -> None:
    ada = synced_user(email_address=["ada@club.example.com"])
    card = (await client.get("/club/card", headers=signed_in_as(ada))).json()
    assert card == {"member": str(ada.id), "email": "ada@club.example.com"}


async def test_health_and_documents(client) -> None:
    ready = (await client.get("/sync/readyz")).json()
    assert ready["checks"]["schema"] is True
    document = (await client.get("/openapi.json")).json()
    assert {"401", "403", "503"} <= set(document["paths"]["/orders"]["get"]["responses"])
    club = (await client.get("/club/openapi.json")).json()
    assert {"401", "403", "503"} <= set(club["paths"]["/card"]["get"]["responses"])
