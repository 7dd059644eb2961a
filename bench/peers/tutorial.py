"""FastAPI as in Clerk's tutorial: svix, a SQLModel session for each request, fastapi-clerk-auth."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi_clerk_auth import ClerkConfig, ClerkHTTPBearer, HTTPAuthorizationCredentials
from sqlalchemy import LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, Session, SQLModel, create_engine, select
from svix.webhooks import Webhook, WebhookVerificationError

# As many connections as FastAPI has threads. With fewer, at 64 clients, each request that has a
# connection waits for a thread, and each thread for a connection.
engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"),
    pool_size=40,
    max_overflow=0,
)
signed_in = ClerkHTTPBearer(config=ClerkConfig(jwks_url=os.environ["CLERK_JWKS_URL"]))
app = FastAPI()


class User(SQLModel, table=True):
    __tablename__ = "users"
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    clerk_id: str = Field(unique=True)
    email: str | None = None
    email_verified: bool = True
    phone_number: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    image_url: str | None = None
    external_id: str | None = None
    public_metadata: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    banned: bool = False
    clerk_created_at: datetime | None = None
    clerk_updated_at: datetime
    observed_at: datetime
    digest: bytes = Field(default=b"", sa_type=LargeBinary)
    synced_by: str = "webhook"


class JournalEntry(SQLModel, table=True):
    __tablename__ = "sync_journal"
    id: int | None = Field(default=None, primary_key=True)
    svix_id: str = Field(unique=True)
    event_type: str
    clerk_id: str
    source: str = "webhook"
    occurred_at: datetime
    outcome: str
    body: bytes = Field(sa_type=LargeBinary)


def database() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


Database = Annotated[Session, Depends(database)]


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/v1/me", response_model_exclude={"digest"})
def me(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(signed_in)], session: Database
) -> User:
    claims = credentials.decoded or {}
    user = session.exec(select(User).where(User.clerk_id == claims["sub"])).first()
    if user is None:
        raise HTTPException(404)
    return user


@app.post("/webhooks/clerk", status_code=204)
async def webhook(request: Request, session: Database) -> Response:
    body = await request.body()
    try:
        Webhook(os.environ["CLERK_WEBHOOK_SIGNING_SECRET"]).verify(body, dict(request.headers))
    except WebhookVerificationError as error:
        raise HTTPException(400) from error
    event = await request.json()
    outcome = upsert(session, event)
    session.add(
        JournalEntry(
            svix_id=request.headers["svix-id"],
            event_type=event["type"],
            clerk_id=event["data"]["id"],
            occurred_at=moment(event["timestamp"]),
            outcome=outcome,
            body=body,
        )
    )
    session.commit()
    return Response(status_code=204)


def upsert(session: Session, event: dict[str, Any]) -> str:
    data = event["data"]
    user = session.exec(select(User).where(User.clerk_id == data["id"])).first()
    outcome = "updated" if user else "created"
    user = user or User(clerk_id=data["id"], clerk_updated_at=moment(0), observed_at=moment(0))
    user.email = primary_email(data)
    for name in ("username", "first_name", "last_name", "image_url", "external_id"):
        setattr(user, name, data.get(name))
    user.public_metadata = data["public_metadata"]
    user.banned = data["banned"]
    user.clerk_created_at = moment(data["created_at"])
    user.clerk_updated_at = moment(data["updated_at"])
    user.observed_at = moment(event["timestamp"])
    session.add(user)
    return outcome


def primary_email(data: dict[str, Any]) -> str | None:
    for one in data["email_addresses"]:
        if one["id"] == data["primary_email_address_id"]:
            return str(one["email_address"])
    return None


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
