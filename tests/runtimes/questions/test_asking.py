"""An agent's questions on their way to the person and back, in conversations that are stored."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.results import NO_RESULT
from agentllm.conversations.store import Store
from agentllm.core import (
    Caller,
    ClientCalls,
    ClientTool,
    Decision,
    Event,
    Field,
    Finished,
    Message,
    Place,
    Question,
    Questions,
    Text,
    ToolCall,
    Turn,
    Usage,
)
from agentllm.errors import AlreadyDecided, InvalidRequest
from agentllm.runtimes.questions import Asking
from agentllm.runtimes.questions.calls import APPROVE, ASK_USER
from tests.conversations.disk import rows, sqlite_url
from tests.conversations.speaking import Script, Speaking
from tests.conversations.talk import texts, user

ADA, BOB = Caller("key-of-ada"), Caller("key-of-bob")
DEPLOY = Question("d", "confirmation", "deploy", {"version": "1.2"})
DELETE = Question("x", "confirmation", "delete", {"name": "old"})
SEND = Question("s", "values", "send", {"text": "hi"}, fields=(Field("to"), Field("count", "int")))
WEATHER = ClientTool("weather", "The weather.", {"type": "object", "properties": {}})
PANEL = ClientTool(ASK_USER, "", {"type": "object", "properties": {"questions": {"type": "array"}}})
LOOK = ToolCall("w", "weather", '{"city": "Oslo"}')


def asking(*questions: Question, calls: Sequence[ToolCall] = (), said: str = "") -> Script:
    """Pauses with questions, and says what was decided when it goes on; says what it heard where it does not."""

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        yield Usage(7, 1)
        if turn.decisions:
            assert turn.pending == {"paused": [question.id for question in questions]}
            ran = [Message("tool", "ran", tool_call_id=one.id) for one in turn.decisions]
            heard = " ".join(f"{one.id}:{'yes' if one.approved else f'no {one.note}'}" for one in turn.decisions)
            yield Text(heard)
            yield Finished("stop", (*ran, Message("assistant", heard)), {"decided": len(ran)})
        elif turn.messages[-1].content == "ask":
            if said:
                yield Text(said)
            made = tuple(ToolCall(question.id, question.tool, json.dumps(question.arguments)) for question in questions)
            if calls:
                yield ClientCalls(tuple(calls))
            yield Questions(questions)
            paused = Message("assistant", said, (*calls, *made))
            yield Finished("stop", (paused,), {"asked": True}, {"paused": [question.id for question in questions]})
        else:
            answer = f"heard {turn.messages[-1].content}"
            yield Text(answer)
            yield Finished("stop", (Message("assistant", answer),), turn.state)

    return script


class Chat:
    """One person's session; each request has the new messages alone."""

    def __init__(self, store: Store, script: Script, *tools: ClientTool, caller: Caller = ADA) -> None:
        self._store = store
        self.runtime = Speaking(script)
        self.tools = tools
        self.caller = caller
        self.events: list[Event] = []

    async def say(self, *messages: Message | str, session: str | None = "s") -> Chat:
        """Run a turn, as a proxy that has just been started does."""
        said = tuple(user(one) if isinstance(one, str) else one for one in messages)
        place = None if session is None else Place(session)
        turn = Turn("t", "demo", self.caller, said, place=place, client_tools=self.tools)
        conversations = Conversations(self._store, b"a secret of a test", Locks(), history_turns=20)
        self.events = []
        async with aclosing(conversations.run(Asking(self.runtime), turn)) as coming:
            async for event in coming:
                self.events.append(event)
        return self

    async def answer(self, *contents: str) -> Chat:
        """Answer the calls of the last turn, in their order."""
        results = zip(self.calls, contents, strict=True)
        return await self.say(*(Message("tool", content, tool_call_id=call.id) for call, content in results))

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        found = [event.calls for event in self.events if isinstance(event, ClientCalls)]
        assert len(found) <= 1
        return found[0] if found else ()

    @property
    def reason(self) -> str:
        assert isinstance(self.events[-1], Finished)
        return self.events[-1].reason

    @property
    def decided(self) -> tuple[Decision, ...]:
        """What the run was given when it last went on."""
        return self.runtime.turns[-1].decisions

    @property
    def runs(self) -> int:
        return len(self.runtime.turns)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(sqlite_url(tmp_path))
    made.create()
    yield made
    made.close()


Begin = Callable[..., Chat]


@pytest.fixture
def begin(store: Store) -> Begin:
    def begin(script: Script, *tools: ClientTool, caller: Caller = ADA) -> Chat:
        return Chat(store, script, *tools, caller=caller)

    return begin


