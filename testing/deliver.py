"""Clerk's webhooks to an application: repeated, late and out of order, with Svix's signatures."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from domain.sync_user import DELETION, FOLLOWED_EVENTS
from scripts.clerk_emulator.deliveries import Message, signed
from service.routes.webhooks import PATH
from testing.clerk import EmulatedClerk, UserLike, clerk_id_of

_CREATED, _UPDATED, _ = FOLLOWED_EVENTS


class NotDelivered(AssertionError):
    """The application did not answer with 2xx. Svix would count that as a failure."""


class _Webhooks:
    """Which messages there are to post. The subclasses post them."""

    def __init__(self, clerk: EmulatedClerk, client: Any, path: str = PATH) -> None:
        """`client` is one of httpx or Starlette, for the application whose webhooks are at `path`.

        Its application has begun its lifespan.
        """
        self._clerk = clerk
        self._client = client
        self._path = path
        self._held: list[Message] = []

    def _asked(
        self,
        event_type: str,
        user: UserLike | None,
        times: int,
        late: bool,  # noqa: FBT001 - named by the caller's caller
        changes: Mapping[str, Any],
    ) -> list[Message]:
        messages = [self._message(event_type, user, changes)] * times
        if late:
            self._held += messages
            return []
        return messages

    def _let_go(self, *, out_of_order: bool) -> list[Message]:
        messages, self._held = self._held, []
        return messages[::-1] if out_of_order else messages

    def _so_far(self, user: UserLike | None, *, times: int, out_of_order: bool) -> list[Message]:
        user_id = None if user is None else clerk_id_of(user)
        messages = [
            message
            for message in self._clerk.sender.messages.values()
            if user_id in (None, message.user_id)
        ] * times
        return messages[::-1] if out_of_order else messages

    def _message(
        self, event_type: str, user: UserLike | None, changes: Mapping[str, Any]
    ) -> Message:
        """The newest message of this type. If there is none, the change is made at Clerk now."""
        clerk = self._clerk
        if event_type not in FOLLOWED_EVENTS:
            raise ValueError(f"{event_type!r} is none of {', '.join(FOLLOWED_EVENTS)}")
        if user is None:
            if event_type != _CREATED:
                raise ValueError(f"{event_type} needs a user")
            user = clerk.sign_up(**changes)
        elif changes and event_type != _UPDATED:
            raise ValueError(f"a {event_type} of an existing user takes no changes")
        elif event_type == _UPDATED and (changes or not self._newest(event_type, user)):
            clerk.update_user(clerk_id_of(user), **changes)
        elif event_type == DELETION and not self._newest(event_type, user):
            clerk.delete_user(clerk_id_of(user))
        if newest := self._newest(event_type, user):
            return newest
        raise ValueError(f"there was no {event_type} of {clerk_id_of(user)}")

    def _newest(self, event_type: str, user: UserLike) -> Message | None:
        sought = (event_type, clerk_id_of(user))
        messages = reversed(self._clerk.sender.messages.values())
        return next((one for one in messages if (one.event_type, one.user_id) == sought), None)

    def _request(self, message: Message) -> dict[str, Any]:
        """Signed at each attempt, as Svix does, so that no signature is too old."""
        clerk = self._clerk
        delivery = signed(message, clerk.config.webhook_secrets, clerk.clock())
        return {"url": self._path, "content": delivery.body, "headers": delivery.headers}

    def _taken(self, message: Message, answer: Any) -> Any:
        if answer.is_success:
            return answer
        words = f"POST {self._path} answered {answer.status_code} to {message.event_type}"
        if answer.status_code == HTTPStatus.NOT_FOUND:
            words += ": is mount(app) called?"
        raise NotDelivered(f"{words}: {answer.text}" if answer.text else words)


class Deliver(_Webhooks):
    """For a client that is not asynchronous, such as Starlette's `TestClient`."""

    def __call__(
        self,
        event_type: str,
        user: UserLike | None = None,
        *,
        times: int = 1,
        late: bool = False,
        **changes: Any,
    ) -> list[Any]:
        """Post a webhook about `user`, `times` times. The answers; `NotDelivered` unless 2xx.

        - `user.created` without a user makes one at Clerk, with `changes`.
        - `user.updated` makes the `changes` at Clerk first. Without `changes` it is the newest one.
        - `user.deleted` deletes the user at Clerk first.

        `late`: it happens at Clerk now, and is posted by `deliver.late()`.
        """
        return self._post(self._asked(event_type, user, times, late, changes))

    def late(self, *, out_of_order: bool = False) -> list[Any]:
        """Post what was held back; the last one first if `out_of_order`."""
        return self._post(self._let_go(out_of_order=out_of_order))

    def again(
        self, user: UserLike | None = None, *, times: int = 1, out_of_order: bool = False
    ) -> list[Any]:
        """Post all webhooks so far once more, of one user or of all, under their own ids."""
        return self._post(self._so_far(user, times=times, out_of_order=out_of_order))

    def _post(self, messages: Sequence[Message]) -> list[Any]:
        return [self._taken(one, self._client.post(**self._request(one))) for one in messages]


class AsyncDeliver(_Webhooks):
    """The same for an asynchronous client, such as `httpx.AsyncClient`."""

    async def __call__(
        self,
        event_type: str,
        user: UserLike | None = None,
        *,
        times: int = 1,
        late: bool = False,
        **changes: Any,
    ) -> list[Any]:
        """As `Deliver.__call__`."""
        return await self._post(self._asked(event_type, user, times, late, changes))

    async def late(self, *, out_of_order: bool = False) -> list[Any]:
        """As `Deliver.late`."""
        return await self._post(self._let_go(out_of_order=out_of_order))

    async def again(
        self, user: UserLike | None = None, *, times: int = 1, out_of_order: bool = False
    ) -> list[Any]:
        """As `Deliver.again`."""
        return await self._post(self._so_far(user, times=times, out_of_order=out_of_order))

    async def _post(self, messages: Sequence[Message]) -> list[Any]:
        return [self._taken(one, await self._client.post(**self._request(one))) for one in messages]
