"""`make demo` where a proxy is dead, there is no home and nothing reads the output."""

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT

SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
DEAD_PROXY = "http://127.0.0.1:9"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets the size of a pipe")
def test_the_demo_passes_where_a_proxy_is_dead_no_home_is_and_nothing_reads(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, SET_PIPE_SIZE, 4096)
    os.write(writer, b" " * 4096)  # the next write blocks
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path / "missing"),
        **dict.fromkeys(NAMES, DEAD_PROXY),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.run", "--once"],
        cwd=tmp_path,
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as demo:
        try:
            assert demo.wait(200) == 0, demo.stderr and demo.stderr.read()
        finally:
            with suppress(ProcessLookupError):  # it has ended, and its children with it
                os.killpg(demo.pid, signal.SIGKILL)
            os.close(reader)
            os.close(writer)
