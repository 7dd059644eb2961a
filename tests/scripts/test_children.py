"""The lines that a child process prints."""

import os
from pathlib import Path

from scripts.run.children import child

PRINTS = """
import time
for number in range(100_000):
    print('{"number": %d}' % number, flush=True)
    time.sleep(0.001)
"""


async def test_lines_that_were_followed_are_not_kept(tmp_path: Path) -> None:
    """`make run` follows its service for days."""
    (tmp_path / "prints.py").write_text(PRINTS)
    environment = {"PATH": os.environ["PATH"]}
    async with child("It", "prints", env=environment, folder=tmp_path) as running:
        await running.line(lambda line: line["number"] == 3)
        following = running.follow()
        followed = [(await anext(following))["number"] for _ in range(100)]
        kept = {line["number"] for line in running.lines}
    assert followed == [*range(followed[0], followed[0] + 100)]
    assert not kept & {*range(4), *followed}
