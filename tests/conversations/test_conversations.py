"""Turns in stored conversations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from agentllm.conversations import Conversations, database, growing
from agentllm.conversations import store as store_module
from agentllm.conversations.locks import Locks
from agentllm.conversations.records import CONTINUE
from agentllm.conversations.results import NO_RESULT
from agentllm.conversations.store import Store
from agentllm.core import (
    WORK_ID,
    Caller,
    Event,
    Finished,
    Memory,
    Message,
    Place,
    Reasoning,
    Runtime,
    Text,
    ToolCall,
    Turn,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, ConversationBusy, MalformedAnswer, StoreUnavailable
from tests.conversations.conftest import SECRET
from tests.conversations.disk import change, find_the_table, full_disk, locked, lose_the_table, rows, sqlite_url
from tests.conversations.speaking import Script, Speaking, answering, break_off, echo, fail, misspeak, work, worked
from tests.conversations.talk import assistant, system, texts, user
from tests.openwebui import TURNS, Captured

ADA, BOB = Caller("key-of-ada"), Caller("key-of-bob")
SECOND = 30.0
"""Bounds of waits that take no time when all is well."""

GO_ON = CONTINUE.content


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is down is noticed at once."""
    owners = (store_module, "START_PATIENCE"), (store_module, "END_PATIENCE"), (database, "BUSY_SECONDS")
    for owner, name in owners:
        monkeypatch.setattr(owner, name, 0.05)


def a_turn(
    *messages: Message | str,
    session: str | None = "s",
    message: str | None = None,
    parent: str | None = None,
    caller: Caller = ADA,
    agent: str = "demo",
) -> Turn:
    said = tuple(user(text) if isinstance(text, str) else text for text in messages)
    return Turn("t", agent, caller, said, place=Place(session, message, parent))


async def ask(
    conversations: Conversations, runtime: Runtime, turn: Turn, events: list[Event] | None = None
) -> list[Event]:
    """Run a turn to its end; `events` is given what came also if it fails."""
    events = [] if events is None else events
    async with aclosing(conversations.run(runtime, turn)) as coming:
        async for event in coming:
            events.append(event)
    return events


async def tell(conversations: Conversations, runtime: Speaking, *messages: Message | str) -> list[str]:
    """Ask in Ada's session; returns what the agent was given of the conversation."""
    await ask(conversations, runtime, a_turn(*messages))
    return texts(runtime.turns[-1].messages)


def tool(name: str, *, by: str | None = None) -> tuple[Work, Work]:
    """The begin and the end of a tool's work."""
    begun = Work(f"{WORK_ID}{name}", "tool", name, "started", {"of": name}, by=by)
    return begun, replace(begun, status="finished", result=f"done {name}")


def at_once(one: tuple[Work, Work], other: tuple[Work, Work]) -> tuple[Work, ...]:
    """Two tools at the same time; the second ends first."""
    return (one[0], other[0], other[1], one[1])


def called(*names: str, says: str = "") -> Message:
    return Message("assistant", says, tuple(ToolCall(name, name, f'{{"of": "{name}"}}') for name in names))


def result(name: str, of: str | None = None) -> Message:
    return Message("tool", of or f"done {name}", tool_call_id=name, name=name)


def turns(store: Store) -> list[tuple[object, ...]]:
    """Status and answer of each turn on disk."""
    return rows(store.url, "SELECT status, answer FROM turns ORDER BY id")


