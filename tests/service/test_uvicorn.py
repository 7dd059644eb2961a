"""What our edge uses of uvicorn and httptools that is not documented."""

import asyncio
import inspect
import re
from pathlib import Path

import httptools
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from service.edge import protocol
from service.edge.protocol import EdgeProtocol

SOURCE = Path(protocol.__file__).read_text()

PROTOCOL = {
    *("app", "connections", "cycle", "flow", "headers", "loop", "parser", "pipeline"),
    *("server_state", "transport", "url", "_unset_keepalive_if_required"),
}
"""Attributes that we use or override."""
OVERRIDDEN = {
    *("connection_made", "connection_lost", "data_received", "eof_received", "shutdown"),
    *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete"),
    *("on_response_complete", "pause_writing", "resume_writing"),
}
INSTEAD = {"on_header", "on_url"}
"""Callbacks of the parser that we do not override."""
CYCLE = {"disconnected", "keep_alive", "message_event", "more_body", "response_started"}
FLOW = {"pause_reading", "resume_reading"}
STATE = {"default_headers"}
PARSER = {
    *("feed_data", "get_http_version", "get_method", "set_dangerous_leniencies", "should_upgrade"),
}
SERVER = {"capture_signals", "config", "force_exit", "handle_exit", "run", "serve", "should_exit"}


def uvicorns() -> httptools_impl.HttpToolsProtocol:
    """A protocol instance as uvicorn creates it."""
    config = uvicorn.Config(FastAPI(), ws="none", log_config=None)
    loop = asyncio.get_running_loop()
    made = httptools_impl.HttpToolsProtocol(config, ServerState(), {}, _loop=loop)
    made.on_message_begin()
    return made


def missing(found: object, names: set[str]) -> set[str]:
    return {name for name in names if not hasattr(found, name)}


async def test_every_attribute_that_we_use_is_there() -> None:
    made = uvicorns()
    assert missing(made, PROTOCOL | OVERRIDDEN | INSTEAD) == set(), "of uvicorn's protocol"
    assert missing(made.parser, PARSER) == set(), "of httptools' parser"
    assert missing(made.server_state, STATE) == set(), "of uvicorn's state"
    assert missing(FlowControl, FLOW) == set(), "of uvicorn's flow control"
    cycle = set(inspect.signature(httptools_impl.RequestResponseCycle).parameters)
    source = inspect.getsource(httptools_impl.RequestResponseCycle.__init__)
    assert {name for name in CYCLE if f"self.{name} " not in source} == set(), "of its cycle"
    assert {"on_response", "keep_alive", "scope"} <= cycle, "of its cycle's making"
    assert missing(uvicorn.Server(made.config), SERVER | {"started"}) == set(), "of its server"
    assert httptools.HttpParserUpgrade(7).args == (7,)


async def test_uvicorn_makes_our_protocol_as_its_own() -> None:
    """The file uses exactly these attributes."""
    source = inspect.getsource(uvicorn.Server.startup)
    call = source.partition("config.http_protocol_class(")[2].partition(")")[0]
    assert [one.partition("=")[0].split()[-1] for one in call.split(",") if "=" in one] == [
        *("config", "server_state", "app_state", "_loop"),
    ]


@pytest.mark.parametrize(
    ("of", "names"),
    [
        ("self", PROTOCOL | OVERRIDDEN),
        ("self.cycle", CYCLE),
        ("self.flow", FLOW),
        ("self.parser", PARSER),
        ("self.server_state", STATE),
        ("super()", OVERRIDDEN),
    ],
)
def test_nothing_else_is_leaned_on(of: str, names: set[str]) -> None:
    """Every attribute in our file is named above, or our own."""
    used = attributes(of)
    assert used, f"{of} is not used at all"
    ours = set(vars(EdgeProtocol)) | assigned()
    assert used - names - ours - {"__init__"} == set()


def attributes(of: str) -> set[str]:
    """The attributes of this expression in our file."""
    return set(re.findall(rf"(?<![\w.]){re.escape(of)}\.(\w+)", SOURCE))


def assigned() -> set[str]:
    """The private attributes that our own class makes."""
    return set(re.findall(r"(?<![\w.])self\.(_\w+)(?:, self\._\w+)*(?:: [^=\n]+)? = ", SOURCE))