def accepted(value: bool = True, **more: object) -> str:
    return json.dumps({"accepted": value, **more})


def chosen(**labels: str) -> str:
    """Open WebUI's answer with an option for each question."""
    answers = {id: {"type": "option", "option_index": 0, "label": label} for id, label in labels.items()}  # noqa: A001
    return json.dumps({"status": "answered", "answers": answers})


class TestWithoutQuestions:
    async def test_a_turn_is_run_as_it_is(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("hello")
        assert (chat.text, chat.reason, chat.calls) == ("heard hello", "stop", ())

    async def test_it_is_the_runtime_that_it_stands_for(self, begin: Begin) -> None:
        runtime = Speaking(description="what it does")
        found = Asking(runtime)
        assert (found.name, found.description, found.memory) == (runtime.name, runtime.description, runtime.memory)
        assert found.takes_front_end_tools is runtime.takes_front_end_tools
        await found.warm_up()

    async def test_calls_of_the_client_s_tools_are_passed_on_and_their_results_reach_the_agent(
        self, begin: Begin
    ) -> None:
        async def script(turn: Turn) -> AsyncGenerator[Event, None]:
            if turn.messages[-1].role == "tool":
                yield Text(f"It is {turn.messages[-1].content}")
                yield Finished("stop")
            else:
                yield ClientCalls((LOOK,))
                yield Finished("tool_calls", (Message("assistant", tool_calls=(LOOK,)),))

        chat = await begin(script, WEATHER).say("weather?")
        assert (chat.calls, chat.reason) == ((LOOK,), "tool_calls")
        await chat.answer("cold")
        assert (chat.text, chat.reason) == ("It is cold", "stop")
        assert [message.role for message in chat.runtime.turns[-1].messages] == ["user", "assistant", "tool"]

    async def test_closing_it_closes_the_run(self) -> None:
        runtime = Speaking(asking(DEPLOY))
        events = Asking(runtime).run(Turn("t", "demo", ADA, (user("hello"),), place=Place("s")))
        await anext(events)
        await events.aclose()
        assert runtime.closed == 1


class TestInWords:
    """Where the client has no tools."""

    async def test_the_question_is_a_paragraph_with_the_tool_and_its_arguments(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, said="Let me see.")).say("ask")
        before, _, question = chat.text.partition("\n\n")
        assert before == "Let me see."
        assert "`deploy`" in question
        assert '"version": "1.2"' in question
        assert (chat.reason, chat.calls) == ("stop", ())
        assert chat.events[0] == Usage(7, 1)

    @pytest.mark.parametrize(
        ("answer", "decision"),
        [
            ("yes", Decision("d", approved=True)),
            ("no", Decision("d", approved=False)),
            ("Which cluster?", Decision("d", approved=False, note="Which cluster?")),
        ],
    )
    async def test_the_next_message_decides(self, begin: Begin, answer: str, decision: Decision) -> None:
        chat = await begin(asking(DEPLOY)).say("ask")
        await chat.say(answer)
        assert chat.decided == (decision,)
        assert chat.reason == "stop"

    async def test_what_decided_is_no_message_to_the_agent(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY)).say("ask")
        await chat.say("yes")
        resumed = chat.runtime.turns[-1]
        assert [message.role for message in resumed.messages] == ["user", "assistant"]
        assert resumed.state == {"asked": True}

    async def test_what_was_done_stands_in_the_conversation_afterwards(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY)).say("ask")
        await chat.say("yes")
        await chat.say("thanks")
        messages = chat.runtime.turns[-1].messages
        assert texts(messages) == ["ask", "", "ran", "yes", "d:yes", "thanks"]
        assert chat.runtime.turns[-1].state == {"decided": 1}

    async def test_it_decides_once(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY)).say("ask")
        await chat.say("yes")
        await chat.say("yes")
        assert chat.decided == ()
        assert chat.text == "heard yes"

    async def test_several_questions_are_asked_one_by_one(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, DELETE, SEND)).say("ask")
        assert "`delete`" not in chat.text
        await chat.say("yes")
        assert "`delete`" in chat.text
        await chat.say("no")
        assert "`send`" in chat.text
        assert chat.runs == 1
        await chat.say("to: ada\ncount: 3")
        assert chat.decided == (
            Decision("d", approved=True),
            Decision("x", approved=False),
            Decision("s", approved=True, values={"to": "ada", "count": 3}),
        )
        assert [message.role for message in chat.runtime.turns[-1].messages] == ["user", "assistant"]

    async def test_values_that_cannot_be_read_are_asked_for_again_and_nothing_runs(self, begin: Begin) -> None:
        chat = await begin(asking(SEND)).say("ask")
        for wrong in ("to: ada", "to: ada\ncount: many"):
            await chat.say(wrong)
            assert "`count`" in chat.text
            assert "`send`" in chat.text
            assert chat.runs == 1
        await chat.say("to: ada\ncount: 3")
        assert chat.decided == (Decision("s", approved=True, values={"to": "ada", "count": 3}),)
        assert [message.role for message in chat.runtime.turns[-1].messages] == ["user", "assistant"]

    async def test_cancel_refuses_values(self, begin: Begin) -> None:
        chat = await begin(asking(SEND)).say("ask")
        await chat.say("cancel")
        assert chat.decided == (Decision("s", approved=False),)

    async def test_more_of_the_question_wanted_lets_it_go(self, begin: Begin) -> None:
        """Open WebUI's "continue", which says nothing new."""
        chat = await begin(asking(DEPLOY)).say("ask")
        await chat.say("ask", Message("assistant", chat.text))
        assert chat.decided == ()
        await chat.say("yes")
        assert chat.decided == ()


