"""Calls of the client's tools: how their results go on with a conversation, and which are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.results import NO_RESULT
from agentllm.conversations.store import Store
from agentllm.core import (
    Caller,
    ClientCalls,
    Event,
    Finished,
    JsonObject,
    Memory,
    Message,
    Place,
    Text,
    ToolCall,
    Turn,
)
from agentllm.errors import AlreadyDecided, InvalidRequest, SwapRefused
from tests.conversations.conftest import SECRET
from tests.conversations.disk import rows
from tests.conversations.speaking import Speaking, answering
from tests.conversations.talk import assistant, texts, user

ADA, BOB = Caller("key-of-ada"), Caller("key-of-bob")
OSLO, ROME = ToolCall("oslo", "weather", '{"city": "Oslo"}'), ToolCall("rome", "weather", '{"city": "Rome"}')
LOOK_UP = ToolCall("own", "look_up", "{}")


async def forecast(turn: Turn) -> AsyncGenerator[Event, None]:
    """Calls the client's weather tool twice, beside a tool of its own, and then says what it heard."""
    newest = turn.messages[-1]
    if newest.role == "user" and newest.content == "weather?":
        yield Text("Let me see.")
        yield ClientCalls((OSLO, ROME))
        calling = Message("assistant", "Let me see.", (OSLO, LOOK_UP, ROME))
        yield Finished("tool_calls", (calling, result("own", "found")), {"asked": True})
    else:
        answer = " ".join(message.content for message in turn.messages if message.role == "tool") or newest.content
        yield Text(answer)
        yield Finished("stop", (assistant(answer),), turn.state)


def again(times: int) -> tuple[list[ToolCall], Speaking]:
    """The calls of a runtime that calls the client's tool `times` times, one after another, and then answers."""
    calls = [ToolCall(f"call-{number}", "weather", "{}") for number in range(times)]
    left = [*calls]

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        if left and turn.messages[-1].content != "thanks":
            call = left.pop(0)
            yield ClientCalls((call,))
            yield Finished("tool_calls", (Message("assistant", tool_calls=(call,)),))
        else:
            yield Text("done")
            yield Finished("stop", (assistant("done"),))

    return calls, Speaking(script)


def pausing(pending: JsonObject) -> Speaking:
    """A runtime that waits for decisions after its first answer."""

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        call = ToolCall("asked", "deploy", "{}")
        if turn.pending is None and turn.messages[-1].content == "deploy":
            yield ClientCalls((call,))
            yield Finished("tool_calls", (Message("assistant", tool_calls=(call,)),), pending=pending)
        else:
            yield Text("done")
            yield Finished("stop", (assistant("done"),))

    return Speaking(script)


def result(call: str, content: str = "cold") -> Message:
    return Message("tool", content, tool_call_id=call)


SHOWN = (user("weather?"), Message("assistant", "Let me see.", (OSLO, ROME)))
RESULTS = (result("oslo", "cold"), result("rome", "warm"))


def a_turn(
    *messages: Message, session: str | None = "s", caller: Caller = ADA, message: str | None = None, parent: str = ""
) -> Turn:
    return Turn("t", "demo", caller, messages, place=Place(session, message, None if message is None else parent))


def refusing(*said: Event) -> Speaking:
    """A runtime that refuses its turn after it `said` something."""

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        for event in said:
            yield event
        raise SwapRefused("no")

    return Speaking(script)


async def ask(conversations: Conversations, runtime: Speaking, turn: Turn) -> Turn:
    """Run a turn; returns it as the agent was given it."""
    async for _ in conversations.run(runtime, turn):
        pass
    return runtime.turns[-1]


def answers(store: Store) -> list[object]:
    return [answer for (answer,) in rows(store.url, "SELECT answer FROM turns ORDER BY id")]


