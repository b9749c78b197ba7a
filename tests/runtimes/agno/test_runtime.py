"""Runs of Agno agents: what comes out, what goes in, how they fail, how they stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from agno.agent import Agent
from agno.exceptions import InputCheckError, ModelProviderError, OutputCheckError
from agno.memory import MemoryManager
from agno.models.message import Message as AgnoMessage
from agno.run import RunContext
from agno.run.agent import RunInput
from agno.run.cancel import acancel_run
from agno.tools import tool
from agno.tools.reasoning import ReasoningTools
from pydantic import BaseModel

from agentllm.conversations.records import from_json, to_json
from agentllm.core import Message, Parameters, Text, ToolCall, Usage
from agentllm.errors import AgentFailed, InvalidRequest, ModelFailed, UnsupportedParameter
from agentllm.llm.offline import NOTICE, OfflineModel
from agentllm.runtimes import runtime_for
from agentllm.runtimes.agno import make_agent
from agentllm.settings import load_settings
from tests.runtimes.agno.spoken import (
    SECOND,
    Hang,
    Piece,
    Spoken,
    Step,
    agent,
    answer,
    calling,
    finished,
    heard,
    reasoning_of,
    run,
    text_of,
    turn,
    usage_of,
)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


class City(BaseModel):
    """A structured answer."""

    name: str
    size: int


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def count(run_context: RunContext) -> str:
    """Count one more in the session state."""
    assert run_context.session_state is not None
    run_context.session_state["count"] = run_context.session_state.get("count", 0) + 1
    return "counted"


def spoil(run_context: RunContext) -> str:
    """Put something into the session state that JSON cannot hold."""
    assert run_context.session_state is not None
    run_context.session_state["spoilt"] = object()
    return "done"


async def cancel(run_context: RunContext) -> str:
    """Cancel this run."""
    await acancel_run(run_context.run_id)
    return "cancelled"


@tool(stop_after_tool_call=True)
def final() -> str:
    """Give the answer."""
    return "the tool's answer"


def accept(**_: object) -> None:
    """A hook that minds nothing."""


# What comes out


@STREAM
async def test_an_answer_is_its_text_its_usage_and_its_end(stream: bool) -> None:
    who, _ = agent(answer("Good ", "morning.", usage=Usage(11, 2, 1, 3)))
    events = await run(who, turn(stream=stream))
    assert text_of(events) == "Good morning."
    assert usage_of(events) == Usage(11, 2, 1, 3)
    assert finished(events).reason == "stop"
    assert finished(events).messages == (Message("assistant", "Good morning."),)


async def test_a_stream_has_a_piece_for_each_of_the_model() -> None:
    events = await run(agent(answer("a", "b", "c"))[0], turn(stream=True))
    assert [event.text for event in events if isinstance(event, Text)] == ["a", "b", "c"]


@pytest.mark.parametrize("hooks", [{}, {"pre_hooks": [accept]}, {"post_hooks": [accept]}], ids=["none", "pre", "post"])
async def test_a_plain_answer_is_whole(hooks: dict[str, Any]) -> None:
    events = await run(agent(answer("a", "b", "c"), **hooks)[0], turn())
    assert "".join(event.text for event in events if isinstance(event, Text)) == "abc"


@STREAM
async def test_tools_run_and_what_was_said_before_is_a_paragraph_of_its_own(stream: bool) -> None:
    who, model = agent(calling("add", '{"a": 1, "b": 2}', text="Adding."), "It is 3.", tools=[add])
    events = await run(who, turn(stream=stream))
    assert text_of(events) == "Adding.\n\nIt is 3."
    assert heard(model)[-1] == ("tool", "3")
    assert finished(events).messages == (
        Message("assistant", "Adding.", (ToolCall("call_add", "add", '{"a": 1, "b": 2}'),)),
        Message("tool", "3", tool_call_id="call_add", name="add"),
        Message("assistant", "It is 3."),
    )


@STREAM
async def test_usage_is_the_sum_of_all_model_calls(stream: bool) -> None:
    first, second = Usage(10, 3, 1, 4), Usage(20, 4, 2, 5)
    who, _ = agent(calling("add", '{"a": 1, "b": 2}', usage=first), answer("3", usage=second), tools=[add])
    events = await run(who, turn(stream=stream))
    assert usage_of(events) == first + second


async def test_a_stream_tells_the_sum_after_each_model_call() -> None:
    who, _ = agent(calling("add", '{"a": 1, "b": 2}'), "3", tools=[add])
    events = await run(who, turn(stream=True))
    assert [event for event in events if isinstance(event, Usage)] == [Usage(10, 1), Usage(20, 2)]


SIDE_MODELS: dict[str, Callable[[], dict[str, Any]]] = {
    "output_model": lambda: {"output_model": Spoken.of(answer("polished", usage=Usage(100, 50)))},
    "parser_model": lambda: {
        "output_schema": City,
        "parser_model": Spoken.of(answer('{"name": "Oslo", "size": 7}', usage=Usage(100, 50))),
    },
}


@STREAM
@pytest.mark.parametrize("kind", SIDE_MODELS)
async def test_usage_counts_the_agent_s_other_models_too(kind: str, stream: bool) -> None:
    who, _ = agent("draft", **SIDE_MODELS[kind]())
    assert usage_of(await run(who, turn(stream=stream))) == Usage(110, 51)


@STREAM
async def test_the_answer_of_an_output_model_is_the_answer(stream: bool) -> None:
    who, _ = agent("draft", **SIDE_MODELS["output_model"]())
    assert text_of(await run(who, turn(stream=stream))) == "polished"


@STREAM
async def test_the_answer_of_a_parser_model_is_the_answer(stream: bool) -> None:
    who, _ = agent("draft", **SIDE_MODELS["parser_model"]())
    assert json.loads(text_of(await run(who, turn(stream=stream)))) == {"name": "Oslo", "size": 7}


@STREAM
async def test_reasoning_of_the_model_comes_before_the_answer(stream: bool) -> None:
    who, _ = agent((Piece(reasoning="Let me "), Piece(reasoning="think."), *answer("42")))
    events = await run(who, turn(stream=stream))
    assert reasoning_of(events) == "Let me think."
    assert text_of(events) == "42"


@STREAM
async def test_reasoning_by_tools_is_reasoning(stream: bool) -> None:
    thought = json.dumps({"title": "Plan", "thought": "Count first.", "action": "count", "confidence": 0.9})
    who, _ = agent(calling("think", thought), "done", tools=[ReasoningTools()])
    events = await run(who, turn(stream=stream))
    assert "Count first." in reasoning_of(events)
    assert text_of(events) == "done"


@STREAM
async def test_a_structured_answer_is_json(stream: bool) -> None:
    who, _ = agent(answer('{"name": ', '"Oslo", "size": 7}'), output_schema=City)
    events = await run(who, turn(stream=stream))
    assert json.loads(text_of(events)) == {"name": "Oslo", "size": 7}


@STREAM
async def test_a_structured_answer_that_does_not_fit_its_schema_comes_as_it_is(stream: bool) -> None:
    who, _ = agent("I cannot say.", output_schema=City)
    assert text_of(await run(who, turn(stream=stream))) == "I cannot say."


@STREAM
async def test_a_tool_that_ends_the_run_gives_the_answer(stream: bool) -> None:
    who, model = agent(calling("final"), "never said", tools=[final])
    assert text_of(await run(who, turn(stream=stream))) == "the tool's answer"
    assert len(model.asked) == 1


@STREAM
@pytest.mark.parametrize(("finish", "reason"), [("length", "length"), ("content_filter", "content_filter")])
async def test_the_reason_of_the_end_is_the_model_s(finish: str, reason: str, stream: bool) -> None:
    events = await run(agent(answer("cut", finish=finish))[0], turn(stream=stream))
    assert finished(events).reason == reason
    assert text_of(events) == "cut"


@STREAM
async def test_an_answer_cut_before_its_first_word_has_no_text_and_is_no_error(stream: bool) -> None:
    events = await run(agent(answer(finish="length"))[0], turn(stream=stream))
    assert text_of(events) == ""
    assert finished(events).reason == "length"


@STREAM
async def test_what_a_run_produced_survives_the_store_and_goes_into_the_next(stream: bool) -> None:
    who, model = agent(calling("add", '{"a": 1, "b": 2}', text="Adding."), "It is 3.", "Bye.", tools=[add])
    first = finished(await run(who, turn("1 + 2?", stream=stream)))
    kept = from_json(json.loads(json.dumps(to_json(first.messages))))
    await run(who, turn(Message("user", "1 + 2?"), *kept, "Thanks.", stream=stream))
    assert heard(model) == [
        ("user", "1 + 2?"),
        ("assistant", "Adding."),
        ("tool", "3"),
        ("assistant", "It is 3."),
        ("user", "Thanks."),
    ]
    assert model.asked[-1][1].tool_calls == model.asked[1][-2].tool_calls


# What goes in


@STREAM
async def test_the_conversation_comes_before_the_newest_message(stream: bool) -> None:
    who, model = agent("ok")
    await run(who, turn("a", Message("assistant", "b"), "c", stream=stream))
    assert heard(model) == [("user", "a"), ("assistant", "b"), ("user", "c")]


@STREAM
@pytest.mark.parametrize("as_dicts", [False, True])
async def test_few_shot_messages_of_the_agent_come_before_the_conversation(as_dicts: bool, stream: bool) -> None:
    shots: list[Any] = [{"role": "user", "content": "few"}, {"role": "assistant", "content": "shot"}]
    who, model = agent("ok", additional_input=shots if as_dicts else [AgnoMessage(**shot) for shot in shots])
    for _ in range(2):
        events = await run(who, turn("a", Message("assistant", "b"), "c", stream=stream))
        assert [text for _, text in heard(model)] == ["few", "shot", "a", "b", "c"]
        assert finished(events).messages == (Message("assistant", "ok"),)
    assert len(who.additional_input or ()) == 2


@STREAM
@pytest.mark.parametrize(
    "last",
    [
        (Message("assistant", "I was saying"),),
        (Message("assistant", "", (ToolCall("1", "f", "{}"),)), Message("tool", "result", tool_call_id="1", name="f")),
    ],
    ids=["assistant", "tool"],
)
async def test_a_conversation_may_end_with_another_message_than_the_user_s(
    last: tuple[Message, ...], stream: bool
) -> None:
    who, model = agent("go on", additional_input=[{"role": "user", "content": "few"}])
    events = await run(who, turn("a", *last, stream=stream))
    assert [role for role, _ in heard(model)] == ["user", "user", *(m.role for m in last)]
    assert heard(model)[-1][1] == last[-1].content
    assert finished(events).messages == (Message("assistant", "go on"),)


async def instruct_later(agent: Agent) -> str:
    return "Be the agent."


INSTRUCTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "instructions": {"instructions": "Be the agent."},
    "a function of instructions": {"instructions": lambda agent: ["Be the agent."]},
    "a system message": {"system_message": "Be the agent."},
    "additional context": {"additional_context": "Be the agent."},
    "a system message from a function": {"system_message": lambda agent: "Be the agent."},
    "a system message from an asynchronous function": {"system_message": instruct_later},
    "a system message of Agno's": {"system_message": AgnoMessage(role="system", content="Be the agent.")},
}


@STREAM
@pytest.mark.parametrize("kind", INSTRUCTED)
async def test_the_client_s_instructions_join_the_agent_s_in_one_system_message(kind: str, stream: bool) -> None:
    who, model = agent("ok", **INSTRUCTED[kind])
    said = (Message("system", "Speak Latin."), Message("developer", "Be brief."), Message("system", ""), "hi")
    await run(who, turn(*said, stream=stream))
    assert [role for role, _ in heard(model)] == ["system", "user"]
    system = heard(model)[0][1]
    assert "Speak Latin.\n\nBe brief." in system
    assert ("Be the agent." in system) == (kind != "nothing")


async def test_the_client_s_instructions_do_not_stay_for_the_next_turn() -> None:
    who, model = agent("ok", system_message="Be the agent.", additional_context="c")
    await run(who, turn(Message("system", "Speak Latin."), "hi"))
    await run(who, turn("hi"))
    assert heard(model)[0] == ("system", "Be the agent.")
    assert who.additional_context == "c"


@STREAM
async def test_session_state_comes_in_and_goes_out(stream: bool) -> None:
    who, _ = agent(calling("count"), "done", tools=[count])
    given: dict[str, Any] = {"count": 4, "list": [1]}
    state = finished(await run(who, turn(stream=stream, state=given))).state
    assert state is not None
    assert (state["count"], state["list"]) == (5, [1])
    assert given == {"count": 4, "list": [1]}


@STREAM
async def test_the_agent_s_own_session_state_is_where_a_conversation_starts(stream: bool) -> None:
    who, _ = agent(calling("count"), "done", calling("count"), "done", tools=[count], session_state={"count": 100})
    for _ in range(2):
        state = finished(await run(who, turn(stream=stream))).state
        assert state is not None
        assert state["count"] == 101


@STREAM
async def test_session_state_that_json_cannot_hold_is_an_error(stream: bool) -> None:
    who, _ = agent(calling("spoil"), "done", tools=[spoil])
    with pytest.raises(AgentFailed, match="session state"):
        await run(who, turn(stream=stream))


@STREAM
async def test_an_agent_knows_who_asks_and_in_which_conversation(stream: bool) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def who_asks(run_context: RunContext) -> str:
        """Tell who asks."""
        seen.append((run_context.user_id, run_context.session_id))
        return "told"

    who, _ = agent(calling("who_asks"), "done", tools=[who_asks])
    await run(who, turn(stream=stream, conversation="conversation-1"))
    assert seen == [("user:me", "conversation-1")]


# Parameters


@STREAM
async def test_parameters_reach_the_model_of_this_run_alone(stream: bool) -> None:
    who, model = agent("ok")
    await run(who, turn(stream=stream, parameters=Parameters(temperature=0.25, stop=("END",))))
    await run(who, turn(stream=stream))
    assert [(call.temperature, call.stop) for call in model.calls] == [(0.25, ["END"]), (None, None)]
    assert who.model is model


class Bare(Spoken):
    """A model that takes no parameter `seed`."""


Bare.__dataclass_fields__ = {name: field for name, field in Spoken.__dataclass_fields__.items() if name != "seed"}


@STREAM
async def test_a_parameter_that_the_model_cannot_take_is_refused_before_it_is_asked(stream: bool) -> None:
    model = Bare.of("ok")
    with pytest.raises(UnsupportedParameter, match="seed"):
        await run(Agent(model=model), turn(stream=stream, parameters=Parameters(seed=1)))
    assert model.asked == []


@STREAM
async def test_it_is_dropped_where_the_turn_allows(stream: bool) -> None:
    events = await run(
        Agent(model=Bare.of("ok")), turn(stream=stream, parameters=Parameters(seed=1), drop_unsupported=True)
    )
    assert text_of(events) == "ok"


@STREAM
async def test_200_concurrent_runs_of_one_agent_do_not_mix(stream: bool) -> None:
    gate = asyncio.Event()
    arrived: list[int] = []

    async def wait_for_all() -> None:
        arrived.append(1)
        if len(arrived) == 200:
            gate.set()
        await asyncio.wait_for(gate.wait(), 60)

    class Echo(Spoken):
        """Says which parameters it has and what it was told."""

        async def _speak(self, messages: list[AgnoMessage]) -> Any:
            self.says = [
                answer(
                    f"{self.temperature} {self.max_tokens} ",
                    wait_for_all,
                    " ".join(f"{m.role}={m.get_content_string()}" for m in messages),
                    usage=Usage(self.max_tokens or 0, 1),
                )
                if messages[-1].role == "tool"
                else calling("count", text="x")
            ]
            async for piece in super()._speak(messages):
                yield piece

    who = Agent(name="spoken", model=Echo(), tools=[count], telemetry=False)

    async def one(number: int) -> None:
        asked = turn(
            Message("system", f"system {number}"),
            f"old {number}",
            Message("assistant", f"older {number}"),
            f"new {number}",
            stream=stream,
            parameters=Parameters(temperature=number / 200, max_tokens=number + 1),
            conversation=f"c{number}",
            state={"count": number},
        )
        events = await run(who, asked)
        said = f"{number / 200} {number + 1} system=system {number} user=old {number} assistant=older {number} "
        assert text_of(events) == f"x\n\n{said}user=new {number} assistant=x tool=counted"
        assert usage_of(events) == Usage(10 + number + 1, 2)
        end = finished(events)
        assert end.state is not None
        assert end.state["count"] == number + 1
        assert [m.role for m in end.messages] == ["assistant", "tool", "assistant"]

    await asyncio.gather(*map(one, range(200)))


# How they fail


@STREAM
@pytest.mark.parametrize(
    ("error", "status"), [(ModelProviderError("no, says the provider", 429), 429), (OSError("no, says the pipe"), 502)]
)
async def test_a_failed_model_call_is_the_provider_s_error(error: Exception, status: int, stream: bool) -> None:
    with pytest.raises(ModelFailed, match="no, says the") as raised:
        await run(agent((error,))[0], turn(stream=stream))
    assert raised.value.status == status


@STREAM
async def test_a_failed_output_model_is_the_provider_s_error_too(stream: bool) -> None:
    who, _ = agent("draft", output_model=Spoken.of((ModelProviderError("no, says the polisher", 429),)))
    with pytest.raises(ModelFailed, match="no, says the polisher") as raised:
        await run(who, turn(stream=stream))
    assert raised.value.status == 429


@STREAM
async def test_a_failure_after_a_model_was_asked_again_is_not_the_model_s(stream: bool) -> None:
    steps: list[Any] = [(ModelProviderError("busy", 503),), "said"]
    who, model = agent(*steps, post_hooks=[reject])
    model.retries = 1
    model.delay_between_retries = 0
    with pytest.raises(AgentFailed) as raised:
        await run(who, turn(stream=stream))
    assert raised.value.status == 500


async def test_a_model_that_fails_in_the_middle_is_an_error_after_its_text() -> None:
    who, _ = agent((Piece("half"), ModelProviderError("gone", 503)))
    events = runtime_for(who).run(turn(stream=True))
    assert await anext(events) == Text("half")
    with pytest.raises(ModelFailed, match="gone"):
        await anext(events)


async def test_an_agent_that_tries_again_does_so_before_it_said_anything_only() -> None:
    failing, retries = (ModelProviderError("gone", 503),), {"retries": 1, "delay_between_retries": 0}
    who, _ = agent(failing, "whole", **retries)
    assert text_of(await run(who, turn(stream=True))) == "whole"
    who, model = agent((Piece("half"), *failing), "whole", **retries)
    events = runtime_for(who).run(turn(stream=True))
    assert await anext(events) == Text("half")
    with pytest.raises(ModelFailed, match="gone"):
        await anext(events)
    assert len(model.asked) == 1


@STREAM
async def test_an_empty_answer_is_an_error(stream: bool) -> None:
    with pytest.raises(ModelFailed, match="empty") as raised:
        await run(agent(answer())[0], turn(stream=stream))
    assert raised.value.status == 502


@STREAM
async def test_an_empty_answer_after_a_tool_is_an_error(stream: bool) -> None:
    who, _ = agent(calling("add", '{"a": 1, "b": 2}'), answer(), tools=[add])
    with pytest.raises(ModelFailed, match="empty"):
        await run(who, turn(stream=stream))


def refuse(run_input: RunInput) -> None:
    raise InputCheckError("That is not a question for me.")


def reject(run_output: object) -> None:
    raise OutputCheckError("secret-detail of the answer")


@STREAM
async def test_an_input_that_the_agent_refuses_is_an_invalid_request_with_its_words(stream: bool) -> None:
    who, model = agent("never said", pre_hooks=[refuse])
    with pytest.raises(InvalidRequest, match="not a question for me") as raised:
        await run(who, turn(stream=stream))
    assert raised.value.status == 400
    assert model.asked == []


@STREAM
async def test_an_output_that_the_agent_rejects_is_its_failure_and_not_told(stream: bool) -> None:
    who, _ = agent("said", post_hooks=[reject])
    with pytest.raises(AgentFailed) as raised:
        await run(who, turn(stream=stream))
    assert "secret-detail" not in raised.value.message


@STREAM
async def test_an_agent_that_fails_itself_tells_where_in_the_log_alone(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(agent: Agent) -> str:
        raise RuntimeError("secret-detail")

    asked = turn(stream=stream)
    with pytest.raises(AgentFailed) as raised:
        await run(agent("never said", system_message=explode)[0], asked)
    assert "secret-detail" not in raised.value.message
    assert asked.id in raised.value.message
    assert "secret-detail" not in caplog.text
    assert "RuntimeError at" in caplog.text
    assert "in explode" in caplog.text


@STREAM
async def test_a_run_that_is_cancelled_is_an_error(stream: bool) -> None:
    who, _ = agent(calling("cancel"), "never said", tools=[cancel])
    with pytest.raises(AgentFailed, match="cancelled"):
        await run(who, turn(stream=stream))


async def test_a_tool_that_fails_is_told_to_the_model_and_the_run_goes_on() -> None:
    def explode() -> str:
        """Fail."""
        raise RuntimeError("broken tool")

    who, model = agent(calling("explode"), "I could not.", tools=[explode])
    assert text_of(await run(who, turn())) == "I could not."
    assert "broken tool" in heard(model)[-1][1]


@STREAM
async def test_a_model_that_is_no_agno_model_is_the_agent_s_failure(stream: bool) -> None:
    who, _ = agent("x")
    who.model = "a name"  # type: ignore[assignment]
    with pytest.raises(AgentFailed, match="model"):
        await run(who, turn(stream=stream))


# How they stop


async def test_closing_the_events_closes_the_model_s_stream() -> None:
    never = asyncio.Event()
    who, model = agent(answer("first", never.wait, "never said"))  # type: ignore[arg-type]
    events = runtime_for(who).run(turn(stream=True))
    assert await anext(events) == Text("first")
    await asyncio.wait_for(events.aclose(), SECOND)
    await asyncio.wait_for(model.closed.wait(), SECOND)


@STREAM
async def test_cancelling_a_run_stops_the_model(stream: bool) -> None:
    asked, stopped, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        asked.set()
        try:
            await never.wait()
        finally:
            stopped.set()

    task = asyncio.create_task(run(agent(answer(hang))[0], turn(stream=stream)))
    await asyncio.wait_for(asked.wait(), SECOND)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()


async def test_closing_the_events_closes_the_stream_of_an_output_model_too() -> None:
    polisher = Spoken.of(answer("first", Hang()), "polished")
    who, _ = agent("draft", output_model=polisher)
    events = runtime_for(who).run(turn(stream=True))
    while not isinstance(await anext(events), Text):
        pass
    await asyncio.wait_for(events.aclose(), SECOND)
    assert polisher.closed.is_set()
    assert text_of(await run(who, turn(stream=True))) == "polished"


@STREAM
async def test_a_manager_without_a_model_has_none_after_the_run(stream: bool) -> None:
    who, _ = agent("ok", memory_manager=MemoryManager())
    await run(who, turn(stream=stream))
    assert who.memory_manager is not None
    assert who.memory_manager.model is None


async def test_after_a_run_was_stopped_the_next_goes_well() -> None:
    never = asyncio.Event()
    steps: list[Step] = [*answer("first", never.wait)]  # type: ignore[arg-type]
    who, _ = agent(steps, "hello")
    events = runtime_for(who).run(turn(stream=True))
    await anext(events)
    await events.aclose()
    assert text_of(await run(who, turn(stream=True))) == "hello"


# Agents without a model, agents of YAML files


@STREAM
async def test_an_agent_without_a_model_gets_the_default_one(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_MODEL", "offline")
    load_settings.cache_clear()
    who = Agent(name="bare", telemetry=False)
    assert NOTICE in text_of(await run(who, turn(stream=stream)))
    assert who.model is None


def test_an_agent_of_a_yaml_file_has_what_the_file_says() -> None:
    made = make_agent("haiku", model="offline", instructions=["Be brief."], tools=[add])
    assert isinstance(made.model, OfflineModel)
    assert (made.name, made.instructions, made.tools) == ("haiku", ["Be brief."], [add])


def test_without_a_model_it_has_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_MODEL", "offline")
    load_settings.cache_clear()
    assert isinstance(make_agent("haiku", model=None, instructions=[], tools=[]).model, OfflineModel)