class TestRemembering:
    async def test_the_agent_is_given_what_was_said_before(self, conversations: Conversations) -> None:
        runtime = Speaking()
        assert await tell(conversations, runtime, "one") == ["one"]
        assert await tell(conversations, runtime, "two") == ["one", "ONE", "two"]
        assert await tell(conversations, runtime, "three") == ["one", "ONE", "two", "TWO", "three"]

    async def test_a_client_that_sends_all_of_it_changes_nothing(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "one")
        assert await tell(conversations, runtime, "one", assistant("ONE"), "two") == ["one", "ONE", "two"]
        assert await tell(conversations, runtime, "three") == ["one", "ONE", "two", "TWO", "three"]

    async def test_what_the_client_did_not_see_is_remembered_too(self, conversations: Conversations) -> None:
        runtime = Speaking(work)
        await tell(conversations, runtime, "1+1?")
        await tell(conversations, runtime, "1+1?", assistant("1+1?"), "sure?")
        assert runtime.turns[-1].messages == (user("1+1?"), *worked("1+1?", "1+1?"), user("sure?"))

    async def test_the_agents_state_goes_from_turn_to_turn(self, conversations: Conversations) -> None:
        runtime = Speaking()
        for text in "abc":
            await tell(conversations, runtime, text)
        assert [turn.state for turn in runtime.turns] == [None, {"count": 1}, {"count": 2}]

    async def test_going_back_brings_back_that_branch_and_its_state(self, conversations: Conversations) -> None:
        runtime = Speaking(work)
        for text in "abc":
            await tell(conversations, runtime, text)
        await tell(conversations, runtime, "a", assistant("A"), "other")
        assert runtime.turns[-1].messages == (user("a"), *worked("a", "A"), user("other"))
        assert runtime.turns[-1].state == {"count": 1}
        await tell(conversations, runtime, "more")
        assert runtime.turns[-1].messages[-2:] == (assistant("OTHER"), user("more"))
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

    async def test_the_rest_of_the_turn_is_given_as_it_is(self, conversations: Conversations) -> None:
        runtime = Speaking()
        asked = a_turn("a", message="A", parent="")
        await ask(conversations, runtime, asked)
        (given,) = runtime.turns
        assert given.conversation is not None
        assert (given.id, given.agent, given.caller, given.place) == ("t", "demo", ADA, asked.place)
        assert given.parameters == asked.parameters

    async def test_a_restart_forgets_nothing(self, store: Store) -> None:
        runtime = Speaking()
        await tell(Conversations(store, SECRET, Locks(), history_turns=20), runtime, "a")
        again = Store(store.url)
        assert await tell(Conversations(again, SECRET, Locks(), history_turns=20), runtime, "b") == ["a", "A", "b"]
        again.close()


class TestHowMuch:
    @pytest.mark.parametrize("window", [1, 2, 3])
    async def test_no_more_than_the_last_turns_are_given_again(self, window: int, store: Store) -> None:
        conversations, runtime = Conversations(store, SECRET, Locks(), history_turns=window), Speaking()
        for text in "abcd":
            await tell(conversations, runtime, text)
        remembered = [text for letter in "abcd"[-window:] for text in (letter, letter.upper())]
        assert await tell(conversations, runtime, "e") == [*remembered, "e"]
        assert runtime.turns[-1].state == {"count": 4}

    async def test_a_client_that_sends_more_than_that_is_given_the_same(self, store: Store) -> None:
        conversations, runtime = Conversations(store, SECRET, Locks(), history_turns=2), Speaking()
        for text in "abcd":
            await tell(conversations, runtime, text)
        said: list[Message | str] = [message for letter in "abcd" for message in (letter, assistant(letter.upper()))]
        assert await tell(conversations, runtime, *said, "e") == ["c", "C", "d", "D", "e"]

    async def test_an_agent_may_have_a_number_of_its_own(self, conversations: Conversations) -> None:
        for runtime in (Speaking(memory=Memory(turns=1)), Speaking(memory=Memory(turns=3)), Speaking()):
            for text in "abcde":
                given = await tell(conversations, runtime, text)
            assert len(given) == {1: 3, 3: 7, None: len(given)}[runtime.memory.turns]

    async def test_what_its_model_s_window_cannot_hold_is_left_out(self, conversations: Conversations) -> None:
        runtime = Speaking(work, memory=Memory(tokens=200))
        for text in ("a" * 90, "b", "c"):
            await tell(conversations, runtime, text)
        await tell(conversations, runtime, system("be kind"), "d")
        given = (system("be kind"), user("b"), *worked("b", "B"), user("c"), *worked("c", "C"), user("d"))
        assert runtime.turns[-1].messages == given
        assert runtime.turns[-1].state == {"count": 3}


