"""A stand-in for the settings and for the network to Clerk, in a host's tests."""

from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """`transport` answers requests to Clerk: to its Backend API and for its signing keys."""

    settings: Settings
    transport: httpx.AsyncBaseTransport


def put_in(app: FastAPI, stand_in: StandIn) -> None:
    """Let `user_sync(app)` use the stand-in from now on, instead of the settings it is given."""
    app.state.user_sync_stand_in = stand_in


def take_out(app: FastAPI) -> None:
    """Let `user_sync(app)` use its settings and the network again. Twice is once."""
    if stand_in_of(app) is not None:
        del app.state.user_sync_stand_in


def stand_in_of(app: FastAPI) -> StandIn | None:
    stand_in: StandIn | None = getattr(app.state, "user_sync_stand_in", None)
    return stand_in
