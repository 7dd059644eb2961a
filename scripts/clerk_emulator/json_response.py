"""JSON answers by orjson: a page of 500 users in a few milliseconds."""

from typing import Any

import orjson
from starlette.responses import Response


class OrjsonResponse(Response):
    """Content type exactly `application/json`: Clerk's JavaScript SDK parses nothing else."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