class TestFrontEnd:
    """Open WebUI with its message ids, from the request to the agent and the disk."""

    async def test_each_branch_has_its_own_past(self, conversations: Conversations) -> None:
        runtime = Speaking(work)
        first = [user("a"), assistant("A")]
        for turn in (
            a_turn("a", message="A1", parent=""),
            a_turn(*first, "b", message="B1", parent="A1"),
            a_turn(*first, "b", message="B2", parent="A1"),
            a_turn(*first, "edited", message="E1", parent="A1"),
            a_turn("anew", message="N1", parent=""),
            a_turn(*first, "b", assistant("B"), "c", message="C1", parent="B1"),
        ):
            await ask(conversations, runtime, turn)
        a, b = (user("a"), *worked("a", "A")), (user("b"), *worked("b", "B"))
        assert [turn.messages for turn in runtime.turns] == [
            a[:1],
            (*a, user("b")),
            (*a, user("b")),
            (*a, user("edited")),
            (user("anew"),),
            (*a, *b, user("c")),
        ]
        assert [turn.state and turn.state["count"] for turn in runtime.turns] == [None, 1, 1, 1, None, 2]
        assert len({turn.conversation for turn in runtime.turns}) == 1

    async def test_an_answer_is_continued(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking(answering("Once", " upon", " a time", "The end."))
        await ask(conversations, runtime, a_turn("tell", message="A1", parent=""))
        await ask(conversations, runtime, a_turn("tell", assistant("Once"), message="A1", parent=""))
        await ask(conversations, runtime, a_turn("tell", assistant("Once upon"), message="A1", parent=""))
        shown = [user("tell"), assistant("Once upon a time"), user("and?")]
        await ask(conversations, runtime, a_turn(*shown, message="A2", parent="A1"))
        assert texts(runtime.turns[1].messages) == ["tell", "Once", GO_ON]
        assert texts(runtime.turns[3].messages) == ["tell", "Once", GO_ON, " upon", GO_ON, " a time", "and?"]
        assert [answer for _, answer in turns(store)] == ["Once", "Once upon", "Once upon a time", "The end."]

    async def test_an_answer_that_was_stopped_goes_on_where_the_person_saw_it_stop(
        self, conversations: Conversations, store: Store
    ) -> None:
        events = conversations.run(Speaking(break_off), a_turn("a", message="A1", parent=""))
        assert await anext(events) == Text("half an ans")
        await events.aclose()
        runtime = Speaking(answering(" an answer"))
        await ask(conversations, runtime, a_turn("a", assistant("half"), message="A1", parent=""))
        assert texts(runtime.turns[0].messages) == ["a", "half", GO_ON]
        assert turns(store) == [("interrupted", "half an ans"), ("complete", "half an answer")]

    async def test_more_of_an_answer_that_was_stopped_goes_on_there_and_keeps_the_work_before(
        self, conversations: Conversations, store: Store
    ) -> None:
        await ask(conversations, Speaking(work), a_turn("a", message="A1", parent=""))
        events = conversations.run(Speaking(break_off), a_turn("a", assistant("A"), message="A1", parent=""))
        assert await anext(events) == Text("half an ans")
        await events.aclose()
        runtime = Speaking(answering(" a loaf", "yes"))
        await ask(conversations, runtime, a_turn("a", assistant("Ahalf"), message="A1", parent=""))
        shown = [user("a"), assistant("Ahalf a loaf"), user("b")]
        await ask(conversations, runtime, a_turn(*shown, message="B1", parent="A1"))
        known = (user("a"), *worked("a", "A"), CONTINUE, assistant("half"), CONTINUE)
        assert runtime.turns[0].messages == known
        assert runtime.turns[1].messages == (*known, assistant(" a loaf"), user("b"))
        said = ["A", "Ahalf an ans", "Ahalf", "Ahalf a loaf", "yes"]
        assert [answer for _, answer in turns(store)] == said

    @pytest.mark.parametrize("script", [fail, break_off])
    async def test_more_of_an_answer_that_failed_is_asked_for_again(
        self, script: Script, conversations: Conversations
    ) -> None:
        runtime = Speaking()
        await ask(conversations, Speaking(answering("Once")), a_turn("a", message="A1", parent=""))
        more = a_turn("a", assistant("Once"), message="A1", parent="")
        with pytest.raises(AgentFailed):
            await ask(conversations, Speaking(script), more)
        await ask(conversations, runtime, more)
        assert texts(runtime.turns[0].messages) == ["a", "Once", GO_ON]

    async def test_several_answers_at_once_stand_beside_each_other(self, conversations: Conversations) -> None:
        runtime = Speaking(work)
        await ask(conversations, runtime, a_turn("a", message="A1", parent=""))
        shown = [user("a"), assistant("A"), user("b")]
        await asyncio.gather(
            *(ask(conversations, runtime, a_turn(*shown, message=f"B{n}", parent="A1")) for n in range(5))
        )
        assert {turn.messages for turn in runtime.turns[1:]} == {(user("a"), *worked("a", "A"), user("b"))}

    async def test_two_agents_in_a_chat_are_given_what_the_person_sees(self, conversations: Conversations) -> None:
        one, other = Speaking(work), Speaking(work)
        shown: list[Message | str] = []
        parent = ""
        for number, text in enumerate("abcdef"):
            who, agent = ((one, "one"), (other, "other"))[number % 2]
            turn = a_turn(*shown, text, message=text.upper(), parent=parent, agent=agent)
            await ask(conversations, who, turn)
            visible = [m.content for m in who.turns[-1].messages if m.role != "tool" and not m.tool_calls]
            assert visible == texts(turn.messages)
            shown += [text, assistant(text.upper())]
            parent = text.upper()
        assert [turn.state and turn.state["count"] for turn in one.turns] == [None, 1, 2]
        assert one.turns[-1].messages[1:4] == worked("a", "A")

    async def test_a_turn_that_failed_is_a_question_without_an_answer(self, conversations: Conversations) -> None:
        await ask(conversations, Speaking(work), a_turn("a", message="A1", parent=""))
        shown = [user("a"), assistant("A"), user("b")]
        with pytest.raises(AgentFailed):
            await ask(conversations, Speaking(fail), a_turn(*shown, message="B1", parent="A1"))
        runtime = Speaking(work)
        await ask(conversations, runtime, a_turn(*shown, "c", message="C1", parent="B1"))
        assert runtime.turns[0].messages == (user("a"), *worked("a", "A"), user("b"), user("c"))
        assert runtime.turns[0].state == {"count": 1}

    async def test_every_request_of_a_real_one_finds_its_place(self, conversations: Conversations) -> None:
        """Of the answers those are known that a later request shows."""
        answers: dict[str, str] = {}
        for request in TURNS:
            if len(said := _said(request)) > 2:
                answers[request.headers["x-agentllm-parent-message-id"]] = said[-2].content
        for request in TURNS:
            message, said = request.headers["x-agentllm-message-id"], _said(request)
            runtime = Speaking(answering(answers.get(message, "never shown again")))
            session, parent = request.headers["x-openwebui-chat-id"], request.headers["x-agentllm-parent-message-id"]
            await ask(conversations, runtime, a_turn(*said, session=session, message=message, parent=parent))
            (given,) = runtime.turns
            assert [m.content for m in given.messages if m.role == "assistant"] == texts(said[1::2])
            assert (given.messages[-1].role, given.messages[-1].content) == (said[-1].role, said[-1].content)
            assert (given.state is None) == (parent == "")


def _said(request: Captured) -> list[Message]:
    return [
        Message(
            message["role"],
            message.get("content") or "",
            tuple(ToolCall(call["id"], **call["function"]) for call in message.get("tool_calls", ())),
            message.get("tool_call_id"),
        )
        for message in request.body["messages"]
    ]


class TestWithoutASession:
    async def test_one_question_begins_a_conversation(self, conversations: Conversations) -> None:
        runtime = Speaking()
        for _ in range(2):
            await ask(conversations, runtime, a_turn("a", session=None))
        first, second = runtime.turns
        assert first.conversation != second.conversation
        assert texts(second.messages) == ["a"]

    async def test_its_transcript_finds_it_again(self, conversations: Conversations) -> None:
        runtime = Speaking(work)
        said: list[Message | str] = []
        for text in "abc":
            await ask(conversations, runtime, a_turn(*said, text, session=None))
            said += [text, assistant(text.upper())]
        assert len({turn.conversation for turn in runtime.turns}) == 1
        assert runtime.turns[-1].messages == (user("a"), *worked("a", "A"), user("b"), *worked("b", "B"), user("c"))
        assert runtime.turns[-1].state == {"count": 2}

    async def test_so_do_edits_and_other_answers(self, conversations: Conversations) -> None:
        runtime = Speaking(work)
        for said in (("a",), ("a", assistant("A"), "b"), ("a", assistant("A"), "b"), ("a", assistant("A"), "edited")):
            await ask(conversations, runtime, a_turn(*said, session=None))
        assert len({turn.conversation for turn in runtime.turns}) == 1
        assert {turn.messages[:-1] for turn in runtime.turns[1:]} == {(user("a"), *worked("a", "A"))}

    async def test_an_unknown_transcript_begins_a_conversation(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await ask(conversations, runtime, a_turn("a", session=None))
        await ask(conversations, runtime, a_turn("a", assistant("B"), "c", session=None))
        assert texts(runtime.turns[-1].messages) == ["a", "B", "c"]
        assert runtime.turns[-1].conversation != runtime.turns[0].conversation

    async def test_an_answer_is_continued(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking(answering("Once", " upon", "!"))
        await ask(conversations, runtime, a_turn("a", session=None))
        await ask(conversations, runtime, a_turn("a", assistant("Once"), session=None))
        await ask(conversations, runtime, a_turn("a", assistant("Once upon"), "b", session=None))
        assert texts(runtime.turns[-1].messages) == ["a", "Once", GO_ON, " upon", "b"]
        assert len({turn.conversation for turn in runtime.turns}) == 1

    async def test_an_answer_that_was_never_ours_is_continued(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking(answering(" upon", "!"))
        await ask(conversations, runtime, a_turn("a", assistant("Once"), session=None))
        await ask(conversations, runtime, a_turn("a", assistant("Once upon"), "b", session=None))
        assert texts(runtime.turns[0].messages) == ["a", "Once", GO_ON]
        assert texts(runtime.turns[1].messages) == ["a", "Once", GO_ON, " upon", "b"]
        assert turns(store)[0] == ("complete", "Once upon")

    async def test_a_session_is_not_found_by_its_transcript_alone(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await tell(conversations, runtime, "a")
        await ask(conversations, runtime, a_turn("a", assistant("A"), "b", session=None))
        assert runtime.turns[-1].state is None
        assert runtime.turns[-1].conversation != runtime.turns[0].conversation


class TestOwners:
    @pytest.mark.parametrize(
        "other",
        [
            a_turn("b", caller=BOB),
            a_turn("b", caller=Caller("key-of-ada", end_user="eve")),
            a_turn("b", agent="assistant"),
            a_turn("b", session="t"),
            a_turn("b", session=""),
            a_turn("b", message="B", parent="A", caller=BOB),
            a_turn("a", assistant("A"), "b", caller=BOB),
            a_turn("a", assistant("A"), "b", caller=BOB, session=None),
            a_turn("a", assistant("A"), "b", agent="assistant", session=None),
        ],
    )
    async def test_another_caller_agent_or_session_is_another_conversation(
        self, other: Turn, conversations: Conversations
    ) -> None:
        runtime = Speaking(work)
        for session in ("s", None):
            await ask(
                conversations, runtime, a_turn("a", session=session, message=session and "A", parent=session and "")
            )
        await ask(conversations, runtime, other)
        given = runtime.turns[-1]
        assert given.messages == other.messages
        assert given.state is None
        assert given.conversation not in {turn.conversation for turn in runtime.turns[:-1]}
        assert (await tell(conversations, runtime, "c"))[-2:] == ["A", "c"]

    async def test_with_another_secret_nothing_is_found(self, store: Store) -> None:
        runtime = Speaking()
        await tell(Conversations(store, SECRET, Locks(), history_turns=20), runtime, "a")
        assert await tell(Conversations(store, b"1" * 32, Locks(), history_turns=20), runtime, "b") == ["b"]

    async def test_who_owns_a_conversation_is_stored_with_it(self, conversations: Conversations, store: Store) -> None:
        await tell(conversations, Speaking(), "a")
        assert rows(store.url, "SELECT caller, agent, session FROM conversations") == [
            ('["key", "key-of-ada"]', "demo", "s")
        ]


class TestWithoutAPlace:
    async def test_a_turn_is_run_as_it_is_and_no_store_is_needed(self, tmp_path: Path) -> None:
        store = Store(sqlite_url(tmp_path / "nowhere"))
        runtime = Speaking()
        turn = Turn("t", "demo", ADA, (system("be kind"), user("a"), assistant("b"), user("c")))
        events = await ask(Conversations(store, SECRET, Locks(), history_turns=20), runtime, turn)
        assert events[:2] == [Text("C"), Text("")]
        assert runtime.turns == [turn]
        assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))

    async def test_it_ends_with_the_reader(self, conversations: Conversations) -> None:
        runtime = Speaking()
        events = conversations.run(runtime, Turn("t", "demo", ADA, (user("a"),)))
        await anext(events)
        await events.aclose()
        assert runtime.closed == 1


class TestStored:
    async def test_events_come_as_the_agent_sends_them(self, conversations: Conversations) -> None:
        sent: Sequence[Event] = [
            *(Reasoning("hm"), Text("a"), Usage(1, 1), Reasoning("so"), Text("b"), Usage(2, 2), Finished("length"))
        ]

        async def script(turn: Turn) -> AsyncGenerator[Event, None]:
            for event in sent:
                yield event

        assert await ask(conversations, Speaking(script), a_turn("a")) == sent

    async def test_what_was_asked_is_on_disk_before_the_agent_runs_and_the_answer_before_its_end_is_told(
        self, conversations: Conversations, store: Store
    ) -> None:
        seen: list[object] = []

        async def looks(turn: Turn) -> AsyncGenerator[Event, None]:
            seen.append(turns(store))
            async for event in echo(turn):
                yield event

        async with aclosing(conversations.run(Speaking(looks), a_turn("hello"))) as events:
            async for event in events:
                assert turns(store) == [("complete", "HELLO") if isinstance(event, Finished) else ("running", "")]
        assert seen == [[("running", "")]]

    async def test_only_what_is_new_is_stored(self, conversations: Conversations, store: Store) -> None:
        await tell(conversations, Speaking(), "a")
        await tell(conversations, Speaking(), system("be kind"), "a", assistant("A"), "b")
        stored = rows(store.url, "SELECT input, output FROM turns ORDER BY id")
        assert ["be kind" in str(row) for row in stored] == [False, False]
        assert '"a"' not in str(stored[1])

    async def test_how_far_an_answer_has_come_is_on_disk_while_the_agent_is_silent(
        self, conversations: Conversations, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(growing, "KEEP_EVERY", 0.02)
        monkeypatch.setattr(database, "SOON", 0.02)

        async def ponders(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("I will ")
            yield Text("look it up.")
            await asyncio.Event().wait()

        asking = asyncio.create_task(ask(conversations, Speaking(ponders), a_turn("a")))
        async with asyncio.timeout(SECOND):
            while await asyncio.to_thread(turns, store) != [("running", "I will look it up.")]:
                assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert turns(store) == [("interrupted", "I will look it up.")]


class TestTurnsThatEndEarly:
    async def test_one_that_fails_before_any_text_is_kept_as_failed_and_not_given_again(
        self, conversations: Conversations, store: Store
    ) -> None:
        await tell(conversations, Speaking(), "a")
        with pytest.raises(AgentFailed):
            await tell(conversations, Speaking(fail), "b")
        assert turns(store)[1] == ("failed", "")
        runtime = Speaking()
        assert await tell(conversations, runtime, "c") == ["a", "A", "c"]
        assert runtime.turns[0].state == {"count": 1}

    async def test_an_answer_that_is_not_in_its_form_is_kept_as_failed_and_not_given_again(
        self, conversations: Conversations, store: Store
    ) -> None:
        await tell(conversations, Speaking(), "a")
        with pytest.raises(MalformedAnswer):
            await tell(conversations, Speaking(misspeak), "b")
        assert turns(store)[1][0] == "failed"
        assert await tell(conversations, Speaking(), "c") == ["a", "A", "c"]

    async def test_one_that_fails_in_the_middle_is_kept_as_far_as_it_came(
        self, conversations: Conversations, store: Store
    ) -> None:
        await tell(conversations, Speaking(), "a")
        with pytest.raises(AgentFailed):
            await tell(conversations, Speaking(break_off), "b")
        assert turns(store)[1] == ("interrupted", "half an ans")
        runtime = Speaking()
        assert await tell(conversations, runtime, "c") == ["a", "A", "b", "half an ans", "c"]
        assert runtime.turns[0].state == {"count": 1}

    async def test_what_its_tools_did_is_given_again(self, conversations: Conversations, store: Store) -> None:
        async def acts(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("Looking. ")
            for event in (*tool("one"), *tool("two", by="a member")):
                yield event
            yield Text("And more. ")
            for event in at_once(tool("three"), tool("four")):
                yield event
            yield Text("Nearly")
            raise AgentFailed("no")

        with pytest.raises(AgentFailed):
            await tell(conversations, Speaking(acts), "a")
        assert turns(store) == [("interrupted", "Looking. And more. Nearly")]
        runtime = Speaking()
        await tell(conversations, runtime, "b")
        assert runtime.turns[0].messages == (
            user("a"),
            called("one", says="Looking. "),
            result("one"),
            called("three", "four", says="And more. "),
            result("three"),
            result("four"),
            assistant("Nearly"),
            user("b"),
        )

    async def test_a_tool_that_ran_is_given_again_though_nothing_was_said(
        self, conversations: Conversations, store: Store
    ) -> None:
        async def acts(turn: Turn) -> AsyncGenerator[Event, None]:
            for event in tool("one"):
                yield event
            raise AgentFailed("no")

        with pytest.raises(AgentFailed):
            await tell(conversations, Speaking(acts), "a")
        assert turns(store) == [("interrupted", "")]
        runtime = Speaking()
        await tell(conversations, runtime, "b")
        assert runtime.turns[0].messages == (user("a"), called("one"), result("one"), user("b"))

    async def test_a_tool_that_was_stopped_is_given_again_without_a_result(self, conversations: Conversations) -> None:
        async def acts(turn: Turn) -> AsyncGenerator[Event, None]:
            yield tool("one")[0]
            await asyncio.Event().wait()

        events = conversations.run(Speaking(acts), a_turn("a"))
        await anext(events)
        await events.aclose()
        runtime = Speaking()
        await tell(conversations, runtime, "b")
        assert runtime.turns[0].messages == (user("a"), called("one"), result("one", NO_RESULT), user("b"))

    async def test_a_tool_that_waited_for_the_person_has_its_result_behind_its_call(
        self, conversations: Conversations
    ) -> None:
        async def asks(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("May I?")
            yield Finished("stop", (called("one", says="May I?"),), pending={"for": "one"})

        async def acts(turn: Turn) -> AsyncGenerator[Event, None]:
            assert turn.pending == {"for": "one"}
            for event in tool("one"):
                yield event
            raise AgentFailed("no")

        await tell(conversations, Speaking(asks), "a")
        with pytest.raises(AgentFailed):
            await tell(conversations, Speaking(acts), "yes")
        runtime = Speaking()
        await tell(conversations, runtime, "b")
        assert [message for message in runtime.turns[0].messages if message.role == "tool"] == [result("one")]

    async def test_what_its_tools_did_is_on_disk_while_it_runs(
        self, conversations: Conversations, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(growing, "KEEP_EVERY", 0.02)
        monkeypatch.setattr(database, "SOON", 0.02)

        async def acts(turn: Turn) -> AsyncGenerator[Event, None]:
            for event in tool("one"):
                yield event
            await asyncio.Event().wait()

        asking = asyncio.create_task(ask(conversations, Speaking(acts), a_turn("a")))
        async with asyncio.timeout(SECOND):
            while "done one" not in str(await asyncio.to_thread(rows, store.url, "SELECT output FROM turns")):
                assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    async def test_so_is_one_whose_reader_leaves(self, conversations: Conversations, store: Store) -> None:
        runtime = Speaking()
        events = conversations.run(runtime, a_turn("left"))
        assert await anext(events) == Text("L")
        await events.aclose()
        assert runtime.closed == 1
        assert turns(store) == [("interrupted", "L")]
        async with asyncio.timeout(SECOND):
            assert await tell(conversations, runtime, "b") == ["left", "L", "b"]

    async def test_one_that_is_cancelled_while_the_agent_works_stops_it(
        self, conversations: Conversations, store: Store
    ) -> None:
        working = asyncio.Event()

        async def works(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("Well")
            working.set()
            await asyncio.Event().wait()

        runtime = Speaking(works)
        task = asyncio.create_task(ask(conversations, runtime, a_turn("a")))
        await working.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert runtime.closed == 1
        assert turns(store) == [("interrupted", "Well")]
        async with asyncio.timeout(SECOND):
            assert await tell(conversations, Speaking(), "b") == ["a", "Well", "b"]

    async def test_an_agent_that_never_ends_its_turn_has_been_interrupted(
        self, conversations: Conversations, store: Store
    ) -> None:
        async def stops(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("a")

        assert await ask(conversations, Speaking(stops), a_turn("a")) == [Text("a")]
        assert turns(store) == [("interrupted", "a")]


class TestOneAtATime:
    async def test_turns_of_one_conversation_run_one_after_another(self, conversations: Conversations) -> None:
        running = 0

        async def alone(turn: Turn) -> AsyncGenerator[Event, None]:
            nonlocal running
            running += 1
            await conversations.warm_up()
            assert running == 1
            async for event in echo(turn):
                yield event
            running -= 1

        async with asyncio.timeout(30):
            await asyncio.gather(*(tell(conversations, Speaking(alone), str(number)) for number in range(10)))

    async def test_other_conversations_do_not_wait(self, conversations: Conversations) -> None:
        together = asyncio.Barrier(4)

        async def meets(turn: Turn) -> AsyncGenerator[Event, None]:
            await together.wait()
            async for event in echo(turn):
                yield event

        asked = [a_turn("a"), a_turn("a", session="t"), a_turn("a", caller=BOB), a_turn("a", session=None)]
        async with asyncio.timeout(SECOND):
            await asyncio.gather(*(ask(conversations, Speaking(meets), turn) for turn in asked))

    async def test_many_at_once_are_all_remembered(self, conversations: Conversations) -> None:
        runtime = Speaking()
        await asyncio.gather(*(tell(conversations, runtime, str(number)) for number in range(15)))
        assert await tell(conversations, runtime, "next") == [
            *(text for turn in runtime.turns[:15] for text in [turn.messages[-1].content] * 2),
            "next",
        ]
        assert runtime.turns[-1].state == {"count": 15}

    async def test_where_too_many_wait_the_next_is_told_and_nothing_of_it_is_stored(self, store: Store) -> None:
        conversations = Conversations(store, SECRET, Locks(queue=1), history_turns=20)
        go = asyncio.Event()

        async def waits(turn: Turn) -> AsyncGenerator[Event, None]:
            await go.wait()
            async for event in echo(turn):
                yield event

        first, second = (asyncio.create_task(ask(conversations, Speaking(waits), a_turn(text))) for text in "ab")
        await asyncio.sleep(0)
        with pytest.raises(ConversationBusy):
            await tell(conversations, Speaking(), "c")
        go.set()
        await asyncio.gather(first, second)
        assert turns(store) == [("complete", "A"), ("complete", "B")]


@pytest.mark.usefixtures("impatient")
class TestWhenTheStoreIsDown:
    async def test_before_a_turn_nothing_is_run(self, conversations: Conversations, store: Store) -> None:
        lose_the_table(store.url)
        runtime = Speaking()
        for session in ("s", None):
            with pytest.raises(StoreUnavailable):
                await ask(conversations, runtime, a_turn("a", assistant("A"), "b", session=session))
        assert runtime.turns == []

    @pytest.mark.parametrize("failure", ["disk", "table", "lock"])
    async def test_at_its_end_the_turn_is_no_success(self, failure: str, tmp_path: Path) -> None:
        store = Store(sqlite_url(tmp_path))
        store.create()
        conversations = Conversations(store, SECRET, Locks(), history_turns=20)

        async def script(turn: Turn) -> AsyncGenerator[Event, None]:
            with contextlib.ExitStack() as until_the_agent_ends:
                if failure == "disk":
                    until_the_agent_ends.enter_context(full_disk())
                elif failure == "lock":
                    until_the_agent_ends.enter_context(locked(store.url))
                else:
                    lose_the_table(store.url)
                yield Text("half")
                yield Finished("stop", (assistant("half"),))

        await tell(conversations, Speaking(), "a")
        runtime, events = Speaking(script), list[Event]()
        with pytest.raises(StoreUnavailable):
            await ask(conversations, runtime, a_turn("b"), events)
        assert events == [Text("half")]
        assert runtime.closed == 1
        if failure == "table":
            find_the_table(store.url)
        kept = [] if failure == "table" else ["half"]
        assert await tell(conversations, Speaking(), "c") == ["a", "A", "b", *kept, "c"]
        assert turns(store)[1] == ("interrupted", "".join(kept))
        store.close()

    async def test_an_end_that_can_be_written_in_time_is_a_success(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_module, "END_PATIENCE", SECOND)
        store = Store(sqlite_url(tmp_path))
        store.create()
        conversations = Conversations(store, SECRET, Locks(), history_turns=20)
        with locked(store.url) as other:
            other.execute("ROLLBACK")

            async def script(turn: Turn) -> AsyncGenerator[Event, None]:
                other.execute("BEGIN IMMEDIATE")
                async for event in echo(turn):
                    yield event

            task = asyncio.create_task(ask(conversations, Speaking(script), a_turn("a")))
            await asyncio.wait([task], timeout=0.3)
            assert not task.done()
            other.execute("ROLLBACK")
            assert isinstance((await task)[-1], Finished)
        assert turns(store) == [("complete", "A")]
        store.close()

    async def test_a_conversation_that_is_deleted_meanwhile_is_told_at_the_end(
        self, conversations: Conversations, store: Store
    ) -> None:
        async def loses(turn: Turn) -> AsyncGenerator[Event, None]:
            change(store.url, "DELETE FROM turns", "DELETE FROM conversations")
            async for event in echo(turn):
                yield event

        with pytest.raises(StoreUnavailable):
            await tell(conversations, Speaking(loses), "a")
        assert await tell(conversations, Speaking(), "b") == ["b"]

    async def test_warming_up_finds_out(self, conversations: Conversations, store: Store) -> None:
        await conversations.warm_up()
        lose_the_table(store.url)
        with pytest.raises(StoreUnavailable):
            await conversations.warm_up()
