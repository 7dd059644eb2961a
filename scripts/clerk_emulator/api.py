"""Clerk's HTTP API: the Backend API under `/v1`, and the public signing keys.

Operations have their names in Clerk's OpenAPI documents (clerk/openapi-specs, bapi/2026-05-12).
The Frontend API's `getJWKS` is `GetPublicJWKS` here.
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
    """An authenticated request to an operation."""

    clerk: ClerkInstance
    path: Mapping[str, str]
    query: QueryParams
    body: Mapping[str, Any]
    api_version: str | None


@dataclass(frozen=True)
class Operation:
    """One operation. A public one needs no secret key; the quota counts the group `api` only."""

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
        refused_for = clerk.rate_limit.refused_for()
        if refused_for is not None:
            raise errors.too_many_requests(str(refused_for))
    call = Call(
        clerk=clerk,
        path=request.path_params,
        query=request.query_params,
        body=await _body(request),
        api_version=_api_version(request),
    )
    return errors.OrjsonResponse(operation.answer(call))


def _authenticate(clerk: ClerkInstance, request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise errors.authorization_format_invalid()
    if not hmac.compare_digest(key.encode(), clerk.config.secret_key.encode()):
        raise errors.secret_key_invalid()


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


def _list_users(call: Call) -> Any:
    clerk = call.clerk
    users = listing.list_users(clerk.users, call.query, cursors=clerk.config.starting_after)
    return [clerk.user_json(user) for user in users]


def _update_user(call: Call) -> Any:
    """Since API version 2026-05-12 metadata has an operation of its own (OpenAPI)."""
    if (call.api_version or "") >= NO_METADATA_IN_UPDATE_SINCE:
        for name in sorted(params.METADATA & call.body.keys()):
            raise errors.param_unknown(name)
    return call.clerk.update_user(call.path["user_id"], **call.body)


def _create_session(call: Call) -> Any:
    user_id = call.body.get("user_id")
    if not isinstance(user_id, str):
        raise errors.param_missing("user_id")
    return call.clerk.create_session(user_id)


def _create_token(call: Call) -> Any:
    """OpenAPI `CreateSessionToken`: `expires_in_seconds` is 30 seconds to ten years."""
    seconds = call.body.get("expires_in_seconds")
    if seconds is None:
        seconds = TOKEN_LIFETIME
    if not isinstance(seconds, int) or not 30 <= seconds <= 315_360_000:
        raise errors.param_invalid("expires_in_seconds", seconds)
    return {"object": "token", "jwt": call.clerk.token_of_session(call.path["session_id"], seconds)}


def _list_memberships(call: Call) -> Any:
    """OpenAPI `OrganizationMemberships`, with the fields that tell who has which role."""
    user_id = call.path["user_id"]
    memberships = [
        {
            "object": "organization_membership",
            "id": f"orgmem_{organisation}",
            "role": role,
            "organization": {"object": "organization", "id": organisation},
            "public_user_data": {"user_id": user_id},
        }
        for organisation, role in call.clerk.roles.get(user_id, {}).items()
    ]
    return {"data": memberships, "total_count": len(memberships)}


def _of_user(act: Callable[[ClerkInstance, str], Any]) -> Callable[[Call], Any]:
    return lambda call: act(call.clerk, call.path["user_id"])


OPERATIONS = (
    Operation("CreateUser", "POST", "/v1/users", lambda call: call.clerk.create_user(**call.body)),
    Operation("GetUserList", "GET", "/v1/users", _list_users),
    Operation(
        "GetUsersCount",
        "GET",
        "/v1/users/count",
        lambda call: {
            "object": "total_count",
            "total_count": listing.count_users(call.clerk.users, call.query),
        },
    ),
    Operation("GetUser", "GET", "/v1/users/{user_id}", _of_user(ClerkInstance.get_user)),
    Operation("UpdateUser", "PATCH", "/v1/users/{user_id}", _update_user),
    Operation("DeleteUser", "DELETE", "/v1/users/{user_id}", _of_user(ClerkInstance.delete_user)),
    Operation(
        "UpdateUserMetadata",
        "PATCH",
        "/v1/users/{user_id}/metadata",
        lambda call: call.clerk.merge_metadata(call.path["user_id"], **call.body),
    ),
    Operation("BanUser", "POST", "/v1/users/{user_id}/ban", _of_user(ClerkInstance.ban_user)),
    Operation("UnbanUser", "POST", "/v1/users/{user_id}/unban", _of_user(ClerkInstance.unban_user)),
    Operation("LockUser", "POST", "/v1/users/{user_id}/lock", _of_user(ClerkInstance.lock_user)),
    Operation(
        "UnlockUser", "POST", "/v1/users/{user_id}/unlock", _of_user(ClerkInstance.unlock_user)
    ),
    Operation(
        "UsersGetOrganizationMemberships",
        "GET",
        "/v1/users/{user_id}/organization_memberships",
        _list_memberships,
    ),
    Operation("CreateSession", "POST", "/v1/sessions", _create_session),
    Operation(
        "GetSession",
        "GET",
        "/v1/sessions/{session_id}",
        lambda call: session_json(call.clerk.sessions.get(call.path["session_id"])),
    ),
    Operation(
        "RevokeSession",
        "POST",
        "/v1/sessions/{session_id}/revoke",
        lambda call: call.clerk.revoke_session(call.path["session_id"]),
    ),
    Operation("CreateSessionToken", "POST", "/v1/sessions/{session_id}/tokens", _create_token),
    Operation("GetJWKS", "GET", "/v1/jwks", lambda call: call.clerk.jwks(), group="jwks"),
    Operation(
        "GetPublicJWKS",
        "GET",
        "/.well-known/jwks.json",
        lambda call: call.clerk.jwks(),
        group="jwks",
        public=True,
    ),
)
