"""A route without a database, a token or Clerk."""

from clerk_user_sync.testing import local_user
from fastapi.testclient import TestClient

from service.app import app


def test_the_front_page(override_current_user) -> None:
    override_current_user(app, local_user(first_name="Ada"))
    assert TestClient(app).get("/").json() == "Hello, Ada"


def test_the_club(override_current_user) -> None:
    ada = local_user()
    override_current_user(app, ada)
    assert TestClient(app).get("/club/card").json() == {"member": str(ada.id), "email": ada.email}
