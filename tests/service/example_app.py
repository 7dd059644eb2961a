"""A host's application that uses our parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from service.app import mount, user_sync
from service.auth import CurrentSession, CurrentUser
from service.settings import Settings


def shop(settings: Settings) -> FastAPI:
    """A shop with its own database, 404 page and error handlers."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.stock = {"lamp": 3}
        async with user_sync(app, settings):
            yield
        app.state.stock.clear()

    app = FastAPI(lifespan=lifespan)
    mount(app)

    @app.get("/orders")
    async def orders(user: CurrentUser) -> dict[str, str | None]:
        return {"orders of": user.email}

    @app.get("/basket")
    async def basket(session: CurrentSession) -> dict[str, str]:
        return {"basket of": session.user_id}

    @app.get("/stock/{item}")
    async def stock(item: str, at_least: int = 1) -> dict[str, bool]:
        return {"there": app.state.stock.get(item, 0) >= at_least}

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("the shop's own affair")

    @app.exception_handler(404)
    async def sorry(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"sorry": error.status_code}, error.status_code)

    return app
