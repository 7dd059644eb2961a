"""Files of a host: an application, its client, and tests that use the pytest plugin."""

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from clerk_user_sync import CurrentUser, CurrentSession, mount, user_sync

@asynccontextmanager
async def lifespan(app):
    async with user_sync(app):
        yield

app, sub = FastAPI(lifespan=lifespan), FastAPI()
mount(app)
app.mount("/sub", sub)

@sub.get("/hello")
@app.get("/hello")
async def hello(user: CurrentUser):
    return user.first_name

@app.get("/session")
async def session(session: CurrentSession):
    return session.user_id
"""

SYNC_CLIENT = """
import pytest
from fastapi.testclient import TestClient
from shop import app

@pytest.fixture
def client(clerk):
    clerk.connect(app)
    with TestClient(app) as client:
        yield client
"""

ASYNC_CLIENT = """
import pytest
from httpx import ASGITransport, AsyncClient
from shop import app

@pytest.fixture
async def client(clerk):
    clerk.connect(app)
    async with app.router.lifespan_context(app):
        async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as client:
            yield client
"""

SYNCHRONOUS = """
import os
from pathlib import Path
from urllib.parse import urlsplit

def test_a_user_is_served_changed_and_deleted(client, clerk, deliver, synced_user, signed_in_as):
    ada = synced_user(first_name="Ada")
    headers = signed_in_as(ada)
    assert client.get("/hello", headers=headers).json() == "Ada"
    assert clerk.calls.count("GetUser") == 0
    answers = deliver("user.updated", ada, first_name="Augusta", times=3)
    assert [one.status_code for one in answers] == [204, 204, 204]
    assert client.get("/sub/hello", headers=headers).json() == "Augusta"
    deliver("user.deleted", ada)
    assert client.get("/hello", headers=headers).json()["code"] == "user_deleted"

def test_the_database_is_a_new_one(clerk_database_url, clerk_settings, synced_user):
    given, new = urlsplit(os.environ["DATABASE_URL"]), urlsplit(clerk_database_url)
    assert (new.netloc, new.path != given.path) == (given.netloc, True)
    assert new.path.startswith("/test_clerk_user_sync_")
    assert clerk_settings.database_schema == "clerk"
    assert synced_user().synced_by == "webhook"
    Path("name").write_text(new.path[1:])
"""

WORDS = """
import pytest

def test_wrong_arguments(deliver, synced_user):
    ada = synced_user()
    with pytest.raises(ValueError, match="'user.renamed' is none of user.created, user.updated"):
        deliver("user.renamed", ada)
    with pytest.raises(ValueError, match="needs a user"):
        deliver("user.deleted")
    with pytest.raises(ValueError, match="takes no changes"):
        deliver("user.created", ada, first_name="Ada")

class TestWithoutMount:
    @pytest.fixture
    def client(self, clerk):
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        with TestClient(FastAPI()) as client:
            yield client

    def test_it(self, deliver, synced_user):
        from clerk_user_sync.testing import NotDelivered
        with pytest.raises(NotDelivered, match=r"404 to user.updated: is mount\\(app\\) called"):
            deliver("user.updated", synced_user())

class TestWhatIsNoClient:
    @pytest.fixture
    def client(self):
        return object()

    def test_it(self, request):
        with pytest.raises(pytest.UsageError, match="'client' is no client of httpx"):
            request.getfixturevalue("deliver")
"""

OF_THE_HOST = """
import pytest

@pytest.fixture
def clerk():
    return "the host's own"

@pytest.fixture
def deliver():
    return "a parcel"

def test_names(clerk, deliver):
    assert (clerk, deliver) == ("the host's own", "a parcel")
"""

ROUTE_ALONE = """
import pytest
from fastapi.testclient import TestClient
from clerk_user_sync.testing import local_user
from shop import app

@pytest.fixture
def db():
    app.dependency_overrides[test_a_user] = lambda: "a database"
    yield
    app.dependency_overrides.clear()

