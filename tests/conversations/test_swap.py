"""What a person set for a conversation: kept with the turn, for its branch and its caller, and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.records import swap_from_json, swap_to_json
from agentllm.conversations.store import Store
from agentllm.core import Caller, Event, Finished, Message, Place, Swap, Text, Turn
from agentllm.errors import AgentFailed
from tests.conversations.conftest import SECRET
from tests.conversations.speaking import Speaking
from tests.conversations.talk import assistant, user

SET = Swap("a/b", "Be\nbrief \0 [x] 🐦")
TURN = Turn("t", "demo", Caller("key", user="ada"), (user("hi"),), place=Place(session="s"))


def setting(swap: Swap | None) -> Speaking:
    """Says what was in force, and sets `swap`."""

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        yield Text("said")
        yield Finished("stop", (assistant("said"),), swap=swap)

    return Speaking(script)


async def seen(conversations: Conversations, turn: Turn = TURN, swap: Swap | None = None) -> Swap:
    """What is in force at a turn, which then sets `swap`."""
    runtime = setting(swap)
    async for _ in conversations.run(runtime, replace(turn, id=f"{id(runtime)}")):
        pass
    return runtime.turns[0].swap


def at(message: str, parent: str, *said: Message) -> Turn:
    return replace(TURN, messages=said or TURN.messages, place=Place("s", message, parent))


async def test_it_is_in_force_until_something_else_is_set(conversations: Conversations) -> None:
    assert await seen(conversations, swap=SET) == Swap()
    assert await seen(conversations) == SET
    assert await seen(conversations, swap=Swap()) == SET
    assert await seen(conversations) == Swap()


async def test_it_is_there_in_the_next_process(store: Store, conversations: Conversations) -> None:
    await seen(conversations, swap=SET)
    store.close()
    again = Store(store.url)
    assert await seen(Conversations(again, SECRET, Locks(), history_turns=20)) == SET
    again.close()


async def test_a_branch_begins_with_what_was_in_force_where_it_parts(conversations: Conversations) -> None:
    one, said = user("hi"), assistant("said")
    await seen(conversations, at("m1", "", one))
    await seen(conversations, at("m2", "m1", one, said, user("a")), SET)
    assert await seen(conversations, at("m3", "m2", one, said, user("a"), said, user("b"))) == SET
    assert await seen(conversations, at("m4", "m1", one, said, user("c"))) == Swap()
    assert await seen(conversations, at("m5", "", user("other"))) == Swap()
    assert await seen(conversations, at("m6", "m3", one, said, user("a"), said, user("b"), said, user("d"))) == SET


@pytest.mark.parametrize(
    "other",
    [
        replace(TURN, caller=Caller("key", user="bob")),
        replace(TURN, agent="other"),
        replace(TURN, place=Place(session="t")),
        replace(TURN, place=None),
    ],
    ids=["caller", "agent", "session", "not stored"],
)
async def test_it_is_nobody_else_s(conversations: Conversations, other: Turn) -> None:
    await seen(conversations, swap=SET)
    assert await seen(conversations, other) == Swap()
    assert await seen(conversations) == SET


async def test_a_turn_that_fails_keeps_what_was_in_force_before(conversations: Conversations) -> None:
    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        yield Text("half")
        raise AgentFailed("no")

    await seen(conversations, swap=SET)
    with pytest.raises(AgentFailed):
        async for _ in conversations.run(Speaking(script), replace(TURN, id="failing")):
            pass
    assert await seen(conversations) == SET


async def test_it_is_no_part_of_the_agent_s_state(conversations: Conversations) -> None:
    await seen(conversations, swap=SET)
    runtime = setting(None)
    async for _ in conversations.run(runtime, replace(TURN, id="next")):
        pass
    assert runtime.turns[0].state is None
    assert "brief" not in str(runtime.turns[0].messages)


@pytest.mark.parametrize("swap", [Swap(), Swap("a"), Swap(None, "b"), SET])
def test_what_is_written_is_read_again(swap: Swap) -> None:
    assert swap_from_json(swap_to_json(swap)) == swap
