"""JSON answers, and Clerk's errors among them.

An error is `{"errors": [{message, long_message, code, meta?}], "clerk_trace_id"}`. The texts are
those of Clerk's list of API errors (clerk-docs, `data/api_errors.json`).
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


class OrjsonResponse(Response):
    """JSON by orjson: a page of 500 users takes a few milliseconds.

    The content type is exactly `application/json`; Clerk's JavaScript SDK parses nothing else.
    """

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class ClerkApiError(Exception):
    """An answer of the Backend API other than 2xx. Its text is Clerk's `code` and long message."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        long_message: str | None = None,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {long_message or message}")
        self.status = status
        self.headers = headers
        self.error: dict[str, object] = {
            "message": message,
            "long_message": long_message or message,
            "code": code,
        }
        if param is not None:
            self.error["meta"] = {"param_name": param}

    def response(self) -> Response:
        body = {"errors": [self.error], "clerk_trace_id": secrets.token_hex(16)}
        return OrjsonResponse(body, status_code=self.status, headers=self.headers)


def user_not_found(user_id: str) -> ClerkApiError:
    return ClerkApiError(
        404, "resource_not_found", "not found", f"No user was found with id {user_id}"
    )


def session_not_found(session_id: str) -> ClerkApiError:
    return ClerkApiError(
        404,
        "resource_not_found",
        "Session not found",
        f"No session was found with id {session_id}",
    )


def url_not_found() -> ClerkApiError:
    return ClerkApiError(404, "resource_not_found", "URL not found", "The URL was not found")


def authorization_format_invalid() -> ClerkApiError:
    return ClerkApiError(
        401,
        "authorization_header_format_invalid",
        "Invalid Authorization header format",
        "Invalid Authorization header format. Must be 'Bearer <YOUR_API_KEY>'",
    )


def secret_key_invalid() -> ClerkApiError:
    return ClerkApiError(
        401,
        "clerk_key_invalid",
        "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is "
        "correct.",
    )


def api_version_invalid(version: str) -> ClerkApiError:
    return ClerkApiError(
        400, "api_version_invalid", "invalid API version", f"Invalid Clerk API version: {version}"
    )


def too_many_requests(retry_after: str | None) -> ClerkApiError:
    headers = None if retry_after is None else {"Retry-After": retry_after}
    return ClerkApiError(
        429,
        "too_many_requests",
        "Too many requests",
        "Too many requests, retry later",
        headers=headers,
    )


def server_error(status: int) -> ClerkApiError:
    """Clerk's error for 500, 503 or 504. Any other status has the text of 500."""
    if status == 503:
        return ClerkApiError(503, "service_unavailable", "Service unavailable")
    if status == 504:
        return ClerkApiError(504, "gateway_timeout", "Gateway timeout")
    return ClerkApiError(
        status,
        "internal_clerk_error",
        "Oops, an unexpected error occurred",
        "There was an internal error on our servers. We've been notified and are working on "
        "fixing it.",
    )


def request_body_invalid() -> ClerkApiError:
    return ClerkApiError(
        400,
        "request_body_invalid",
        "Request body invalid",
        "The request body is invalid. Please consult the API documentation for more information.",
    )


def param_unknown(param: str) -> ClerkApiError:
    return ClerkApiError(
        422,
        "form_param_unknown",
        "is unknown",
        f"{param} is not a valid parameter for this request.",
        param=param,
    )


def param_missing(param: str) -> ClerkApiError:
    return ClerkApiError(
        422, "form_param_missing", "is missing", f"{param} must be included.", param=param
    )


def param_invalid(param: str, value: object) -> ClerkApiError:
    return ClerkApiError(
        422,
        "form_param_value_invalid",
        "is invalid",
        f"{value} does not match one of the allowed values for parameter {param}",
        param=param,
    )


def param_format_invalid(param: str, expected: str) -> ClerkApiError:
    return ClerkApiError(
        422,
        "form_param_format_invalid",
        "is invalid",
        f"{param} must be {expected}.",
        param=param,
    )


def too_many_values(param: str) -> ClerkApiError:
    return ClerkApiError(
        422,
        "form_param_duplicate",
        "is duplicate",
        f"{param} is included more than the maximum of 100 times.",
        param=param,
    )


def identifier_exists(param: str) -> ClerkApiError:
    return ClerkApiError(
        422,
        "form_identifier_exists",
        "is taken",
        f"That {param.replace('_', ' ')} is taken. Please try another.",
        param=param,
    )


def user_data_missing() -> ClerkApiError:
    return ClerkApiError(
        422,
        "form_data_missing",
        "missing data",
        '["email_address"] data doesn\'t match user requirements set for this instance',
    )


def user_banned() -> ClerkApiError:
    return ClerkApiError(
        403,
        "user_banned",
        "User banned",
        "You have been banned. If you think this was by mistake, please contact support.",
    )
