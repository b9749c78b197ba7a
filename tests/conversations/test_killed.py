"""A process is killed while an agent speaks: what was answered is there, and what was being said."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import sqlalchemy as sa

from agentllm.conversations import open_conversations
from tests.conversations.disk import rows
from tests.conversations.speaker import ANSWER, SAID, a_turn, settings, speaking
from tests.conversations.speaking import Speaking, work, worked
from tests.conversations.talk import assistant, user

TURNS = "SELECT status, answer FROM turns ORDER BY id"
ANSWERED = [("complete", "A"), ("complete", "B")]
SECONDS = 30.0
"""For what takes one."""


async def talk(url: sa.URL, folder: Path, *said: str) -> Speaking:
    """Run turns of the session in which the other process speaks."""
    conversations, runtime = open_conversations(settings(url, folder)), Speaking(work)
    for text in said:
        async for _ in conversations.run(runtime, a_turn(text)):
            pass
    conversations.close()
    return runtime


async def test_nothing_that_was_answered_is_lost_and_the_conversation_goes_on(url: sa.URL, tmp_path: Path) -> None:
    await talk(url, tmp_path, "a", "b")
    with speaking(url, tmp_path) as process:
        deadline = time.monotonic() + SECONDS
        while rows(url, TURNS) != [*ANSWERED, ("running", ANSWER)]:
            assert time.monotonic() < deadline
        process.kill()
        assert process.wait(SECONDS) == -signal.SIGKILL
    runtime = await talk(url, tmp_path, "c", "d")
    known = (user("a"), *worked("a", "A"), user("b"), *worked("b", "B"), user(SAID), assistant(ANSWER))
    assert runtime.turns[0].messages == (*known, user("c"))
    assert runtime.turns[0].state == {"count": 2}
    assert runtime.turns[1].messages == (*known, user("c"), *worked("c", "C"), user("d"))
    assert rows(url, TURNS) == [*ANSWERED, ("interrupted", ANSWER), ("complete", "C"), ("complete", "D")]
