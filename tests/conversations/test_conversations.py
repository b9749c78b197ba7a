"""Turns in stored conversations."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentllm.conversations import Conversations
from agentllm.conversations.store import Store
from agentllm.core import Caller, Event, Finished, Message, Reasoning, Runtime, Text, ToolCall, Turn, Usage
from agentllm.errors import AgentFailed, StoreUnavailable
from tests.conversations.disk import find_the_table, full_disk, lose_the_table
from tests.conversations.speaking import Speaking, echo
from tests.conversations.talk import assistant, system, texts, user

SECRET = b"0" * 32
ADA, BOB = Caller("key-of-ada"), Caller("key-of-bob")


@pytest.fixture
def conversations(store: Store) -> Conversations:
    return Conversations(store, SECRET, history_turns=20)


def a_turn(*messages: Message | str, session: str | None = "s", caller: Caller = ADA, agent: str = "demo") -> Turn:
    said = tuple(user(message) if isinstance(message, str) else message for message in messages)
    return Turn("t", agent, caller, said, session=session)


async def ask(
    conversations: Conversations, runtime: Runtime, turn: Turn, seen: list[Event] | None = None
) -> list[Event]:
    """Run a turn to its end; `seen` is given the events also if it fails."""
    seen = [] if seen is None else seen
    async with aclosing(conversations.run(runtime, turn)) as events:
        async for event in events:
            seen.append(event)
    return seen


async def tell(conversations: Conversations, runtime: Speaking, *messages: Message | str) -> list[str]:
    """Ask Ada's turn; returns what the agent was given of the conversation."""
    await ask(conversations, runtime, a_turn(*messages))
    return texts(runtime.turns[-1].messages)


class TestRemembering:
    async def test_the_agent_is_given_what_was_said_before(self, conversations: Conversations) -> None:
        runtime = Speaking()
        assert await tell(conversations, runtime, "one") == ["one"]
        assert await tell(conversations, runtime, "two") == ["one", "ONE", "two"]
        assert await tell(conversations, runtime, "three") == ["one", "ONE", "two", "TWO", "three"]

    async def test_a_client_that_sends_all_of_it_changes_nothing(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "one")
        given = await tell(conversations, runtime, "one", assistant("ONE"), "two")
        assert given == ["one", "ONE", "two"]
        assert await tell(conversations, runtime, "three") == ["one", "ONE", "two", "TWO", "three"]

    async def test_what_the_client_did_not_see_is_remembered_too(self, conversations: Conversations) -> None:
        work = (
            Message("assistant", tool_calls=(ToolCall("1", "add", "{}", {"signature": "x"}),)),
            Message("tool", "2", tool_call_id="1", name="add"),
            assistant("Two."),
        )

        async def calculate(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("Two.")
            yield Finished("stop", work)

        runtime = Speaking(calculate)
        await tell(conversations, runtime, "1+1?")
        await tell(conversations, runtime, "1+1?", assistant("Two."), "sure?")
        assert runtime.turns[-1].messages == (user("1+1?"), *work, user("sure?"))

    async def test_the_agents_state_goes_from_turn_to_turn(self, conversations: Conversations) -> None:
        runtime = Speaking()
        for text in "abc":
            await tell(conversations, runtime, text)
        assert [turn.state for turn in runtime.turns] == [None, {"count": 1}, {"count": 2}]

    async def test_going_back_brings_back_that_branch_and_its_state(self, conversations: Conversations) -> None:
        runtime = Speaking()
        for text in "abc":
            await tell(conversations, runtime, text)
        assert await tell(conversations, runtime, "a", assistant("A"), "other") == ["a", "A", "other"]
        assert runtime.turns[-1].state == {"count": 1}
        assert await tell(conversations, runtime, "more") == ["a", "A", "other", "OTHER", "more"]
        assert runtime.turns[-1].state == {"count": 2}

    async def test_a_transcript_that_is_not_ours_is_believed(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "a")
        assert await tell(conversations, runtime, "x", assistant("y"), "z") == ["x", "y", "z"]
        assert runtime.turns[-1].state is None
        assert await tell(conversations, runtime, "more") == ["x", "y", "z", "Z", "more"]

    async def test_instructions_come_first_and_are_those_of_the_request(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, system("be kind"), "a")
        given = await tell(conversations, runtime, "b", Message("developer", "be brief"))
        assert given == ["be brief", "a", "A", "b"]

    @pytest.mark.parametrize("window", [1, 2, 3])
    async def test_no_more_than_the_last_turns_are_given_again(self, window: int, store: Store) -> None:
        conversations, runtime = Conversations(store, SECRET, history_turns=window), Speaking()
        for text in "abcd":
            await tell(conversations, runtime, text)
        remembered = [text for letter in "abcd"[-window:] for text in (letter, letter.upper())]
        assert await tell(conversations, runtime, "e") == [*remembered, "e"]
        assert runtime.turns[-1].state == {"count": 4}

    async def test_a_client_that_sends_more_than_that_is_given_the_same(self, store: Store) -> None:
        conversations, runtime = Conversations(store, SECRET, history_turns=2), Speaking()
        for text in "abcd":
            await tell(conversations, runtime, text)
        said: list[Message | str] = [message for letter in "abcd" for message in (letter, assistant(letter.upper()))]
        assert await tell(conversations, runtime, *said, "e") == ["c", "C", "d", "D", "e"]

    async def test_the_rest_of_the_turn_is_given_as_it_is(self, conversations: Conversations) -> None:
        runtime = Speaking()
        asked = a_turn("a")
        await ask(conversations, runtime, asked)
        (given,) = runtime.turns
        assert given.conversation is not None
        assert (given.id, given.agent, given.caller, given.session) == ("t", "demo", ADA, "s")
        assert given.parameters == asked.parameters

    async def test_a_restart_forgets_nothing(self, store: Store, tmp_path: Path) -> None:
        runtime = Speaking()
        await tell(Conversations(store, SECRET, history_turns=20), runtime, "a")
        again = Store(tmp_path / "data")
        assert await tell(Conversations(again, SECRET, history_turns=20), runtime, "b") == ["a", "A", "b"]
        await again.close()


@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=2), st.booleans()), max_size=5))
@settings(max_examples=20, deadline=None)
def test_it_is_the_same_whether_a_client_sends_all_or_only_what_is_new(said: list[tuple[str, bool]]) -> None:
    async def main(data_dir: Path) -> None:
        store = Store(data_dir)
        store.create()
        conversations, runtime = Conversations(store, SECRET, history_turns=20), Speaking()
        shown: list[Message] = []
        for text, sends_all in said:
            given = await tell(conversations, runtime, *(shown if sends_all and shown else ()), text)
            assert given == [*texts(shown), text]
            shown += [user(text), assistant(text.upper())]
        await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))


