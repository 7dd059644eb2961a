"""Parses the requests of one connection."""

import asyncio
from typing import Any, Protocol

import httptools

from service.edge.budget import Budget
from service.edge.head import check_head, place_of, without_upgrade
from service.edge.refusals import BAD_REQUEST, HEAD_TOO_LONG, NO_TUNNEL
from service.errors import Rejected


class Requests(Protocol):
    """Where the requests of a connection go."""

    def began(self, scope: dict[str, Any], *, keep_alive: bool) -> None:
        """The head of a request is complete. Raises `Rejected` to refuse it."""

    def arrived(self, part: bytes) -> None:
        """A part of the body of the newest request."""

    def completed(self) -> None:
        """The newest request is complete."""

    def parsed_again(self, size: int) -> None:
        """The bytes since the last request are parsed again, as `size` bytes without an upgrade."""


class Reader:
    """httptools' parser with stricter checks. It is called back for each part of a request."""

    def __init__(
        self,
        requests: Requests,
        transport: asyncio.Transport,
        budget: Budget,
        root_path: str,
    ) -> None:
        self._requests = requests
        self._place = place_of(transport, root_path)
        self._budget = budget
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser = self._new_parser()
        self.head_is_open = False
        """Whether a part of a head has arrived, and not all of it."""
        self.unfinished = 0
        """Bytes received after the last piece that completed a head or had a part of a body."""

    def feed(self, data: bytes | memoryview) -> None:
        """Parse. Raises httptools' `HttpParserError`; `refusal_of` has the answer to it."""
        self.unfinished += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser parses nothing that follows a head with an upgrade.
            method, version = self._parser.get_method(), self._parser.get_http_version()
            head = without_upgrade(method, self._url, version, self._headers)
            again = head + bytes(data[upgrade.args[0] :])
            self._requests.parsed_again(len(again))
            self._parser = self._new_parser()
            self.feed(again)

    def check(self) -> tuple[int, str] | None:
        """The refusal of what has arrived and is not complete: the parser does not count it."""
        if self.unfinished <= self._budget.head_bytes:
            return None
        return HEAD_TOO_LONG if self.head_is_open else BAD_REQUEST

    def close(self) -> None:
        """Parse no more. A cycle of references would keep the connection in memory."""
        del self._parser, self._requests

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # The parser would refuse a request after one that asks to close, before the answer to it.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self.head_is_open = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))
        if len(self._headers) > self._budget.headers:
            raise Rejected(*(HEAD_TOO_LONG if self.head_is_open else BAD_REQUEST))

    def on_headers_complete(self) -> None:
        version = self._parser.get_http_version()
        check_head(self._url, version, self._headers, self.unfinished, self._budget)
        method = self._parser.get_method()
        if self._parser.should_upgrade():  # the parser stops after this head
            if method == b"CONNECT":
                raise Rejected(*NO_TUNNEL)
            return
        self.head_is_open = False
        self.unfinished = 0
        scope = self._place.scope(method, self._url, version, self._headers)
        self._headers = []  # trailers must not become headers (RFC 9110 §6.5.1)
        self._url = b""  # the connection may stay open
        keep_alive = version != "1.0" and self._parser.should_keep_alive()
        self._requests.began(scope, keep_alive=keep_alive)

    def on_body(self, body: bytes) -> None:
        self.unfinished = 0
        self._requests.arrived(body)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._headers.clear()  # the connection may stay open, and trailers are not used
        self.unfinished = 0
        self._requests.completed()
