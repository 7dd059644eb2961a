"""The shop's application."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from adapters.database import engine_at, session
from adapters.reviews import Review, Reviewer
from adapters.tables import Order
from clerk_user_sync import CurrentUser, OptionalUser, mount, mount_health, user_sync
from domain.prices import NotSold, price_of
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

Database = Annotated[AsyncSession, Depends(session)]


def create_app(database_url: str | None = None) -> FastAPI:
    """`DATABASE_URL` is used unless another address is given."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = engine_at(database_url or os.environ["DATABASE_URL"])
        async with user_sync(app):  # settings from the environment
            yield
        await app.state.engine.dispose()

    app = FastAPI(title="A shop", lifespan=lifespan)
    mount(app)
    mount_health(app, prefix="/sync")
    app.mount("/club", club())

    @app.get("/")
    async def front_page(user: OptionalUser) -> str:
        return f"Hello, {user.first_name}" if user else "Hello, stranger"

    @app.post("/orders", status_code=201)
    async def order(item: str, user: CurrentUser, database: Database) -> int:
        try:
            order = Order(item=item, cents=price_of(item), customer_id=user.id)
        except NotSold:
            raise HTTPException(404, "we do not sell that") from None
        database.add(order)
        await database.commit()
        return order.id

    @app.get("/orders")
    async def orders(user: CurrentUser, database: Database) -> list[str]:
        mine = select(Order.item).where(Order.customer_id == user.id).order_by(Order.id)
        return list(await database.scalars(mine))

    @app.post("/reviews", status_code=201)
    async def review(item: str, stars: int, user: CurrentUser, database: Database) -> None:
        database.add(Review(item=item, stars=stars, reviewer_id=user.id))
        await database.commit()

    @app.get("/reviews/{item}")
    async def reviews(item: str, database: Database) -> list[dict[str, object]]:
        """A deleted customer's reviews stay, without a name."""
        found = select(Review, Reviewer).join(Reviewer).where(col(Review.item) == item)
        rows = await database.execute(found.order_by(col(Review.id)))
        return [
            {"stars": review.stars, "by": reviewer.first_name or "somebody"}
            for review, reviewer in rows
        ]

    return app


def club() -> FastAPI:
    """An application of its own, mounted: it knows the customers too."""
    app = FastAPI(title="The club")

    @app.get("/card")
    async def card(user: CurrentUser) -> dict[str, str | None]:
        return {"member": str(user.id), "email": user.email}

    return app


app = create_app()
