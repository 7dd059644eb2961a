"""Browsers on other origins: what `CORS_ORIGINS` lists may call the service with a token."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp


def with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """`app` behind answers to preflights, and with the header on every answer, errors too.

    It is the outermost layer, so that no answer lacks the header. Cookies are not allowed: a token
    comes in the `Authorization` header, and the console stays on its own origin.
    """
    if not origins:
        return app
    middleware = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET"],
        allow_headers=["Authorization", "X-Request-ID"],
        expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-ID"],
        max_age=600,
    )
    # A preflight is answered before the layer that adds this to every other answer.
    middleware.preflight_headers["X-Content-Type-Options"] = "nosniff"
    return middleware