def test_a_user(override_current_user, db):
    ada = local_user(first_name="Ada")
    override_current_user(app, ada)
    client = TestClient(app)
    assert client.get("/hello").json() == client.get("/sub/hello").json() == "Ada"
    assert client.get("/session").json() == ada.clerk_id
    override_current_user(app, None)
    assert client.get("/hello").status_code == client.get("/session").status_code == 401

def test_nothing_is_left(clerk):
    assert not app.dependency_overrides
    assert not hasattr(app.state, "user_sync_stand_in")
    clerk.connect(app)
    clerk.connect(app)
    assert hasattr(app.state, "user_sync_stand_in")
"""

ANOTHER_PROCESS = """
import os, re, subprocess, sys
import httpx
import pytest

@pytest.fixture
def client(clerk, monkeypatch):
    monkeypatch.setenv("CLERK_JWT_KEY", "of a real instance")
    monkeypatch.setenv("CLERK_USER_SYNC_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/real")
    with open(".env", "a") as file:
        file.write("CLERK_USER_SYNC_DATABASE_URL=postgresql://nobody@127.0.0.1:9/real\\n")
    environment = clerk.listen()
    assert environment["PATH"] == os.environ["PATH"]
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if address := re.search(r"running on (\\S+)", line):
            break
    with httpx.Client(base_url=address[1], timeout=30) as client:
        yield client
    process.terminate()
    process.communicate()

def test_it(client, deliver, synced_user, signed_in_as, clerk):
    grace = clerk.create_user(email_address=["g@example.com"], first_name="Grace")
    assert client.get("/hello", headers=signed_in_as(grace)).json() == "Grace"
    ada = synced_user(first_name="Ada")
    deliver("user.updated", ada, first_name="Augusta")
    assert client.get("/hello", headers=signed_in_as(ada)).json() == "Augusta"
"""

ASYNCHRONOUS = """
import pytest
import pytest_asyncio

@pytest.mark.PLUGIN
async def test_it(client, deliver, synced_user, signed_in_as):
    ada = synced_user(first_name="Ada")
    await deliver("user.updated", ada, first_name="Late", late=True)
    await deliver("user.updated", ada, first_name="Augusta")
    assert [one.status_code for one in await deliver.late()] == [204]
    assert len(await deliver.again(ada, times=2, out_of_order=True)) == 6
    assert (await client.get("/hello", headers=signed_in_as(ada))).json() == "Augusta"
    [created] = await deliver("user.created", first_name="Grace")
    assert created.status_code == 204

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""

HANDLERS = """
from contextlib import asynccontextmanager
import pytest
import pytest_asyncio
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from clerk_user_sync import Changes, mount, user_sync
from clerk_user_sync.testing import NotHandled

changes, sent = Changes(), []

@changes.on("created", name="welcome-mail")
async def welcome(change, user):
    if user.first_name == "Nobody":
        raise LookupError("no such mailbox")
    sent.append(user.first_name)

@asynccontextmanager
async def lifespan(app):
    async with user_sync(app, changes=changes):
        yield

app = FastAPI()
mount(app)

@pytest_asyncio.fixture
async def client(clerk):
    clerk.connect(app)
    async with lifespan(app):
        async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as client:
            yield client

@pytest.mark.asyncio
async def test_a_handler_that_fails(deliver, changes_handled):
    await changes_handled(changes)
    await deliver("user.created", first_name="Nobody")
    with pytest.raises(NotHandled, match="welcome-mail failed: LookupError"):
        await changes_handled(changes)

def test_a_user_whom_no_handler_meets(synced_user):
    synced_user(first_name="Grace")

@pytest.mark.asyncio
async def test_a_handler_begins_anew(deliver, changes_handled):
    await changes_handled(changes)
    await deliver("user.created", first_name="Ada", times=2)
    await changes_handled(changes)
    assert sent == ["Ada"]
    never = Changes()
    never.on(name="never")(welcome)
    with pytest.raises(NotHandled, match="after 0.1 s, not done: never"):
        await changes_handled(never, seconds=0.1)
"""