class TestAsCalls:
    """Where the client has tools of its own."""

    async def test_each_question_is_a_call_of_its_tool(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, SEND), WEATHER).say("ask")
        assert [(call.name, json.loads(call.arguments)) for call in chat.calls] == [
            ("deploy", {"version": "1.2"}),
            ("send", {"text": "hi", "to": None, "count": None}),
        ]
        assert (chat.reason, chat.text) == ("tool_calls", "")
        assert {call.id for call in chat.calls}.isdisjoint({"d", "s"})

    async def test_the_results_decide(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, DELETE, SEND), WEATHER).say("ask")
        await chat.answer(accepted(), accepted(False, note="keep it"), '{"values": {"to": "ada", "count": 3}}')
        assert chat.decided == (
            Decision("d", approved=True),
            Decision("x", approved=False, note="keep it"),
            Decision("s", approved=True, values={"to": "ada", "count": 3}),
        )

    async def test_they_go_out_together_with_calls_of_the_client_s_tools(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, calls=[LOOK]), WEATHER).say("ask")
        assert [call.name for call in chat.calls] == ["weather", "deploy"]
        await chat.answer("cold", accepted())
        resumed = chat.runtime.turns[-1]
        assert resumed.decisions == (Decision("d", approved=True),)
        assert [message.role for message in resumed.messages] == ["user", "assistant", "tool"]
        assert resumed.messages[-1].content == "cold"

    async def test_values_that_cannot_be_read_are_asked_for_again_under_another_id(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, SEND, calls=[LOOK]), WEATHER).say("ask")
        before = chat.calls
        await chat.answer("cold", accepted(), '{"values": {"to": "ada"}}')
        assert [call.name for call in chat.calls] == ["send"]
        assert chat.calls[0].id not in {call.id for call in before}
        assert "`count`" in chat.text
        assert chat.runs == 1
        await chat.answer('{"values": {"to": "ada", "count": 3}}')
        resumed = chat.runtime.turns[-1]
        assert [decision.approved for decision in resumed.decisions] == [True, True]
        assert [message.content for message in resumed.messages if message.role == "tool"] == ["cold"]

    async def test_a_part_of_the_results_is_refused_and_they_may_be_sent_whole(
        self, begin: Begin, store: Store
    ) -> None:
        chat = await begin(asking(DEPLOY, DELETE), WEATHER).say("ask")
        first, second = (Message("tool", accepted(), tool_call_id=call.id) for call in chat.calls)
        with pytest.raises(InvalidRequest):
            await chat.say(first)
        assert rows(store.url, "SELECT count(*) FROM turns") == [(1,)]
        await chat.say(first, second)
        assert [decision.approved for decision in chat.decided] == [True, True]

    async def test_so_are_results_of_calls_that_nobody_made(self, begin: Begin, store: Store) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        call = chat.calls[0]
        for unknown in ("d", "unknown", f"{call.id}-2"):
            with pytest.raises(InvalidRequest):
                await chat.say(Message("tool", accepted(), tool_call_id=unknown))
        assert rows(store.url, "SELECT count(*) FROM turns") == [(1,)]
        await chat.say(Message("tool", accepted(), tool_call_id=call.id))
        assert chat.decided == (Decision("d", approved=True),)

    async def test_a_new_message_instead_approves_nothing(self, begin: Begin, store: Store) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        call = chat.calls[0]
        await chat.say("yes")
        assert (chat.decided, chat.text) == ((), "heard yes")
        assert texts(chat.runtime.turns[-1].messages) == ["ask", "", NO_RESULT, "yes"]
        with pytest.raises(AlreadyDecided):
            await chat.say(Message("tool", accepted(), tool_call_id=call.id))
        assert chat.runs == 2
        assert rows(store.url, "SELECT count(*) FROM turns") == [(2,)]

    async def test_nor_does_a_result_with_a_new_message_behind_it(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        await chat.say(Message("tool", accepted(), tool_call_id=chat.calls[0].id), "and hurry")
        assert (chat.decided, chat.text) == ((), "heard and hurry")
        assert texts(chat.runtime.turns[-1].messages) == ["ask", "", NO_RESULT, "and hurry"]

    async def test_a_second_answer_is_refused(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        shown = (user("ask"), Message("assistant", chat.text, chat.calls))
        result = Message("tool", accepted(), tool_call_id=chat.calls[0].id)
        await chat.say(result)
        for again in ((result,), (*shown, result)):
            with pytest.raises(AlreadyDecided):
                await chat.say(*again)
        assert chat.runs == 2

    async def test_an_answer_with_the_whole_transcript_finds_its_run_without_a_session(self, begin: Begin) -> None:
        chat = begin(asking(DEPLOY), WEATHER)
        await chat.say("ask", session="")
        shown = (user("ask"), Message("assistant", chat.text, chat.calls))
        result = Message("tool", accepted(), tool_call_id=chat.calls[0].id)
        await chat.say(*shown, result, session="")
        assert chat.decided == (Decision("d", approved=True),)
        with pytest.raises(AlreadyDecided):
            await chat.say(*shown, result, session="")

    async def test_somebody_else_decides_nothing(self, begin: Begin) -> None:
        adas, bobs = begin(asking(DEPLOY), WEATHER), begin(asking(DEPLOY), WEATHER, caller=BOB)
        await adas.say("ask")
        result = Message("tool", accepted(), tool_call_id=adas.calls[0].id)
        with pytest.raises(InvalidRequest):
            await bobs.say(result)
        assert bobs.runs == 0
        await bobs.say(user("ask"), Message("assistant", "", adas.calls), result)
        heard = bobs.runtime.turns[-1]
        assert (heard.decisions, heard.pending) == ((), None)
        assert not any(message.tool_calls or message.role == "tool" for message in heard.messages)
        await adas.say(result)
        assert adas.decided == (Decision("d", approved=True),)

    async def test_a_run_that_failed_after_the_answer_is_not_gone_on_with_again(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        result = Message("tool", accepted(), tool_call_id=chat.calls[0].id)

        async def failing(turn: Turn) -> AsyncGenerator[Event, None]:
            yield Usage()
            raise InvalidRequest("the model failed")

        script, chat.runtime.script = chat.runtime.script, failing
        with pytest.raises(InvalidRequest):
            await chat.say(result)
        chat.runtime.script = script
        with pytest.raises(AlreadyDecided):
            await chat.say(result)
        await chat.say("what now?")
        assert chat.decided == ()
        assert NO_RESULT in texts(chat.runtime.turns[-1].messages)
        assert accepted() not in texts(chat.runtime.turns[-1].messages)


class TestInThePanel:
    """Where Open WebUI offers its `ask_user`."""

    async def test_it_is_one_call_of_ask_user_and_nothing_beside(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, DELETE), PANEL).say("ask")
        (call,) = chat.calls
        assert call.name == ASK_USER
        assert len(json.loads(call.arguments)["questions"]) == 2
        assert (chat.reason, chat.text) == ("tool_calls", "")
        await chat.answer(chosen(q1=APPROVE, q2="Do not run it"))
        assert [decision.approved for decision in chat.decided] == [True, False]

    async def test_what_it_has_no_room_for_is_shown_above_it(self, begin: Begin) -> None:
        long = replace(DEPLOY, arguments={"text": "x" * 600})
        chat = await begin(asking(long), PANEL).say("ask")
        assert "x" * 600 in chat.text
        assert [call.name for call in chat.calls] == [ASK_USER]

    async def test_more_than_fits_is_asked_after_it(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY, SEND, DELETE), PANEL).say("ask")
        first = chat.calls
        await chat.answer(chosen(q1=APPROVE, q2="Do not run it", q3="Do not run it"))
        assert chat.runs == 1
        assert chat.calls[0].id != first[0].id
        await chat.answer(chosen(q1=APPROVE))
        assert [(one.id, one.approved) for one in chat.decided] == [("d", True), ("s", False), ("x", True)]

    async def test_what_does_not_fit_at_all_is_asked_in_words(self, begin: Begin) -> None:
        many = replace(SEND, fields=tuple(Field(name) for name in "abcd"))
        chat = await begin(asking(DEPLOY, many), PANEL).say("ask")
        await chat.answer(chosen(q1=APPROVE))
        assert (chat.calls, chat.reason) == ((), "stop")
        await chat.say("a: 1\nb: 2\nc: 3\nd: 4")
        assert [one.approved for one in chat.decided] == [True, True]

    async def test_calls_of_other_tools_wait_for_what_is_asked_in_words_too(self, begin: Begin) -> None:
        many = replace(SEND, fields=tuple(Field(name) for name in "abcd"))
        chat = await begin(asking(many, calls=[LOOK]), PANEL, WEATHER).say("ask")
        await chat.say("cancel")
        assert chat.calls == (LOOK,)
        await chat.answer("cold")
        resumed = chat.runtime.turns[-1]
        assert resumed.decisions == (Decision("s", approved=False),)
        assert [message.role for message in resumed.messages] == ["user", "assistant", "tool"]

    async def test_calls_of_other_tools_wait_until_all_is_decided(self, begin: Begin) -> None:
        """Open WebUI takes `ask_user` only as the one call of an answer."""
        chat = await begin(asking(DEPLOY, calls=[LOOK]), PANEL, WEATHER).say("ask")
        assert [call.name for call in chat.calls] == [ASK_USER]
        await chat.answer(chosen(q1=APPROVE))
        assert chat.calls == (LOOK,)
        assert chat.runs == 1
        await chat.answer("cold")
        resumed = chat.runtime.turns[-1]
        assert resumed.decisions == (Decision("d", approved=True),)
        assert [message.content for message in resumed.messages if message.role == "tool"] == ["cold"]

    @pytest.mark.parametrize("result", ["Error: tool call rejected by user.", '{"status": "cancelled", "answers": {}}'])
    async def test_a_closed_panel_refuses(self, begin: Begin, result: str) -> None:
        chat = await begin(asking(DEPLOY), PANEL).say("ask")
        await chat.answer(result)
        assert [decision.approved for decision in chat.decided] == [False]

    async def test_a_tool_of_a_client_by_that_name_is_its_own(self, begin: Begin) -> None:
        own = ClientTool(ASK_USER, "", {"type": "object", "properties": {"text": {"type": "string"}}})
        chat = await begin(asking(DEPLOY), own).say("ask")
        assert [call.name for call in chat.calls] == ["deploy"]


class TestWhatIsNotStored:
    @pytest.mark.parametrize("tools", [(), (WEATHER,), (PANEL,)])
    async def test_an_agent_that_must_ask_ends_with_an_error_that_says_so(
        self, begin: Begin, tools: tuple[ClientTool, ...]
    ) -> None:
        chat = begin(asking(DEPLOY), *tools)
        with pytest.raises(InvalidRequest, match="deploy") as caught:
            await chat.say("ask", session=None)
        assert caught.value.param == "store"
        assert not any(isinstance(event, Text | ClientCalls | Finished) for event in chat.events)

    async def test_a_transcript_with_an_answer_runs_nothing_and_the_agent_is_told(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        shown = [user("ask"), Message("assistant", "Let me see.", (*chat.calls, LOOK))]
        results = [
            Message("tool", accepted(), tool_call_id=chat.calls[0].id),
            Message("tool", "cold", tool_call_id="w"),
        ]
        await chat.say(*shown, *results, session=None)
        heard = chat.runtime.turns[-1]
        assert heard.decisions == ()
        assert [call.id for message in heard.messages for call in message.tool_calls] == ["w"]
        assert (heard.messages[-1].role, heard.messages[-2].content) == ("user", "cold")
        assert "`deploy`" in heard.messages[-1].content

    async def test_one_that_went_on_after_it_is_told_as_it_went_on(self, begin: Begin) -> None:
        chat = await begin(asking(DEPLOY), WEATHER).say("ask")
        result = Message("tool", accepted(), tool_call_id=chat.calls[0].id)
        shown = [user("ask"), Message("assistant", "", chat.calls), result, Message("assistant", "Done."), user("good")]
        await chat.say(*shown, session=None)
        assert texts(chat.runtime.turns[-1].messages) == ["ask", "Done.", "good"]


@pytest.mark.parametrize("tools", [(), (WEATHER,), (PANEL,)])
async def test_all_that_is_pending_is_json(begin: Begin, tools: tuple[ClientTool, ...]) -> None:
    chat = await begin(asking(DEPLOY, SEND, calls=[LOOK]), *tools).say("ask")
    ended = chat.events[-1]
    assert isinstance(ended, Finished)
    assert json.loads(json.dumps(ended.pending))["run"] == {"paused": ["d", "s"]}
