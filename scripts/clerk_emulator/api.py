"""Clerk's HTTP surface: the Backend API under `/v1` and the public keys.

Operations are named after those of Clerk's OpenAPI documents (clerk/openapi-specs,
bapi/2026-05-12); the Frontend API's `getJWKS` is `GetPublicJWKS` here.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.clerk_emulator import errors, listing, params
from scripts.clerk_emulator.instance import ClerkInstance
from scripts.clerk_emulator.json_response import OrjsonResponse
from scripts.clerk_emulator.sessions import TOKEN_LIFETIME, session_json

API_VERSIONS = frozenset(
    {
        "2021-02-05",
        "2024-10-01",
        "2025-03-12",
        "2025-04-10",
        "2025-11-10",
        "2025-12-03",
        "2026-05-12",
    }
)
NO_METADATA_IN_UPDATE_SINCE = "2026-05-12"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What an operation was asked, authenticated."""

    clerk: ClerkInstance
    path: Mapping[str, str]
    query: QueryParams
    body: Mapping[str, Any]
    api_version: str | None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row of Clerk's API. Public operations need no key; the keys are never limited."""

    name: str
    method: str
    path: str
    answer: Callable[[Call], Any]
    group: Literal["api", "jwks"] = "api"
    public: bool = False


def routes(clerk: ClerkInstance) -> list[Route]:
    return [
        Route(operation.path, _endpoint(clerk, operation), methods=[operation.method])
        for operation in OPERATIONS
    ]