class TestResults:
    @pytest.mark.parametrize("session", ["s", None])
    @pytest.mark.parametrize("results", [RESULTS, RESULTS[::-1]])
    async def test_with_the_transcript_they_go_on_with_what_the_client_does_not_see(
        self, conversations: Conversations, session: str | None, results: Sequence[Message]
    ) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0], session=session))
        given = await ask(conversations, runtime, a_turn(*SHOWN, *results, session=session))
        assert [message.tool_call_id for message in given.messages] == [None, None, "oslo", "own", "rome"]
        assert texts(given.messages)[2:] == ["cold", "found", "warm"]
        assert given.state == {"asked": True}
        assert given.conversation == runtime.turns[0].conversation

    async def test_alone_they_go_on_in_their_session(self, conversations: Conversations) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0]))
        given = await ask(conversations, runtime, a_turn(*RESULTS))
        assert texts(given.messages)[2:] == ["cold", "found", "warm"]

    async def test_they_go_on_with_the_answer_of_the_same_message_of_a_front_end(
        self, conversations: Conversations
    ) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0], message="A1"))
        spaced = (SHOWN[0], Message("assistant", "Let me see.\n\n", (OSLO, ROME)))
        given = await ask(conversations, runtime, a_turn(*spaced, *RESULTS, message="A1"))
        assert texts(given.messages)[2:] == ["cold", "found", "warm"]
        shown = (*spaced, *RESULTS, assistant("cold found warm"), user("thanks"))
        later = await ask(conversations, runtime, a_turn(*shown, message="A2", parent="A1"))
        assert texts(later.messages)[-2:] == ["cold found warm", "thanks"]
        assert "found" in texts(later.messages)

    async def test_they_do_so_after_a_restart(self, store: Store) -> None:
        runtime = Speaking(forecast)
        await ask(Conversations(store, SECRET, Locks(), history_turns=20), runtime, a_turn(SHOWN[0]))
        other = Store(store.url)
        given = await ask(Conversations(other, SECRET, Locks(), history_turns=20), runtime, a_turn(*RESULTS))
        other.close()
        assert texts(given.messages)[2:] == ["cold", "found", "warm"]

    async def test_without_a_stored_turn_the_transcript_is_all_there_is(self, conversations: Conversations) -> None:
        for place in (Place("s"), None):
            runtime = Speaking(forecast)
            given = await ask(conversations, runtime, Turn("t", "demo", ADA, (*SHOWN, *RESULTS[::-1]), place=place))
            assert given.messages == (*SHOWN, *(replace(one, name="weather") for one in RESULTS))

    async def test_sent_twice_with_the_transcript_they_are_answered_twice(
        self, conversations: Conversations, store: Store
    ) -> None:
        """As for another answer to the same message."""
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0]))
        first = await ask(conversations, runtime, a_turn(*SHOWN, *RESULTS))
        second = await ask(conversations, runtime, a_turn(*SHOWN, *RESULTS))
        assert first.messages == second.messages
        parents = rows(store.url, "SELECT parent FROM turns ORDER BY id")
        assert parents[1] == parents[2]

    async def test_a_user_message_instead_leaves_the_calls_without_results(self, conversations: Conversations) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0]))
        given = await ask(conversations, runtime, a_turn(user("never mind")))
        assert texts(given.messages)[2:] == [NO_RESULT, "found", NO_RESULT, "never mind"]

    async def test_a_part_of_them_and_a_user_message_leave_the_rest_without(self, conversations: Conversations) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0]))
        given = await ask(conversations, runtime, a_turn(RESULTS[0], user("never mind")))
        assert texts(given.messages)[2:] == ["cold", "found", NO_RESULT, "never mind"]


class TestRefused:
    @pytest.mark.parametrize("results", [RESULTS[:1], (result("unknown"),), (*RESULTS, RESULTS[0]), (result("own"),)])
    @pytest.mark.parametrize("session", ["s", None])
    async def test_results_that_do_not_fit_leave_nothing_and_may_be_sent_right(
        self, conversations: Conversations, store: Store, session: str | None, results: Sequence[Message]
    ) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0], session=session))
        with pytest.raises(InvalidRequest):
            await ask(conversations, runtime, a_turn(*SHOWN, *results, session=session))
        assert answers(store) == ["Let me see."]
        assert len(runtime.turns) == 1
        await ask(conversations, runtime, a_turn(*SHOWN, *RESULTS, session=session))
        assert answers(store) == ["Let me see.", "cold found warm"]

    async def test_a_conversation_is_not_begun_by_them(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking(forecast)
        for messages in (RESULTS, (*SHOWN, *RESULTS[:1]), (user("a"), assistant("b"), *RESULTS)):
            for session in ("s", None):
                with pytest.raises(InvalidRequest):
                    await ask(conversations, runtime, a_turn(*messages, session=session))
        assert rows(store.url, "SELECT count(*) FROM conversations") == [(0,)]
        assert runtime.turns == []

    async def test_nor_is_a_turn_that_is_not_stored(self, conversations: Conversations) -> None:
        runtime = Speaking(forecast)
        with pytest.raises(InvalidRequest):
            await ask(conversations, runtime, Turn("t", "demo", ADA, (*SHOWN, *RESULTS[:1])))
        assert runtime.turns == []

    async def test_alone_they_count_once(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0]))
        await ask(conversations, runtime, a_turn(*RESULTS))
        with pytest.raises(AlreadyDecided):
            await ask(conversations, runtime, a_turn(*RESULTS))
        assert len(answers(store)) == 2

    async def test_of_somebody_else_they_reach_nobody(self, conversations: Conversations) -> None:
        runtime = Speaking(forecast)
        await ask(conversations, runtime, a_turn(SHOWN[0]))
        with pytest.raises(InvalidRequest):
            await ask(conversations, runtime, a_turn(*RESULTS, caller=BOB))
        given = await ask(conversations, runtime, a_turn(*SHOWN, *RESULTS, caller=BOB))
        assert "found" not in texts(given.messages)
        assert given.state is None


