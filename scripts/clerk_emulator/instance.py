"""One Clerk instance: its users, sessions, keys, webhooks, faults and quota.

Every change of a user goes through here, so that every change sends its webhook.
"""

import time
from collections.abc import Mapping
from itertools import count as numbers
from itertools import islice
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.clerk_emulator import errors, events
from scripts.clerk_emulator.config import Clock, EmulatorConfig
from scripts.clerk_emulator.deliveries import Message
from scripts.clerk_emulator.faults import Faults
from scripts.clerk_emulator.ids import new_id
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


def system_clock() -> int:
    return time.time_ns() // 1_000_000


class ClerkInstance:
    """What Clerk knows and does, without its HTTP surface.

    `clock` gives Clerk's time in milliseconds. `transport` replaces the network of the webhook
    sender, for instance by `httpx.ASGITransport(app)`.
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
        self.keys = SigningKeys(self.config.instance_id, signing_key)
        self.faults = Faults()
        self.calls = Calls()
        self.rate_limit = RateLimit(self.config.rate_limit, self.config.rate_window)
        self.sender = Sender(
            clock=clock,
            endpoints=self.config.endpoints,
            time_scale=self.config.time_scale,
            attempt_timeout=self.config.attempt_timeout,
            transport=transport,
        )

    @property
    def url(self) -> str:
        return self.config.url

    async def start(self) -> None:
        """Begin to send webhooks; what happened before is sent now."""
        await self.sender.start()

    async def stop(self) -> None:
        """Stop sending, and let go of answers that a fault held back."""
        self.faults.clear()
        await self.sender.stop()

    # Users, in Clerk's own parameters and JSON

    def create_user(self, /, **params: Any) -> dict[str, Any]:
        """As `POST /v1/users`."""
        user = self.users.add(new_user(params, self.clock()))
        return self._announce("user.created", user)

    def get_user(self, user_id: str) -> dict[str, Any]:
        return self.user_json(self.users.get(user_id))

    def update_user(self, user_id: str, /, **params: Any) -> dict[str, Any]:
        """As `PATCH /v1/users/{id}`."""
        user = self.users.get(user_id)
        return self._change(user, **changes(user, params, self.clock()))

    def merge_metadata(self, user_id: str, /, **params: Any) -> dict[str, Any]:
        """As `PATCH /v1/users/{id}/metadata`."""
        user = self.users.get(user_id)
        patches = metadata_only(params)
        fields = {name: merged(getattr(user, name), patch) for name, patch in patches.items()}
        return self._change(user, **fields)

    def replace_metadata(self, user_id: str, /, **params: Any) -> dict[str, Any]:
        """As `PUT /v1/users/{id}/metadata`."""
        return self._change(self.users.get(user_id), **metadata_only(params))

    def ban_user(self, user_id: str) -> dict[str, Any]:
        """All sessions of a banned user are revoked (OpenAPI `BanUser`)."""
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
        """Set any field of the record, such as `deprovisioned` or `image_url`."""
        return self._change(self.users.get(user_id), **fields)

    def delete_user(self, user_id: str) -> dict[str, Any]:
        """As `DELETE /v1/users/{id}`."""
        user = self.users.get(user_id)
        self.users.remove(user)
        self.sessions.remove_all_of(user_id)
        deleted = events.deleted_user(user)
        self._send("user.deleted", deleted, not_before=user.updated_at + 1)
        return deleted

    def create_users(self, count: int) -> None:
        """So many people at once, one created every second until now, without webhooks."""
        now = self.clock()
        free = (number for number in numbers(len(self.users)) if self._is_free(number))
        self.users.add_many(
            [
                _somebody(number, now - 1000 * (count - index))
                for index, number in enumerate(islice(free, count))
            ]
        )

    def user_json(self, user: User) -> dict[str, Any]:
        return user_json(user, self.config.instance_id)

    # Sessions and tokens

    def create_session(self, user_id: str) -> dict[str, Any]:
        """As `POST /v1/sessions`. A banned user gets none."""
        if self.users.get(user_id).banned:
            raise errors.user_banned()
        session = self.sessions.create(user_id, self.clock())
        self._announce_session("session.created", session)
        return session_json(session)

    def revoke_session(self, session_id: str) -> dict[str, Any]:
        session = self.sessions.revoke(session_id, self.clock())
        self._announce_session("session.revoked", session)
        return session_json(session)

    def session_token(
        self, user_id: str, *, headers: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token for any user id, there or not, with these claims; None removes a claim."""
        active = self.sessions.active_of(user_id)
        session = active[0] if active else self.sessions.create(user_id, self.clock())
        return self._session_token(session, TOKEN_LIFETIME, claims, headers or {})

    def token_of_session(self, session_id: str, lifetime: int = TOKEN_LIFETIME) -> str:
        """As `POST /v1/sessions/{id}/tokens`; none for a session that is over."""
        return self._session_token(self._active_session(session_id), lifetime, {}, {})

    def template_token(self, session_id: str, lifetime: int = TOKEN_LIFETIME) -> str:
        """As `POST /v1/sessions/{id}/tokens/{template}`: same key, another category."""
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
        """The dashboard's "Send Example". `ValueError` for an event without one."""
        return self.sender.send(events.dashboard_example(event_type))

    def _is_free(self, number: int) -> bool:
        return not self.users.has_email_address(_address(number))

    def _change(self, user: User, **fields: Any) -> dict[str, Any]:
        return self._announce("user.updated", self.users.change(user, self.clock(), **fields))

    def _announce(self, event_type: str, user: User) -> dict[str, Any]:
        snapshot = self.user_json(user)
        self._send(event_type, snapshot, not_before=user.updated_at)
        return snapshot

    def _announce_session(self, event_type: str, session: Session) -> None:
        if self.config.session_events:
            data = session_json(session) | {"user": self.get_user(session.user_id)}
            self._send(event_type, data, not_before=session.updated_at)

    def _send(self, event_type: str, data: dict[str, Any], *, not_before: int) -> None:
        """An event is never older than what it tells of."""
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


def _somebody(number: int, created_at: int) -> User:
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
