"""The HTTP status of every error, and the problem document (RFC 9457) that answers it."""

import logging
import math
from collections.abc import Mapping, MutableMapping
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response

from domain.errors import (
    AlreadyRunning,
    FellBehind,
    InvalidChangesToken,
    InvalidSession,
    InvalidSignature,
    NotTaken,
    SessionPending,
    SyncError,
    Unavailable,
    Unstorable,
    UserBanned,
    UserRefused,
    WrongInstance,
)
from service.log import is_logged, note

STATUSES: Mapping[type[SyncError], int] = {
    InvalidSignature: 400,
    InvalidChangesToken: 401,
    InvalidSession: 401,
    UserRefused: 401,
    UserBanned: 403,
    SessionPending: 403,
    AlreadyRunning: 409,
    FellBehind: 410,
    Unstorable: 422,
    WrongInstance: 500,
    NotTaken: 502,
    Unavailable: 503,
}
"""The status of every named error. A subclass that is not listed has that of its base class."""

INTERNAL_ERROR = (500, "internal_error")
"""The status and the code of the answer to an unhandled exception."""

_logger = logging.getLogger("clerk_user_sync")

_TYPE = "urn:clerk-user-sync:problem:"
_HEADERS: Mapping[int, str] = {401: "WWW-Authenticate", 503: "Retry-After"}


class Rejected(Exception):
    """The request is refused for its form, before its contents are read."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def status_of(kind: type[SyncError]) -> int:
    """The status of the answer to errors of this class."""
    return next(STATUSES[base] for base in kind.__mro__ if base in STATUSES)


def problem(status: int, code: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document. It depends on nothing in the request."""
    return Response(
        _document(status, code),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )


@cache
def _document(status: int, code: str) -> bytes:
    document = {
        "type": f"{_TYPE}{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
    }
    return orjson.dumps(document)


def documented(*answers: type[SyncError] | tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route in OpenAPI, from errors or from pairs of a status and a code."""
    codes_by_status: dict[int, list[str]] = {}
    for one in answers:
        status, code = one if isinstance(one, tuple) else (status_of(one), one.code)
        codes_by_status.setdefault(status, []).append(code)
    return {status: _documented(status, codes) for status, codes in codes_by_status.items()}


def _documented(status: int, codes: list[str]) -> dict[str, Any]:
    names = ["Cache-Control", *([_HEADERS[status]] if status in _HEADERS else [])]
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: {"required": True, "schema": {"type": "string"}} for name in names},
        "content": {"application/problem+json": {"schema": _schema(status, codes)}},
    }


def _schema(status: int, codes: list[str]) -> dict[str, Any]:
    return {
        "title": "Problem",
        "type": "object",
        "properties": {
            "type": {"enum": [f"{_TYPE}{code}" for code in codes]},
            "title": {"const": HTTPStatus(status).phrase},
            "status": {"const": status},
            "code": {"enum": codes},
        },
        "required": ["type", "title", "status", "code"],
        "additionalProperties": False,
    }


def answer(scope: MutableMapping[str, Any], error: SyncError | Rejected) -> Response:
    """The problem document of one of our errors. The request's log line gets its code as well."""
    if isinstance(error, Rejected):
        note(scope, outcome=error.code)
        return problem(error.status, error.code)
    status = status_of(type(error))
    note(scope, outcome=error.code, cause=str(error) or None)
    return problem(status, error.code, _headers(status, error))


def answer_sync_errors(app: FastAPI | ExceptionMiddleware) -> None:
    """Register handlers of our errors in `app`, which may be a host's application."""
    app.add_exception_handler(SyncError, _own_error)
    app.add_exception_handler(Rejected, _own_error)


def answer_everything(app: FastAPI) -> None:
    """Also register handlers for the framework's errors, such as 404, 405, 422 and 500."""
    answer_sync_errors(app)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unhandled)


def internal_error() -> Response:
    """The answer to an unhandled exception. It does not tell the cause."""
    return problem(*INTERNAL_ERROR)


async def _own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SyncError | Rejected)  # noqa: S101 - registered for these types
    if isinstance(error, SyncError) and not is_logged(request.scope):
        _logger.info("%s: %s", error.code, error.explained)
    return answer(request.scope, error)


async def _unhandled(_: Request, __: Exception) -> Response:
    return internal_error()


def _headers(status: int, error: Exception) -> dict[str, str]:
    if status == 401:
        # The same for every cause: it must not tell which check failed (RFC 6750 §3).
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return {}


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    code = HTTPStatus(error.status_code).name.lower()
    note(request.scope, outcome=code)
    return problem(error.status_code, code, error.headers)


async def _validation_error(request: Request, _: Exception) -> Response:
    note(request.scope, outcome="request_invalid")
    return problem(422, "request_invalid")
