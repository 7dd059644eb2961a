"""One Clerk instance: its users, sessions, keys, webhooks, faults and rate limit.

All changes of users go through this class, so every change sends its webhook.
"""

from collections.abc import Mapping
from itertools import count as numbers
from itertools import islice
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.clerk_emulator import errors, events
from scripts.clerk_emulator.config import Clock, EmulatorConfig, new_id, system_clock
from scripts.clerk_emulator.deliveries import Message, SignedDelivery, signed
from scripts.clerk_emulator.faults import Faults
from scripts.clerk_emulator.limits import Calls, RateLimit
from scripts.clerk_emulator.params import changes, merged, metadata_only, new_user
from scripts.clerk_emulator.sender import Sender
from scripts.clerk_emulator.sessions import (
    SESSION_CATEGORY,
    TEMPLATE_CATEGORY,
    TOKEN_LIFETIME,
    Session,
    Sessions,
    SigningKeys,
    session_claims,
    session_json,
    template_claims,
)
from scripts.clerk_emulator.user import Identification, User, user_json
from scripts.clerk_emulator.users import Users


class ClerkInstance:
    """A Clerk instance without its HTTP API.

    `clock` is Clerk's clock, in milliseconds. `signing_key` is random unless given, which takes a
    tenth of a second. `transport` replaces the network of the webhook sender: with
    `httpx.ASGITransport(app)` webhooks reach an application in process.

    Users and sessions are Clerk's own JSON objects, and the parameters of `create_user` and
    `update_user` are those of Clerk's Backend API. Methods raise `ClerkApiError` where Clerk
    answers with an error.
    """

    def __init__(
        self,
        config: EmulatorConfig | None = None,
        *,
        clock: Clock = system_clock,
        signing_key: rsa.RSAPrivateKey | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config or EmulatorConfig()
        self.clock = clock
        self.users = Users()
        self.sessions = Sessions()
        self.roles: dict[str, dict[str, str]] = {}
        self.keys = SigningKeys(self.config.instance_id, signing_key)
        self.faults = Faults()
        self.calls = Calls()
        self.rate_limit = RateLimit(self.config.rate_limit)
        self.sender = Sender(
            clock=clock,
            endpoints=self.config.endpoints,
            time_scale=self.config.time_scale,
            transport=transport,
        )

    @property
    def url(self) -> str:
        return self.config.url

    async def start(self) -> None:
        """Begin to post webhooks to the endpoints, starting with those of earlier changes."""
        await self.sender.start()

    async def stop(self) -> None:
        """Stop posting webhooks, and answer the calls that a fault holds."""
        self.faults.clear()
        await self.sender.stop()

    # Users

    def set_roles(self, user_id: str, /, **roles: str) -> None:
        """The user's organisations and their role in each, as in `org_2abc="org:admin"`."""
        self.roles[user_id] = roles

    def create_user(self, /, **params: Any) -> dict[str, Any]:
        """`POST /v1/users`, as in `create_user(email_address=["ada@example.com"])`."""
        user = self.users.add(new_user(params, self.clock()))
        return self._announce("user.created", user)

    def get_user(self, user_id: str) -> dict[str, Any]:
        """`GET /v1/users/{id}`."""
        return self.user_json(self.users.get(user_id))

    def update_user(self, user_id: str, /, **params: Any) -> dict[str, Any]:
        """`PATCH /v1/users/{id}`, as in `update_user(user_id, first_name="Ada")`."""
        user = self.users.get(user_id)
        return self._change(user, **changes(user, params, self.clock()))

    def merge_metadata(self, user_id: str, /, **params: Any) -> dict[str, Any]:
        """`PATCH /v1/users/{id}/metadata`."""
        user = self.users.get(user_id)
        patches = metadata_only(params)
        fields = {name: merged(getattr(user, name), patch) for name, patch in patches.items()}
        return self._change(user, **fields)

    def ban_user(self, user_id: str) -> dict[str, Any]:
        """`POST /v1/users/{id}/ban`. It revokes the user's sessions (OpenAPI `BanUser`)."""
        for session in self.sessions.active_of(user_id):
            self.revoke_session(session.id)
        return self.edit_user(user_id, banned=True)

    def unban_user(self, user_id: str) -> dict[str, Any]:
        return self.edit_user(user_id, banned=False)

    def lock_user(self, user_id: str) -> dict[str, Any]:
        return self.edit_user(user_id, locked=True)

    def unlock_user(self, user_id: str) -> dict[str, Any]:
        return self.edit_user(user_id, locked=False)

    def edit_user(self, user_id: str, **fields: Any) -> dict[str, Any]:
        """Set any field of the `User` record, also those that Clerk's API cannot set."""
        return self._change(self.users.get(user_id), **fields)

    def delete_user(self, user_id: str) -> dict[str, Any]:
        """`DELETE /v1/users/{id}`."""
        user = self.users.get(user_id)
        self.users.remove(user)
        self.sessions.remove_all_of(user_id)
        deleted = events.deleted_user(user)
        self._send("user.deleted", deleted, not_before=user.updated_at + 1)
        return deleted

    def create_users(self, count: int) -> None:
        """Add `count` users without webhooks. They were created one per second until now."""
        now = self.clock()
        free = (
            number
            for number in numbers(len(self.users))
            if not self.users.has_email_address(_address(number))
        )
        self.users.add_many(
            [
                _numbered_user(number, now - 1000 * (count - index))
                for index, number in enumerate(islice(free, count))
            ]
        )

    def user_json(self, user: User) -> dict[str, Any]:
        return user_json(user, self.config.instance_id)

    # Sessions and tokens

    def create_session(self, user_id: str) -> dict[str, Any]:
        """`POST /v1/sessions`. Raises `ClerkApiError` 403 for a banned user."""
        if self.users.get(user_id).banned:
            raise errors.user_banned()
        return session_json(self.sessions.create(user_id, self.clock()))

    def revoke_session(self, session_id: str) -> dict[str, Any]:
        """`POST /v1/sessions/{id}/revoke`."""
        return session_json(self.sessions.revoke(session_id, self.clock()))

    def session_token(
        self, user_id: str, *, headers: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """A signed session token for any user id, also one that does not exist.

        `claims` and `headers` replace the usual ones; a claim of None is left out.
        """
        active = self.sessions.active_of(user_id)
        session = active[0] if active else self.sessions.create(user_id, self.clock())
        return self._session_token(session, TOKEN_LIFETIME, claims, headers or {})

    def token_of_session(self, session_id: str, lifetime: int = TOKEN_LIFETIME) -> str:
        """`POST /v1/sessions/{id}/tokens`. Raises `ClerkApiError` 404 for a revoked session."""
        return self._session_token(self._active_session(session_id), lifetime, {}, {})

    def template_token(self, session_id: str, lifetime: int = TOKEN_LIFETIME) -> str:
        """A token from a JWT template: the same key and another category."""
        claims = template_claims(
            user_id=self._active_session(session_id).user_id,
            issuer=self.config.token_issuer,
            authorized_party=self.config.authorized_party,
            now=self.clock() // 1000,
            lifetime=lifetime,
        )
        return self.keys.sign(claims, {"cat": TEMPLATE_CATEGORY})

    def jwks(self) -> dict[str, Any]:
        return self.keys.jwks()

    # Webhooks

    def send_example(self, event_type: str = "user.created") -> Message:
        """The dashboard's "Send Example". Raises `ValueError` for an event without an example."""
        return self.sender.send(events.dashboard_example(event_type))

    def deliveries(self, user_id: str | None = None) -> list[SignedDelivery]:
        """The webhooks so far, of one user or of all, in the order of the changes.

        Each call signs them afresh, as Svix does for each attempt, so none of them is too old.
        A test posts them itself: one of them twice, the list reversed, or one after the others.
        """
        secrets, now = self.config.webhook_secrets, self.clock()
        return [
            signed(message, secrets, now)
            for message in self.sender.messages.values()
            if user_id in (None, message.user_id)
        ]

    def _change(self, user: User, **fields: Any) -> dict[str, Any]:
        return self._announce("user.updated", self.users.change(user, self.clock(), **fields))

    def _announce(self, event_type: str, user: User) -> dict[str, Any]:
        snapshot = self.user_json(user)
        self._send(event_type, snapshot, not_before=user.updated_at)
        return snapshot

    def _send(self, event_type: str, data: dict[str, Any], *, not_before: int) -> None:
        """An event's timestamp is never before the `updated_at` of its data."""
        timestamp = max(self.clock(), not_before)
        instance_id = self.config.instance_id
        self.sender.send(
            events.event(event_type, data, instance_id=instance_id, timestamp=timestamp)
        )

    def _active_session(self, session_id: str) -> Session:
        session = self.sessions.get(session_id)
        if session.status != "active":
            raise errors.session_not_found(session_id)
        return session

    def _session_token(
        self,
        session: Session,
        lifetime: int,
        claims: Mapping[str, Any],
        headers: Mapping[str, Any],
    ) -> str:
        usual = session_claims(
            user_id=session.user_id,
            session_id=session.id,
            issuer=self.config.token_issuer,
            authorized_party=self.config.authorized_party,
            now=self.clock() // 1000,
            lifetime=lifetime,
        )
        wanted = {name: one for name, one in {**usual, **claims}.items() if one is not None}
        return self.keys.sign(wanted, {"cat": SESSION_CATEGORY, **headers})


def _numbered_user(number: int, created_at: int) -> User:
    email = Identification(
        id=new_id("idn"),
        kind="email_address",
        value=_address(number),
        created_at=created_at,
        updated_at=created_at,
    )
    return User(
        id=new_id("user"),
        created_at=created_at,
        updated_at=created_at + 18,
        last_active_at=created_at,
        first_name="User",
        last_name=str(number),
        identifications=(email,),
        primary_email_address_id=email.id,
    )


def _address(number: int) -> str:
    return f"user{number:06}@example.com"
