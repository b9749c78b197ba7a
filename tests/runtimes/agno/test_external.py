"""Agents of other frameworks: LangGraph through Agno's adapter, and whatever else follows Agno's agent protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from agno.agents.base import BaseExternalAgent, ExternalRunMetricsEvent
from agno.exceptions import ModelRateLimitError
from agno.metrics import RunMetrics
from agno.models.response import ToolExecution
from agno.run.agent import (
    ReasoningContentDeltaEvent,
    RunCompletedEvent,
    RunContentEvent,
    RunErrorEvent,
    RunOutput,
    RunPausedEvent,
    ToolCallCompletedEvent,
    ToolCallErrorEvent,
    ToolCallStartedEvent,
)
from agno.run.base import RunStatus
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from agentllm.core import (
    ClientTool,
    Event,
    Finished,
    Media,
    Message,
    OutputFormat,
    Parameters,
    Text,
    ToolCall,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, InvalidRequest, ModelFailed, UnsupportedParameter
from agentllm.runtimes import runtime_for
from tests.runtimes.agno.graphs import calling, counted, ended, function_graph, graph, heard
from tests.runtimes.agno.spoken import (
    SECOND,
    Hang,
    finished,
    leave,
    no_task_is_left,
    reasoning_of,
    run,
    text_of,
    turn,
    usage_of,
)


class Refused(Exception):
    """A provider's error, as OpenAI's SDK raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status_code = status


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def explode() -> str:
    """Fail."""
    raise RuntimeError("secret of the tool")


SAID = (
    Message("system", "Be brief."),
    Message("user", "one"),
    Message("assistant", "", (ToolCall("call_1", "add", '{"a": 1, "b": 2}'),)),
    Message("tool", "3", tool_call_id="call_1", name="add"),
    Message("assistant", "two"),
    Message("user", "three"),
)


