"""Posts webhooks as fast as the service answers, and records the answer for every svix id."""

import asyncio
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Self

from tests.e2e.messages import Message
from tests.e2e.processes import ServiceProcess, eventually
from tests.running import svix_headers


class Fate(StrEnum):
    """What a sender knows about its message."""

    ACKNOWLEDGED = "acknowledged"
    """Answered 2xx: it must never be lost."""
    REFUSED = "refused"
    """Answered otherwise, or no connection: Svix sends it again."""
    AMBIGUOUS = "ambiguous"
    """Sent without an answer: perhaps applied, perhaps not. Svix sends it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One POST. `began` and `ended` are in seconds of the monotonic clock."""

    message: Message
    fate: Fate
    began: float
    ended: float
    status: int | None = None
    retry_after: str | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Load:
    """Sends `messages` from `senders` connections at once, during the `async with` block.

    At the end of the block each sender finishes its message. A `stubborn` sender repeats a message
    until it is acknowledged, as Svix does; others take the next message after any answer. A sender
    pauses for `rest` seconds after an acknowledgement.
    """

    def __init__(
        self,
        service: ServiceProcess,
        messages: Iterator[Message],
        senders: int = 32,
        *,
        stubborn: bool = False,
        rest: float = 0.0,
    ) -> None:
        self._service = service
        self._stubborn = stubborn
        self._rest = rest
        self._messages = messages
        # Threads: a blocking client takes a fifth of the CPU time of an asynchronous one.
        self._threads = ThreadPoolExecutor(senders)
        self._senders = [Sender(service) for _ in range(senders)]
        self._sending: list[asyncio.Task[None]] = []
        self._over = False
        self.attempts: list[Attempt] = []

    async def __aenter__(self) -> Self:
        self._sending = [asyncio.create_task(self._send_on(sender)) for sender in self._senders]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await self.all_sent()
        self._threads.shutdown()

    async def all_sent(self) -> None:
        """Wait until every message is sent."""
        await asyncio.gather(*self._sending)

    async def acknowledged(self, number: int) -> None:
        """Wait until `number` more messages are acknowledged."""
        wanted = len(self.told(Fate.ACKNOWLEDGED)) + number

        async def so_many() -> bool:
            return len(self.told(Fate.ACKNOWLEDGED)) >= wanted

        await eventually(so_many)

    async def nothing_but_refused(self, number: int) -> None:
        """Wait until `number` attempts in a row are refused."""
        before = len(self.attempts)

        def so_many() -> bool:
            last = self.attempts[before:][-number:]
            return len(last) == number and all(one.fate is Fate.REFUSED for one in last)

        await eventually(so_many)

    @property
    def svix_ids(self) -> set[str]:
        return {one.message.svix_id for one in self.attempts}

    @property
    def user_ids(self) -> set[str]:
        return {one.message.user_id for one in self.attempts}

    def told(self, fate: Fate) -> set[str]:
        """The svix ids with an attempt that ended so."""
        return {one.message.svix_id for one in self.attempts if one.fate is fate}

    def within(self, after: float, before: float = math.inf) -> list[Attempt]:
        """The attempts that began and ended between two moments of the monotonic clock."""
        return [one for one in self.attempts if after <= one.began and one.ended <= before]

    async def redeliver(self) -> "Load":
        """Send every message again until it is acknowledged, as Svix's replay does.

        A healthy service may refuse some for a moment when the machine is busy.
        """
        messages = {one.message for one in self.attempts}
        async with Load(self._service, iter(messages), stubborn=True) as again:
            await again.all_sent()
        return again

    async def _send_on(self, sender: "Sender") -> None:
        with sender:
            while not self._over and (message := next(self._messages, None)):
                fate = await self._send(sender, message)
                while self._stubborn and fate is not Fate.ACKNOWLEDGED:
                    fate = await self._send(sender, message)

    async def _send(self, sender: "Sender", message: Message) -> Fate:
        loop = asyncio.get_running_loop()
        attempt = await loop.run_in_executor(self._threads, sender.attempt, message)
        self.attempts.append(attempt)
        acknowledged = attempt.fate is Fate.ACKNOWLEDGED
        await asyncio.sleep(self._rest if acknowledged else 0.05)
        return attempt.fate


class Sender:
    """A blocking client with one connection, which it reopens after a failure."""

    def __init__(self, service: ServiceProcess) -> None:
        self._connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        self._secret = service.secret

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def attempt(self, message: Message) -> Attempt:
        """Sign the message with the present time and post it."""
        began = time.monotonic()
        fate, status, retry_after = self._told(message)
        return Attempt(
            message=message,
            fate=fate,
            began=began,
            ended=time.monotonic(),
            status=status,
            retry_after=retry_after,
        )

    def _told(self, message: Message) -> tuple[Fate, int | None, str | None]:
        try:
            answer = self._post(message)
        except ConnectionRefusedError:
            return Fate.REFUSED, None, None
        except (OSError, HTTPException):
            self._connection.close()
            return Fate.AMBIGUOUS, None, None
        fate = Fate.ACKNOWLEDGED if 200 <= answer.status < 300 else Fate.REFUSED
        return fate, answer.status, answer.headers["retry-after"]

    def _post(self, message: Message) -> HTTPResponse:
        headers = svix_headers(self._secret, message.body, svix_id=message.svix_id)
        self._connection.request("POST", "/webhooks/clerk", message.body, headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer
