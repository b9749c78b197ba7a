"""A process that never ends its turn: `python -m tests.conversations.speaker URL FOLDER`.

It says "half an answer" in the session "s" of Ada, prints "speaking", and waits to be killed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from agentllm.conversations import Conversations, open_conversations
from agentllm.conversations.growing import KEEP_EVERY
from agentllm.core import Caller, Event, Place, Text, Turn
from agentllm.settings import Settings
from tests.conversations.speaking import Speaking
from tests.conversations.talk import user
from tests.proxy import ROOT

SAID = "hello"
ANSWER = "half an answer"


def settings(url: sa.URL, folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"db_url": url.render_as_string(hide_password=False), "data_dir": folder, **more})


def a_turn(*said: str) -> Turn:
    return Turn("t", "demo", Caller("key", user="ada"), tuple(map(user, said)), place=Place(session="s"))


@contextmanager
def speaking(url: sa.URL, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The process, which is speaking; killed with the block."""
    command = [sys.executable, "-m", "tests.conversations.speaker", url.render_as_string(hide_password=False)]
    process = subprocess.Popen([*command, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "speaking\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


async def _speak(conversations: Conversations) -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        yield Text(ANSWER[:4])
        await asyncio.sleep(KEEP_EVERY + 0.1)
        yield Text(ANSWER[4:])
        await conversations.warm_up()
        print("speaking", flush=True)
        await asyncio.Event().wait()

    async for _ in conversations.run(Speaking(script), a_turn(SAID)):
        pass


if __name__ == "__main__":
    asyncio.run(_speak(open_conversations(settings(sa.make_url(sys.argv[1]), Path(sys.argv[2])))))