class TestAGraph:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_it_answers(self, stream: bool) -> None:
        agent, _ = graph(("Good ", "morning."))
        events = await run(agent, turn("hi", stream=stream))
        assert text_of(events) == "Good morning."
        assert finished(events) == Finished("stop", (Message("assistant", "Good morning."),))

    async def test_its_words_come_as_its_model_says_them(self) -> None:
        go = asyncio.Event()
        agent, _ = graph(("first ", go.wait, "second"))
        seen: list[Event] = []
        async with asyncio.timeout(SECOND):
            async for event in runtime_for(agent).run(turn("hi", stream=True)):
                seen.append(event)
                if text_of(seen) == "first ":
                    go.set()
        assert text_of(seen) == "first second"

    async def test_it_is_given_the_conversation_as_messages(self) -> None:
        agent, model = graph()
        await run(agent, turn(*SAID))
        assert heard(model) == [
            ("human", "one"),
            ("ai", ""),
            ("tool", "3"),
            ("ai", "two"),
            ("human", "Be brief.\n\nthree"),
        ]
        (asked,) = model.asked
        assert isinstance(asked[1], AIMessage)
        assert asked[1].tool_calls[0]["args"] == {"a": 1, "b": 2}

    async def test_an_empty_result_of_a_tool_is_not_lost(self) -> None:
        agent, model = graph()
        await run(agent, turn(*(replace(m, content="") if m.role == "tool" else m for m in SAID)))
        assert [kind for kind, _ in heard(model)] == ["human", "ai", "tool", "ai", "human"]

    async def test_what_a_checkpointer_keeps_of_other_branches_is_not_given_again(self) -> None:
        agent, model = graph("a", "b", "c", checkpointer=InMemorySaver())
        first = turn("one", conversation="same")
        await run(agent, first)
        await run(agent, replace(turn("one", conversation="same"), id="again"))
        await run(agent, turn("one", Message("assistant", "b"), "two", conversation="same"))
        assert [heard(model, call) for call in range(3)] == [
            [("human", "one")],
            [("human", "one")],
            [("human", "one"), ("ai", "b"), ("human", "two")],
        ]

    async def test_it_goes_on_where_the_newest_message_is_not_the_users(self) -> None:
        agent, model = graph()
        await run(agent, turn("tell", Message("assistant", "Once upon")))
        assert heard(model)[:2] == [("human", "tell"), ("ai", "Once upon")]
        assert heard(model)[2][0] == "human"

    async def test_many_runs_at_once_stay_apart(self) -> None:
        agent, model = graph()

        async def one(number: int) -> None:
            said = (f"asked {number}", Message("assistant", f"answered {number}"), f"again {number}")
            events = await run(agent, turn(*said, stream=True))
            assert text_of(events) == "hello"

        await asyncio.gather(*(one(number) for number in range(50)))
        assert sorted(map(tuple, (heard(model, call) for call in range(50)))) == sorted(
            (("human", f"asked {n}"), ("ai", f"answered {n}"), ("human", f"again {n}")) for n in range(50)
        )
        assert agent.db is None
        assert agent.config is None

    async def test_its_tools_are_visible_work_and_part_of_the_conversation(self) -> None:
        agent, model = graph(("Let me see.", calling("add", {"a": 1, "b": 2})), ("It is ", "3."), tools=[add])
        events = await run(agent, turn("1 + 2?", stream=True))
        work = [event for event in events if isinstance(event, Work)]
        assert [(w.kind, w.name, w.status, w.arguments, w.result) for w in work] == [
            ("tool", "add", "started", {"a": 1, "b": 2}, ""),
            ("tool", "add", "finished", {"a": 1, "b": 2}, "3"),
        ]
        assert work[0].id == work[1].id
        assert text_of(events) == "Let me see.\n\nIt is 3."
        called, result, answer = finished(events).messages
        assert (called.content, called.tool_calls[0].name) == ("Let me see.", "add")
        assert (result.role, result.content, result.tool_call_id) == ("tool", "3", called.tool_calls[0].id)
        assert answer == Message("assistant", "\n\nIt is 3.")
        assert len(model.asked) == 2

    async def test_usage_is_the_sum_of_what_its_models_tell(self) -> None:
        last = counted(20, 5, input_token_details={"cache_read": 7}, output_token_details={"reasoning": 2})
        agent, _ = graph((calling("add", {"a": 1, "b": 2}), counted(10, 3)), ("3", last), tools=[add])
        events = await run(agent, turn("hi", stream=True))
        assert next(event for event in events if isinstance(event, Usage)) == Usage(10, 3)
        assert usage_of(events) == Usage(30, 8, 2, 7)

    async def test_usage_is_zero_where_none_is_told(self) -> None:
        assert usage_of(await run(graph()[0], turn())) == Usage()

    @pytest.mark.parametrize(("word", "reason"), [("length", "length"), ("MAX_TOKENS", "length"), ("stop", "stop")])
    async def test_how_its_model_ended_is_kept(self, word: str, reason: str) -> None:
        agent, _ = graph(("cut o", ended(word)))
        assert finished(await run(agent, turn())).reason == reason

    async def test_an_answer_that_no_model_streams_is_not_lost(self) -> None:
        events = await run(function_graph(AIMessage("made by a function")), turn("hi", stream=True))
        assert text_of(events) == "made by a function"
        assert finished(events).messages == (Message("assistant", "made by a function"),)

    async def test_an_older_answer_is_not_taken_for_the_new_one(self) -> None:
        with pytest.raises(AgentFailed):
            await run(function_graph(), turn("one", Message("assistant", "two"), "three"))

    async def test_its_own_callbacks_and_configuration_are_kept(self) -> None:
        agent, _ = graph(config={"callbacks": [], "recursion_limit": 3, "configurable": {"color": "blue"}})
        await run(agent, turn())
        assert agent.config == {"callbacks": [], "recursion_limit": 3, "configurable": {"color": "blue"}}


class TestAGraphThatFails:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("status", [400, 401, 429, 503])
    async def test_its_models_error_has_the_providers_status(self, status: int, stream: bool) -> None:
        agent, _ = graph((Refused(status),))
        with pytest.raises(ModelFailed, match=f"refused with {status}") as raised:
            await run(agent, turn("hi", stream=stream))
        assert raised.value.status == status

    async def test_a_models_error_without_a_status_is_a_bad_gateway(self) -> None:
        agent, _ = graph(("first ", ValueError("broken")))
        with pytest.raises(ModelFailed, match="broken") as raised:
            await run(agent, turn("hi", stream=True))
        assert raised.value.status == 502

    async def test_a_tools_error_is_the_agents_and_its_words_stay_here(self) -> None:
        agent, _ = graph((calling("explode", {}),), tools=[explode])
        with pytest.raises(AgentFailed) as raised:
            await run(agent, turn("hi", stream=True))
        assert type(raised.value) is AgentFailed
        assert "secret" not in raised.value.message

    async def test_an_empty_answer_is_an_error(self) -> None:
        with pytest.raises(AgentFailed):
            await run(graph(("",))[0], turn())

    async def test_agnos_log_does_not_quote_the_error(self, caplog: pytest.LogCaptureFixture) -> None:
        logger = logging.getLogger("agno")
        logger.addHandler(caplog.handler)
        try:
            with pytest.raises(AgentFailed):
                await run(graph((ValueError("your message was 'hunter2'"),))[0], turn())
        finally:
            logger.removeHandler(caplog.handler)
        assert "langgraph" in caplog.text
        assert "hunter2" not in caplog.text

    async def test_a_second_try_in_the_middle_of_an_answer_is_an_error(self) -> None:
        agent, _ = graph(("first ", ValueError("broken")), ("first second",), retries=1, delay_between_retries=0)
        with pytest.raises(AgentFailed):
            await run(agent, turn("hi", stream=True))

    async def test_a_second_try_before_the_answer_is_not(self) -> None:
        agent, _ = graph((ValueError("broken"),), ("second",), retries=1, delay_between_retries=0)
        assert text_of(await run(agent, turn("hi", stream=True))) == "second"


class TestStopping:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_cancelled_run_stops_the_graph_where_it_waits(self, stream: bool) -> None:
        hang = Hang()
        agent, _ = graph(("first ", hang, "second"))
        await leave(agent, turn("hi", stream=stream), hang.begun)
        await asyncio.wait_for(hang.ended.wait(), SECOND)
        await no_task_is_left()

    async def test_a_run_that_is_closed_between_two_words_stops_the_graph(self) -> None:
        hang = Hang()
        agent, _ = graph(("first ", hang, "second"))
        events = runtime_for(agent).run(turn("hi", stream=True))
        assert await anext(events) == Text("first ")
        await asyncio.wait_for(hang.begun.wait(), SECOND)
        await events.aclose()
        await asyncio.wait_for(hang.ended.wait(), SECOND)
        await no_task_is_left()


UNSUPPORTED: dict[str, dict[str, Any]] = {
    "temperature": {"parameters": Parameters(temperature=0.5)},
    "reasoning_effort": {"parameters": Parameters(reasoning_effort="low")},
    "tools": {"client_tools": (ClientTool("t", "", {}),)},
    "response_format": {"output_format": OutputFormat()},
    "image": {"messages": (Message("user", "look", media=(Media("image", "image/png", b"x"),)),)},
}


@pytest.mark.parametrize("param", UNSUPPORTED)
async def test_what_does_not_reach_such_an_agent_is_refused_or_dropped(param: str) -> None:
    agent, model = graph()
    asked = replace(turn("hi"), **UNSUPPORTED[param])
    with pytest.raises(UnsupportedParameter) as raised:
        await run(agent, asked)
    assert raised.value.param == param
    assert model.asked == []
    assert text_of(await run(agent, replace(asked, drop_unsupported=True))) == "hello"


class Custom:
    """An object of Agno's agent protocol that tells `events`, and remembers what it was asked."""

    def __init__(self, *events: Any, error: Exception | None = None) -> None:
        self.id = "custom-1"
        self.name = "Custom"
        self.events = events
        self.error = error
        self.asked: list[str] = []
        self.sessions: list[str] = []

    async def arun(self, input: Any, *, session_id: str | None = None, **_: Any) -> AsyncIterator[Any]:  # noqa: A002
        self.asked.append(input)
        self.sessions.append(session_id or "")
        for event in self.events:
            await asyncio.sleep(0)
            yield event
        if self.error is not None:
            raise self.error


class Plain(Custom):
    """One that gives its whole output whatever it is asked for."""

    async def arun(self, input: Any, **_: Any) -> Any:  # type: ignore[override]  # noqa: A002
        self.asked.append(input)
        return self.events[0]


class TestAnyOtherObjectOfTheProtocol:
    def test_it_goes_by_its_id(self) -> None:
        assert runtime_for(Custom()).name == "custom-1"

    async def test_its_texts_reasoning_work_and_usage_are_told(self) -> None:
        tool = ToolExecution(tool_call_id="c1", tool_name="look", tool_args={"at": object()})
        done = ToolExecution(tool_call_id="c1", tool_name="look", result="seen")
        agent = Custom(
            ReasoningContentDeltaEvent(reasoning_content="hm"),
            RunContentEvent(content="a"),
            ToolCallStartedEvent(tool=tool),
            ToolCallCompletedEvent(tool=done),
            "b",
            RunCompletedEvent(content="ab", metrics=RunMetrics(input_tokens=7, output_tokens=2)),
        )
        events = await run(agent, turn("hi", stream=True))
        assert text_of(events) == "a\n\nb"
        assert reasoning_of(events) == "hm"
        assert [(w.status, w.result) for w in events if isinstance(w, Work)] == [("started", ""), ("finished", "seen")]
        assert usage_of(events) == Usage(7, 2)
        assert finished(events).reason == "stop"

    async def test_it_is_given_the_conversation_as_a_transcript(self) -> None:
        agent = Custom("ok")
        await run(agent, turn(*SAID))
        (asked,) = agent.asked
        positions = [asked.index(part) for part in ("User: one", "Assistant: two", "Be brief.", "three")]
        assert positions == sorted(positions)

    async def test_a_first_message_is_given_as_it_is(self) -> None:
        agent = Custom("ok")
        await run(agent, turn("just this"))
        assert agent.asked == ["just this"]

    async def test_each_turn_has_a_session_of_its_own(self) -> None:
        agent = Custom("ok")
        for _ in range(2):
            await run(agent, turn("hi", conversation="same"))
        assert len(set(agent.sessions)) == 2

    @pytest.mark.parametrize(
        "output",
        [RunOutput(content="whole", status=RunStatus.completed), RunCompletedEvent(content="whole"), "whole"],
        ids=["output", "event", "text"],
    )
    async def test_one_that_does_not_stream_answers_whole(self, output: Any) -> None:
        assert text_of(await run(Plain(output), turn("hi", stream=True))) == "whole"

    @pytest.mark.parametrize("failed", [ToolCallErrorEvent, None])
    async def test_a_tool_that_fails_or_never_ends_is_shown_as_failed(self, failed: Any) -> None:
        tool = ToolExecution(tool_call_id="c1", tool_name="look")
        ends = [failed(tool=tool)] if failed else []
        events = await run(Custom(ToolCallStartedEvent(tool=tool), *ends, "done"), turn())
        assert [event.status for event in events if isinstance(event, Work)] == ["started", "failed"]

    @pytest.mark.parametrize(
        "event",
        [
            RunErrorEvent(content="secret", error_type="ValueError"),
            RunOutput(content="secret", status=RunStatus.error),
            RunPausedEvent(),
        ],
        ids=["error", "output", "paused"],
    )
    async def test_a_run_that_says_it_failed_is_an_error(self, event: Any) -> None:
        with pytest.raises(AgentFailed) as raised:
            await run(Custom("first", event), turn("hi", stream=True))
        assert "secret" not in raised.value.message

    async def test_an_input_that_it_refuses_is_a_bad_request(self) -> None:
        with pytest.raises(InvalidRequest, match="not that"):
            await run(Custom(RunErrorEvent(content="not that", error_type="input_check_error")), turn())

    @pytest.mark.parametrize("error", [ModelRateLimitError("slow down"), Refused(429)], ids=["agno", "openai"])
    async def test_an_error_that_it_raises_keeps_its_status(self, error: Exception) -> None:
        with pytest.raises(ModelFailed) as raised:
            await run(Custom("first", error=error), turn("hi", stream=True))
        assert raised.value.status == 429

    async def test_any_other_error_that_it_raises_is_the_agents(self) -> None:
        with pytest.raises(AgentFailed) as raised:
            await run(Custom(error=RuntimeError("secret of the code")), turn())
        assert "secret" not in raised.value.message

    async def test_a_cancelled_run_closes_it(self) -> None:
        hang = Hang()

        class Hanging(Custom):
            async def arun(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
                yield "first"
                await hang()

        await leave(Hanging(), turn("hi", stream=True), hang.begun)
        assert hang.ended.is_set()


class Adapter(BaseExternalAgent):
    """An adapter of Agno's own kind for a framework that tells its usage."""

    async def _arun_adapter_stream(self, input: Any, *, history: Any = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002
        yield RunContentEvent(content=self._build_prompt(input, history, resumed=False))
        yield ExternalRunMetricsEvent(metrics=RunMetrics(input_tokens=9, output_tokens=4, cache_read_tokens=3))


async def test_any_adapter_is_given_the_conversation_and_tells_its_usage() -> None:
    agent = Adapter(name="other")
    events = await run(agent, turn("one", Message("assistant", "two"), "three", stream=True))
    assert "assistant: two" in text_of(events)
    assert text_of(events).endswith("three")
    assert usage_of(events) == Usage(9, 4, 0, 3)
