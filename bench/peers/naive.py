"""The naive design: call Clerk and upsert on every request. Webhooks as in the tutorial."""

import os
from typing import Annotated

import httpx
import uvicorn
from fastapi import Depends, FastAPI
from fastapi_clerk_auth import HTTPAuthorizationCredentials
from sqlmodel import select

from bench.peers.tutorial import Database, User, healthz, signed_in, upsert, webhook

app = FastAPI()
app.get("/healthz")(healthz)
app.post("/webhooks/clerk", status_code=204)(webhook)
clerk = httpx.Client(
    base_url=os.environ["CLERK_API_URL"],
    headers={"Authorization": f"Bearer {os.environ['CLERK_SECRET_KEY']}"},
)


@app.get("/v1/me", response_model_exclude={"digest"})
def me(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(signed_in)], session: Database
) -> User:
    user_id = (credentials.decoded or {})["sub"]
    data = clerk.get(f"/v1/users/{user_id}").raise_for_status().json()
    upsert(session, {"data": data, "timestamp": data["updated_at"]})
    session.commit()
    return session.exec(select(User).where(User.clerk_id == user_id)).one()


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