class TestWindow:
    """One question with many calls is one turn to who asks, and is remembered as one."""

    @pytest.mark.parametrize("window", [1, 2])
    async def test_its_calls_do_not_push_a_question_out(self, store: Store, window: int) -> None:
        conversations = Conversations(store, SECRET, Locks(), history_turns=window)
        calls, runtime = again(5)
        await ask(conversations, Speaking(), a_turn(user("before")))
        await ask(conversations, runtime, a_turn(user("weather?")))
        for call in calls:
            given = await ask(conversations, runtime, a_turn(result(call.id)))
        assert ("before" in texts(given.messages)) == (window == 2)
        assert [message.role for message in given.messages][-11:] == ["user", *["assistant", "tool"] * 5]
        later = await ask(conversations, runtime, a_turn(user("thanks")))
        assert texts(later.messages)[-2:] == ["done", "thanks"]
        assert "weather?" in texts(later.messages)

    async def test_nor_does_what_they_need_of_the_model_s_window(self, conversations: Conversations) -> None:
        calls, runtime = again(3)
        runtime.memory = Memory(tokens=60)
        await ask(conversations, runtime, a_turn(user("weather?")))
        for call in calls:
            given = await ask(conversations, runtime, a_turn(result(call.id, "x" * 90)))
        assert [message.role for message in given.messages] == ["user", *["assistant", "tool"] * 3]
        later = await ask(conversations, runtime, a_turn(user("thanks")))
        assert texts(later.messages) == ["thanks"]


