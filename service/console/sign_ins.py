"""Sign-ins at the console. They are kept in the store, so that they end on every replica at once.

A sign-in ends with its ground: the token or list in the settings, the user, their Clerk session,
their role, or the Clerk session in the same browser. All of it is checked at each request. Clerk is
asked only when the last session token is expired and the last proof is a minute old.
"""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe

from domain.console import AuditTrail, ClerkSessions, ConsoleSession, ConsoleSessions
from domain.errors import IdentityProviderUnavailable
from domain.ports import Session, UserRepository
from domain.user import LocalUser, UserId
from service.console.access import Access, Visitor
from service.console.timeouts import CLERK_TIMEOUT_OF_A_PAGE

LIFETIME = timedelta(hours=8)

CONFIRM_EVERY = timedelta(seconds=60)
"""How old a proof of the Clerk session may be: as old as a session token becomes."""

UNCONFIRMED_FOR = timedelta(minutes=10)
"""For how long a sign-in lasts while Clerk does not answer."""

LOCKED_OUT = "the user is deleted or banned"
IMPERSONATED = "another person impersonates the user"


@dataclass(frozen=True, slots=True)
class Browser:
    """What the request shows of the Clerk session in the same browser.

    `session` is None if its token has expired or cannot be checked now.
    """

    has_cookie: bool
    session: Session | None = None


@dataclass(frozen=True, kw_only=True)
class SignIns:
    """Opens, checks and ends them. Each method raises `StorageUnavailable`."""

    access: Access
    kept: ConsoleSessions
    users: UserRepository
    clerk: ClerkSessions
    audit: AuditTrail

    async def open(self, ground: str, session: Session | None) -> str:
        """The secret for the cookie. `session` is the Clerk session, if that is the ground."""
        secret = token_urlsafe(32)
        opened = ConsoleSession(key=_key(secret), ground=ground)
        if session is not None:
            opened = replace(
                opened,
                user_id=session.user_id,
                clerk_session_id=session.session_id,
                confirmed_ago=_age(session),
            )
        await self.kept.open(opened, LIFETIME)
        await self._note(self._name(opened), "sign in", "signed in")
        return secret

    async def visitor(self, unverified_secret: str, browser: Browser) -> Visitor | None:
        """None if it has ended. Raises `IdentityProviderUnavailable` if Clerk was away for long."""
        kept = await self.kept.find(_key(unverified_secret))
        if kept is None:
            return None
        if reason := await self._why_ended(kept, browser):
            await self.kept.end(kept.key)
            await self._note(self._name(kept), "sign-in ended", reason)
            return None
        return Visitor(
            name=self._name(kept),
            may_act=self.access.rights[kept.ground].may_act,
            form_proof=self.access.proof(unverified_secret),
            user_id=kept.user_id,
        )

    async def is_locked_out(self, user_id: UserId) -> bool:
        """Whether the user is deleted or banned."""
        record = await self.users.get(user_id)
        return record is not None and not (isinstance(record, LocalUser) and not record.banned)

    async def end(self, unverified_secret: str) -> None:
        """End it. Of a Clerk user, end every sign-in, in every browser."""
        kept = await self.kept.find(_key(unverified_secret))
        if kept is None:
            return
        if kept.user_id is None:
            await self.kept.end(kept.key)
        else:
            await self.kept.end_all_of(kept.user_id)
        await self._note(self._name(kept), "sign out", "signed out")

    async def end_this(self, unverified_secret: str) -> None:
        """End the earlier sign-in of a browser that signs in anew."""
        await self.kept.end(_key(unverified_secret))

    async def failed(self, who: str, network: str, reason: str) -> None:
        """Write a failed attempt to the audit trail, unless there are too many."""
        if self.access.failures_on_the_trail.allows():
            await self._note(who, "sign in", f"refused: {reason}", network=network)

    async def _why_ended(self, kept: ConsoleSession, browser: Browser) -> str:
        if kept.ground not in self.access.rights:
            return "the settings no longer permit it"
        if kept.user_id is None:
            return ""
        if await self.is_locked_out(kept.user_id):
            return LOCKED_OUT
        return await self._why_ended_in(browser, kept, kept.user_id)

    async def _why_ended_in(self, browser: Browser, kept: ConsoleSession, user_id: UserId) -> str:
        if not browser.has_cookie:
            return "signed out of the application in this browser"
        if browser.session is not None:
            return await self._why_ended_by(browser.session, kept)
        if kept.confirmed_ago < CONFIRM_EVERY:
            return ""
        return await self._why_ended_at_clerk(kept, user_id)

    async def _why_ended_by(self, session: Session, kept: ConsoleSession) -> str:
        if session.user_id != kept.user_id:
            return "another user in this browser"
        if session.session_id != kept.clerk_session_id:
            return "another session of the user in this browser"
        if self.access.of_session(session) != kept.ground:
            return "the session no longer has that permission"
        age = _age(session)
        if kept.confirmed_ago - age > CONFIRM_EVERY / 2:  # a write at each request is not needed
            await self.kept.confirm(kept.key, age)
        return ""

    async def _why_ended_at_clerk(self, kept: ConsoleSession, user_id: UserId) -> str:
        try:
            async with asyncio.timeout(CLERK_TIMEOUT_OF_A_PAGE):
                if not await self.clerk.is_active(kept.clerk_session_id or "", user_id):
                    return "the session has ended at Clerk"
                organisation, _, role = kept.ground.partition(":")
                if role and not await self.clerk.has_role(user_id, organisation, role):
                    return "the role was removed at Clerk"
        except (IdentityProviderUnavailable, TimeoutError) as error:
            if kept.confirmed_ago < UNCONFIRMED_FOR:
                return ""
            why = str(error) or "no answer in time"
            raise IdentityProviderUnavailable(f"the session cannot be confirmed: {why}") from None
        await self.kept.confirm(kept.key, timedelta(0))
        return ""

    def _name(self, kept: ConsoleSession) -> str:
        right = self.access.rights.get(kept.ground)
        return kept.user_id or (right.name if right else "token")

    async def _note(self, who: str, action: str, result: str, **detail: str) -> None:
        action_id = await self.audit.begin(who=who, action=action, target=None, detail=detail)
        await self.audit.end(action_id, result=result, detail=detail)


def _age(session: Session) -> timedelta:
    """How long ago Clerk vouched for the session: when it issued the token."""
    return max(datetime.now(UTC) - session.issued_at, timedelta(0))


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
