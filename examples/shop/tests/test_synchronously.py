"""The same shop through Starlette's `TestClient`."""

import pytest
from fastapi.testclient import TestClient


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        yield client


def test_a_customer_orders_and_is_renamed(client, deliver, synced_user, signed_in_as) -> None:
    ada = synced_user(first_name="Ada")
    assert client.post("/orders?item=lamp", headers=signed_in_as(ada)).status_code == 201
    deliver("user.updated", ada, first_name="Augusta", times=2)
    assert client.get("/", headers=signed_in_as(ada)).json() == "Hello, Augusta"


def test_a_banned_customer(client, clerk, deliver, synced_user, signed_in_as) -> None:
    ada = synced_user()
    clerk.ban_user(ada.clerk_id)
    deliver("user.updated", ada)
    answer = client.get("/orders", headers=signed_in_as(ada))
    assert (answer.status_code, answer.json()["code"]) == (403, "user_banned")