class TestPending:
    async def test_it_is_given_to_the_turn_that_follows_and_to_no_other(self, conversations: Conversations) -> None:
        runtime = pausing({"paused": [1, None, "é"]})
        await ask(conversations, runtime, a_turn(user("deploy")))
        given = await ask(conversations, runtime, a_turn(result("asked", "yes")))
        assert given.pending == {"paused": [1, None, "é"]}
        assert given.messages[-1] == replace(result("asked", "yes"), name="deploy")
        assert (await ask(conversations, runtime, a_turn(user("thanks")))).pending is None

    async def test_results_come_to_it_whatever_their_ids(self, conversations: Conversations) -> None:
        """A question may be about a call that a member of a team made, which its leader's messages do not have."""

        async def script(turn: Turn) -> AsyncGenerator[Event, None]:
            if turn.pending is None:
                yield ClientCalls((ToolCall("of a member", "deploy", "{}"),))
                yield Finished("tool_calls", (Message("assistant", tool_calls=(LOOK_UP,)),), pending={})
            else:
                yield Finished("stop")

        runtime = Speaking(script)
        await ask(conversations, runtime, a_turn(user("deploy")))
        given = await ask(conversations, runtime, a_turn(result("of a member", "yes")))
        assert [message.tool_call_id for message in given.messages] == [None, None, "of a member"]

    async def test_a_second_answer_is_refused_and_stored_nowhere(
        self, conversations: Conversations, store: Store
    ) -> None:
        runtime = pausing({})
        await ask(conversations, runtime, a_turn(user("deploy")))
        shown = (user("deploy"), Message("assistant", tool_calls=(ToolCall("asked", "deploy", "{}"),)))
        await ask(conversations, runtime, a_turn(*shown, result("asked", "yes")))
        for again_ in ((*shown, result("asked", "yes")), (result("asked", "yes"),)):
            with pytest.raises(AlreadyDecided):
                await ask(conversations, runtime, a_turn(*again_))
        assert len(runtime.turns) == len(answers(store)) == 2

    async def test_of_two_answers_at_once_one_counts(self, store: Store) -> None:
        runtime = pausing({})
        locks = Locks()
        places = [Conversations(store, SECRET, locks, history_turns=20) for _ in range(2)]
        await ask(places[0], runtime, a_turn(user("deploy")))
        shown = (user("deploy"), Message("assistant", tool_calls=(ToolCall("asked", "deploy", "{}"),)))
        asked = [ask(place, runtime, a_turn(*shown, result("asked", "yes"))) for place in places]
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(one).__name__ for one in ended) == ["AlreadyDecided", "Turn"]
        assert len(runtime.turns) == 2

    async def test_a_user_message_is_told_of_it_once(self, conversations: Conversations) -> None:
        """Whether it decides anything is for who asked to say."""
        runtime = pausing({"paused": 1})
        await ask(conversations, runtime, a_turn(user("deploy"), message="A1"))
        shown = (user("deploy"), Message("assistant", tool_calls=(ToolCall("asked", "deploy", "{}"),)))
        for message, pending in (("A2", {"paused": 1}), ("A2'", None)):
            given = await ask(conversations, runtime, a_turn(*shown, user("yes"), message=message, parent="A1"))
            assert given.pending == pending

    async def test_more_of_the_answer_goes_on_without_it(self, conversations: Conversations) -> None:
        runtime = pausing({})
        await ask(conversations, runtime, a_turn(user("deploy"), message="A1"))
        given = await ask(conversations, runtime, a_turn(user("deploy"), assistant(""), message="A1"))
        assert given.pending is None
        assert NO_RESULT in texts(given.messages)

    @pytest.mark.parametrize("said", [(), (Text("deployed"),)], ids=["before anything ran", "after it ran"])
    async def test_it_is_open_after_a_refusal_only_if_nothing_ran(
        self, conversations: Conversations, store: Store, said: tuple[Event, ...]
    ) -> None:
        runtime = pausing({"paused": 1})
        await ask(conversations, runtime, a_turn(user("deploy")))
        with pytest.raises(SwapRefused):
            await ask(conversations, refusing(*said), a_turn(user("yes")))
        assert len(answers(store)) == 1 + len(said)
        given = await ask(conversations, runtime, a_turn(user("yes")))
        assert given.pending == (None if said else {"paused": 1})

    async def test_it_is_open_after_a_failed_answer_that_a_front_end_still_shows(
        self, conversations: Conversations
    ) -> None:
        runtime = pausing({"paused": 1})
        shown = (user("deploy"), Message("assistant", tool_calls=(ToolCall("asked", "deploy", "{}"),)), user("red"))
        await ask(conversations, runtime, a_turn(user("deploy"), message="A1"))
        with pytest.raises(SwapRefused):
            await ask(conversations, refusing(), a_turn(*shown, message="A2", parent="A1"))
        given = await ask(conversations, runtime, a_turn(*shown, user("yes"), message="A3", parent="A2"))
        assert given.pending == {"paused": 1}

    async def test_a_refused_turn_is_kept_as_failed_where_nothing_is_pending(
        self, conversations: Conversations, store: Store
    ) -> None:
        with pytest.raises(SwapRefused):
            await ask(conversations, refusing(), a_turn(user("red")))
        assert rows(store.url, "SELECT status FROM turns") == [("failed",)]

    async def test_it_is_kept_when_the_answer_does_not_fit(self, conversations: Conversations) -> None:
        runtime = pausing({"paused": 1})
        await ask(conversations, runtime, a_turn(user("deploy")))
        with pytest.raises(InvalidRequest):
            await ask(conversations, runtime, a_turn(result("another")))
        assert (await ask(conversations, runtime, a_turn(result("asked")))).pending == {"paused": 1}


class TestOwnIds:
    """A client that names the answer it goes on after, by the id that we gave it."""

    async def test_it_goes_on_there(self, conversations: Conversations) -> None:
        runtime = Speaking(answering("A", "B", "C"))
        for turn_id, said, after in (("1", "a", None), ("2", "b", "1"), ("3", "c", "1")):
            turn = Turn(turn_id, "demo", ADA, (user(said),), place=Place(after=after))
            given = await ask(conversations, runtime, turn)
        assert texts(given.messages) == ["a", "A", "c"]
        assert len({turn.conversation for turn in runtime.turns}) == 1

    @pytest.mark.parametrize(
        ("caller", "agent", "after"), [(BOB, "demo", "1"), (ADA, "another", "1"), (ADA, "demo", "unknown")]
    )
    async def test_one_that_is_not_there_for_the_caller_and_agent_is_refused(
        self, conversations: Conversations, store: Store, caller: Caller, agent: str, after: str
    ) -> None:
        runtime = Speaking()
        await ask(conversations, runtime, Turn("1", "demo", ADA, (user("a"),), place=Place()))
        with pytest.raises(InvalidRequest) as caught:
            await ask(conversations, runtime, Turn("2", agent, caller, (user("b"),), place=Place(after=after)))
        assert caught.value.param == "previous_response_id"
        assert answers(store) == ["A"]
