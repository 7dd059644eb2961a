"""What the benchmark's client counts, and the moment from which CPU counts."""

import asyncio
import sys
from itertools import cycle

import pytest

from bench.arrivals import World
from bench.client import Spec, ask
from bench.contestants import Contestant, Running
from bench.processes import PROC
from bench.rounds import measured
from bench.works import Load, Work

WORLD = World(instance_id="ins_1", secret="whsec_c2VjcmV0", template={}, tokens=("one",), users=1)
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"

BURNS_UNTIL_ASKED = f"""
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
listener.setblocking(False)
while True:
    try:
        connection, _ = listener.accept()
        break
    except BlockingIOError:
        pass
print(time.process_time(), flush=True)
connection.setblocking(True)
while connection.recv(65536):
    connection.sendall({ANSWER!r})
"""


async def test_an_answer_after_the_end_does_not_count() -> None:
    load = Load(connections=4, warm_up=0.0, seconds=0.2)

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await asyncio.sleep(2 * load.seconds)
        writer.write(ANSWER)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer_late, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        spec = Spec(port=port, work=Work.KNOWN_USER, load=load, world=WORLD)
        answers = await ask(spec, cycle([b"GET / HTTP/1.1\r\n\r\n"]))
    assert (answers.latencies, answers.statuses, answers.in_all) == ([], {}, load.connections)


@pytest.mark.skipif(not (PROC / "stat").exists(), reason="needs /proc")
async def test_cpu_counts_from_the_moment_when_the_client_has_prepared_its_requests() -> None:
    load = Load(connections=1, warm_up=0.0, seconds=0.2, a_second=20)
    burning = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BURNS_UNTIL_ASKED), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert burning.stdout is not None
        port = int(await burning.stdout.readline())
        nobody = Contestant(name="burning", words="", command=())
        running = Running(contestant=nobody, port=port, pid=burning.pid)
        spec = Spec(port=port, work=Work.KNOWN_USER, load=load, world=WORLD)
        _, spent = await measured(running, spec, store=burning.pid)
        burnt = float(await burning.stdout.readline())
    finally:
        if burning.returncode is None:
            burning.kill()
        await burning.wait()
    assert spent is not None
    assert spent.server < burnt / 2