def _endpoint(
    clerk: ClerkInstance, operation: Operation
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async def respond() -> Response:
            try:
                return await _respond(clerk, operation, request)
            except errors.ClerkApiError as error:
                return error.response()

        with clerk.calls.in_flight(operation.name) as record:
            response = await clerk.faults.answer(operation.name, operation.group, respond)
            record(response.status_code)
        return response

    return endpoint


async def _respond(clerk: ClerkInstance, operation: Operation, request: Request) -> Response:
    if not operation.public:
        _authenticate(clerk, request)
    if operation.group == "api":
        _admit(clerk)
    call = Call(
        clerk=clerk,
        path=request.path_params,
        query=request.query_params,
        body=await _body(request),
        api_version=_api_version(request),
    )
    return OrjsonResponse(operation.answer(call))


def _authenticate(clerk: ClerkInstance, request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise errors.authorization_format_invalid()
    if not hmac.compare_digest(key.encode(), clerk.config.secret_key.encode()):
        raise errors.secret_key_invalid()


def _admit(clerk: ClerkInstance) -> None:
    refused_for = clerk.rate_limit.refused_for()
    if refused_for is not None:
        raise errors.too_many_requests(str(refused_for))


def _api_version(request: Request) -> str | None:
    version = request.headers.get("clerk-api-version")
    if version is not None and version not in API_VERSIONS:
        raise errors.api_version_invalid(version)
    return version


async def _body(request: Request) -> Mapping[str, Any]:
    raw = await request.body()
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise errors.request_body_invalid() from None
    if not isinstance(body, dict):
        raise errors.request_body_invalid()
    return body


def _create_user(call: Call) -> Any:
    return call.clerk.create_user(**call.body)


def _get_user(call: Call) -> Any:
    return call.clerk.get_user(call.path["user_id"])


def _list_users(call: Call) -> Any:
    clerk = call.clerk
    users = listing.list_users(clerk.users, call.query, cursors=clerk.config.starting_after)
    return [clerk.user_json(user) for user in users]


def _count_users(call: Call) -> Any:
    total = listing.count_users(call.clerk.users, call.query)
    return {"object": "total_count", "total_count": total}


def _update_user(call: Call) -> Any:
    """Since 2026-05-12 metadata has its own endpoints and is unknown here (OpenAPI)."""
    if (call.api_version or "") >= NO_METADATA_IN_UPDATE_SINCE:
        for name in sorted(params.METADATA & call.body.keys()):
            raise errors.param_unknown(name)
    return call.clerk.update_user(call.path["user_id"], **call.body)


def _merge_metadata(call: Call) -> Any:
    return call.clerk.merge_metadata(call.path["user_id"], **call.body)


def _replace_metadata(call: Call) -> Any:
    return call.clerk.replace_metadata(call.path["user_id"], **call.body)


def _delete_user(call: Call) -> Any:
    return call.clerk.delete_user(call.path["user_id"])


def _ban_user(call: Call) -> Any:
    return call.clerk.ban_user(call.path["user_id"])


def _unban_user(call: Call) -> Any:
    return call.clerk.unban_user(call.path["user_id"])


def _lock_user(call: Call) -> Any:
    return call.clerk.lock_user(call.path["user_id"])


def _unlock_user(call: Call) -> Any:
    return call.clerk.unlock_user(call.path["user_id"])


def _create_session(call: Call) -> Any:
    user_id = call.body.get("user_id")
    if not isinstance(user_id, str):
        raise errors.param_missing("user_id")
    return call.clerk.create_session(user_id)


def _get_session(call: Call) -> Any:
    return session_json(call.clerk.sessions.get(call.path["session_id"]))


def _revoke_session(call: Call) -> Any:
    return call.clerk.revoke_session(call.path["session_id"])


def _create_token(call: Call) -> Any:
    token = call.clerk.token_of_session(call.path["session_id"], _lifetime(call))
    return {"object": "token", "jwt": token}


def _create_template_token(call: Call) -> Any:
    token = call.clerk.template_token(call.path["session_id"], _lifetime(call))
    return {"object": "token", "jwt": token}


def _lifetime(call: Call) -> int:
    """Seconds; 30 to ten years (OpenAPI `CreateSessionToken`)."""
    seconds = call.body.get("expires_in_seconds")
    if seconds is None:
        return TOKEN_LIFETIME
    if not isinstance(seconds, int) or not 30 <= seconds <= 315_360_000:
        raise errors.param_invalid("expires_in_seconds", seconds)
    return seconds


def _jwks(call: Call) -> Any:
    return call.clerk.jwks()


def _operation(name: str, method: str, path: str, answer: Callable[[Call], Any]) -> Operation:
    return Operation(name=name, method=method, path=f"/v1{path}", answer=answer)


OPERATIONS = (
    _operation("CreateUser", "POST", "/users", _create_user),
    _operation("GetUserList", "GET", "/users", _list_users),
    _operation("GetUsersCount", "GET", "/users/count", _count_users),
    _operation("GetUser", "GET", "/users/{user_id}", _get_user),
    _operation("UpdateUser", "PATCH", "/users/{user_id}", _update_user),
    _operation("DeleteUser", "DELETE", "/users/{user_id}", _delete_user),
    _operation("UpdateUserMetadata", "PATCH", "/users/{user_id}/metadata", _merge_metadata),
    _operation("ReplaceUserMetadata", "PUT", "/users/{user_id}/metadata", _replace_metadata),
    _operation("BanUser", "POST", "/users/{user_id}/ban", _ban_user),
    _operation("UnbanUser", "POST", "/users/{user_id}/unban", _unban_user),
    _operation("LockUser", "POST", "/users/{user_id}/lock", _lock_user),
    _operation("UnlockUser", "POST", "/users/{user_id}/unlock", _unlock_user),
    _operation("CreateSession", "POST", "/sessions", _create_session),
    _operation("GetSession", "GET", "/sessions/{session_id}", _get_session),
    _operation("RevokeSession", "POST", "/sessions/{session_id}/revoke", _revoke_session),
    _operation("CreateSessionToken", "POST", "/sessions/{session_id}/tokens", _create_token),
    _operation(
        "CreateSessionTokenFromTemplate",
        "POST",
        "/sessions/{session_id}/tokens/{template_name}",
        _create_template_token,
    ),
    Operation(name="GetJWKS", method="GET", path="/v1/jwks", answer=_jwks, group="jwks"),
    Operation(
        name="GetPublicJWKS",
        method="GET",
        path="/.well-known/jwks.json",
        answer=_jwks,
        group="jwks",
        public=True,
    ),
)