class TestOwners:
    @pytest.mark.parametrize(
        "other",
        [
            a_turn("b", caller=BOB),
            a_turn("b", caller=Caller("key-of-ada", end_user="eve")),
            a_turn("b", agent="assistant"),
            a_turn("b", session="t"),
            a_turn("b", session=""),
        ],
    )
    async def test_another_caller_agent_or_session_is_another_conversation(
        self, other: Turn, conversations: Conversations
    ) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "a")
        await ask(conversations, runtime, other)
        assert texts(runtime.turns[-1].messages) == ["b"]
        assert await tell(conversations, runtime, "c") == ["a", "A", "c"]

    async def test_what_another_caller_was_told_is_not_found_by_quoting_it(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "a")
        await ask(conversations, runtime, a_turn("a", assistant("A"), "b", caller=BOB))
        assert runtime.turns[-1].state is None

    async def test_with_another_secret_nothing_is_found(self, store: Store) -> None:
        runtime = Speaking()
        await tell(Conversations(store, SECRET, history_turns=20), runtime, "a")
        assert await tell(Conversations(store, b"1" * 32, history_turns=20), runtime, "b") == ["b"]


class TestWithoutASession:
    async def test_a_turn_is_run_as_it_is_and_no_store_is_needed(self, tmp_path: Path) -> None:
        conversations, runtime = Conversations(Store(tmp_path / "nowhere"), SECRET, history_turns=20), Speaking()
        turn = a_turn(system("be kind"), "a", assistant("b"), "c", session=None)
        events = await ask(conversations, runtime, turn)
        assert events[:2] == [Text("C"), Text("")]
        assert runtime.turns == [turn]
        assert not (tmp_path / "nowhere").exists()

    async def test_it_ends_with_the_reader(self, conversations: Conversations) -> None:
        runtime = Speaking()
        events = conversations.run(runtime, a_turn("a", session=None))
        await anext(events)
        await events.aclose()
        assert runtime.closed == 1


class TestEvents:
    async def test_they_come_as_the_agent_sends_them(self, conversations: Conversations) -> None:
        sent: Sequence[Event] = [
            *(Reasoning("hm"), Text("a"), Usage(1, 1), Reasoning("so"), Text("b"), Usage(2, 2), Finished("length"))
        ]

        async def script(turn: Turn) -> AsyncGenerator[Event, None]:
            for event in sent:
                yield event

        assert await ask(conversations, Speaking(script), a_turn("a")) == sent

    async def test_the_turn_is_on_disk_before_its_end_is_told(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking()
        async with aclosing(conversations.run(runtime, a_turn("hello"))) as events:
            async for event in events:
                (given,) = runtime.turns
                assert given.conversation is not None
                stored = await store.branch(given.conversation, turns=1)
                assert [turn.answer for turn in stored] == (["HELLO"] if isinstance(event, Finished) else [])

    async def test_only_new_messages_and_what_was_answered_are_stored(
        self, conversations: Conversations, store: Store
    ) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "a")
        await tell(conversations, runtime, system("be kind"), "a", assistant("A"), "b")
        assert runtime.turns[-1].conversation is not None
        _, turn = await store.branch(runtime.turns[-1].conversation, turns=9)
        assert (turn.input, turn.output, turn.answer) == ((user("b"),), (assistant("B"),), "B")


