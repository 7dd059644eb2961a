"""What tests put in place of the environment's settings and of the network to Clerk."""

from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """`transport` answers what is asked of Clerk: its Backend API and its signing keys."""

    settings: Settings
    transport: httpx.AsyncBaseTransport


def put_in(app: FastAPI, stand_in: StandIn) -> None:
    """`user_sync(app)` uses it from now on, whatever settings it is given."""
    app.state.user_sync_stand_in = stand_in


def take_out(app: FastAPI) -> None:
    """`user_sync(app)` uses its own settings and the network again."""
    del app.state.user_sync_stand_in


def stand_in_of(app: FastAPI) -> StandIn | None:
    stand_in: StandIn | None = getattr(app.state, "user_sync_stand_in", None)
    return stand_in
