"""Signs, as Svix would, the webhooks that Schemathesis makes up to be accepted."""

import os
from typing import Any

import requests
import schemathesis

from tests.running import WEBHOOKS, svix_headers


@schemathesis.hook
def before_call(
    _: schemathesis.HookContext, case: "schemathesis.Case[Any]", kwargs: dict[str, Any]
) -> None:
    generated = case.meta
    if case.operation.path == WEBHOOKS and generated and not generated.generation.mode.is_negative:
        kwargs["auth"] = signed


def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sign the final bytes, just before the request is sent."""
    body = request.body or b""
    raw = body if isinstance(body, bytes) else str(body).encode()
    request.headers.update(svix_headers(os.environ["WEBHOOK_SECRET"], raw))
    return request