async def _fails(turn: Turn) -> AsyncGenerator[Event, None]:
    yield Text("half an ans")
    raise AgentFailed("no")


class TestTurnsThatFail:
    async def test_the_error_is_told_and_nothing_is_stored(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "a")
        with pytest.raises(AgentFailed):
            await tell(conversations, Speaking(_fails), "b")
        assert await tell(conversations, runtime, "c") == ["a", "A", "c"]

    async def test_a_turn_that_is_left_is_stopped_and_not_stored(self, conversations: Conversations) -> None:
        runtime = Speaking()
        events = conversations.run(runtime, a_turn("left"))
        assert await anext(events) == Text("L")
        await events.aclose()
        assert runtime.closed == 1
        async with asyncio.timeout(5):
            assert await tell(conversations, runtime, "b") == ["b"]

    async def test_a_turn_that_is_cancelled_while_the_agent_works_is_stopped_and_not_stored(
        self, conversations: Conversations
    ) -> None:
        working = asyncio.Event()

        async def works(turn: Turn) -> AsyncGenerator[Event, None]:
            working.set()
            await asyncio.Event().wait()
            yield Text("never")

        runtime = Speaking(works)
        task = asyncio.create_task(ask(conversations, runtime, a_turn("a")))
        await working.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert runtime.closed == 1
        async with asyncio.timeout(5):
            assert await tell(conversations, Speaking(), "b") == ["b"]

    async def test_an_agent_that_never_ends_its_turn_stores_nothing(self, conversations: Conversations) -> None:
        async def stops(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("a")

        assert await ask(conversations, Speaking(stops), a_turn("a")) == [Text("a")]
        assert await tell(conversations, Speaking(), "b") == ["b"]


class TestOneAtATime:
    async def test_turns_of_one_conversation_run_one_after_another(
        self, conversations: Conversations, store: Store
    ) -> None:
        running = 0

        async def alone(turn: Turn) -> AsyncGenerator[Event, None]:
            nonlocal running
            running += 1
            await store.branch("another", turns=1)
            assert running == 1
            async for event in echo(turn):
                yield event
            running -= 1

        async with asyncio.timeout(30):
            await asyncio.gather(*(tell(conversations, Speaking(alone), str(number)) for number in range(10)))

    async def test_other_conversations_do_not_wait(self, conversations: Conversations) -> None:
        together = asyncio.Barrier(3)

        async def meets(turn: Turn) -> AsyncGenerator[Event, None]:
            await together.wait()
            async for event in echo(turn):
                yield event

        turns = [a_turn("a"), a_turn("a", session="t"), a_turn("a", caller=BOB)]
        async with asyncio.timeout(10):
            await asyncio.gather(*(ask(conversations, Speaking(meets), turn) for turn in turns))

    async def test_many_at_once_are_all_remembered(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await asyncio.gather(*(tell(conversations, runtime, str(number)) for number in range(15)))
        assert await tell(conversations, runtime, "next") == [
            *(text for turn in runtime.turns[:15] for text in [turn.messages[-1].content] * 2),
            "next",
        ]
        assert runtime.turns[-1].state == {"count": 15}


class TestWhenTheStoreIsDown:
    async def test_before_a_turn_nothing_is_run(self, conversations: Conversations, tmp_path: Path) -> None:
        lose_the_table(tmp_path / "data")
        runtime = Speaking()
        with pytest.raises(StoreUnavailable):
            await tell(conversations, runtime, "a")
        assert runtime.turns == []

    @pytest.mark.parametrize("failure", ["disk", "table"])
    async def test_at_its_end_the_turn_is_no_success_and_not_stored(
        self, failure: str, conversations: Conversations, tmp_path: Path
    ) -> None:
        data_dir = tmp_path / "data"

        async def loses(turn: Turn) -> AsyncGenerator[Event, None]:
            if failure == "table":
                lose_the_table(data_dir)
                yield Text("a")
                yield Finished("stop", (assistant("a"),))
            else:
                with full_disk():
                    yield Text("a")
                    yield Finished("stop", (assistant("a"),))

        await tell(conversations, Speaking(), "a")
        runtime, events = Speaking(loses), list[Event]()
        with pytest.raises(StoreUnavailable):
            await ask(conversations, runtime, a_turn("b"), events)
        assert events == [Text("a")]
        assert runtime.closed == 1
        if failure == "table":
            find_the_table(data_dir)
        assert await tell(conversations, Speaking(), "c") == ["a", "A", "c"]

    async def test_warming_up_finds_out(self, conversations: Conversations, tmp_path: Path) -> None:
        await conversations.warm_up()
        lose_the_table(tmp_path / "data")
        with pytest.raises(StoreUnavailable):
            await conversations.warm_up()


async def test_they_can_be_used_again_after_they_were_closed(conversations: Conversations) -> None:
    runtime = Speaking()
    await tell(conversations, runtime, "a")
    await conversations.close()
    assert await tell(conversations, runtime, "b") == ["a", "A", "b"]
