"""What our edge uses of uvicorn and httptools that is not documented."""

import inspect
import re
from pathlib import Path

import httptools
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from service.edge import protocol, reader

CONFIG = {"root_path", "loaded_app"}
STATE = {"connections", "tasks", "default_headers", "total_requests"}
CALLED = {"shutdown"}
"""The methods of a connection that uvicorn calls by itself."""
PARSER = {
    *("feed_data", "get_http_version", "get_method", "set_dangerous_leniencies"),
    *("should_keep_alive", "should_upgrade"),
}
SERVER = {"capture_signals", "config", "force_exit", "handle_exit", "run", "serve", "should_exit"}


def missing(found: object, names: set[str]) -> set[str]:
    return {name for name in names if not hasattr(found, name)}


def test_every_attribute_that_we_use_is_there() -> None:
    config = uvicorn.Config(FastAPI(), ws="none", log_config=None)
    config.load()
    assert missing(config, CONFIG) == set(), "of uvicorn's configuration"
    assert missing(ServerState(), STATE) == set(), "of uvicorn's state"
    assert missing(uvicorn.Server(config), SERVER | {"started"}) == set(), "of its server"
    assert missing(httptools.HttpRequestParser(object()), PARSER) == set(), "of httptools' parser"
    assert httptools.HttpParserUpgrade(7).args == (7,)


def test_uvicorn_makes_our_protocol_as_its_own() -> None:
    """The constructor takes exactly these arguments."""
    source = inspect.getsource(uvicorn.Server.startup)
    call = source.partition("config.http_protocol_class(")[2].partition(")")[0]
    assert [one.partition("=")[0].split()[-1] for one in call.split(",") if "=" in one] == [
        *("config", "server_state", "app_state", "_loop"),
    ]


def test_uvicorn_calls_nothing_else_of_a_connection() -> None:
    source = inspect.getsource(uvicorn.Server)
    assert set(re.findall(r"\bconnection\.(\w+)\(", source)) == CALLED
    assert missing(protocol.EdgeProtocol, CALLED) == set()


def test_uvicorn_replaces_the_default_headers_and_never_changes_the_list() -> None:
    """The edge writes them as lines once for each list."""
    source = inspect.getsource(uvicorn.Server)
    assert source.count("default_headers =") == source.count("default_headers") > 0


@pytest.mark.parametrize(
    ("module", "of", "names"),
    [
        (protocol, "config", CONFIG),
        (protocol, "self._state", STATE),
        (protocol, "server_state", STATE),
        (reader, "self._parser", PARSER),
        (reader, "parser", PARSER),
    ],
)
def test_nothing_else_is_leaned_on(module: object, of: str, names: set[str]) -> None:
    """Every attribute that these files use is named above."""
    source = Path(inspect.getsourcefile(module) or "").read_text()  # type: ignore[arg-type]
    used = set(re.findall(rf"(?<![\w.]){re.escape(of)}\.(\w+)", source))
    assert used, f"{of} is not used at all"
    assert used - names == set()
