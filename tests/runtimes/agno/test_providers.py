"""Agents on the model classes of OpenAI and Google, over their real wire formats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from agno.agent import Agent
from agno.models.base import Model
from agno.models.openai import OpenAIChat
from agno.team import Team
from agno.workflow import Parallel, Workflow

from agentllm.conversations.records import from_json, to_json
from agentllm.core import Event, Finished, Message, Parameters, Text
from agentllm.core import Usage as Tokens
from agentllm.errors import ModelFailed
from agentllm.gateway.coalesce import MOST_GATHERED, coalesce
from agentllm.llm.providers import openai
from agentllm.runtimes import runtime_for
from agentllm.runtimes.agno import rehearsal, runtime
from tests.runtimes.agno.conftest import gemini_model, openai_model, routed_model
from tests.runtimes.agno.spoken import HOME, agent, finished, reasoning_of, run, text_of, turn, usage_of
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

pytestmark = pytest.mark.usefixtures("provider")

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
MODELS: dict[str, Callable[[], Model]] = {"openai": openai_model, "gemini": gemini_model, "router": routed_model}
EVERY_MODEL = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@EVERY_MODEL
@STREAM
def test_an_answer_with_reasoning_tools_and_usage(make: Callable[[], Model], stream: bool, llm: ScriptedLLM) -> None:
    llm.script(
        Reply("Adding.", tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Usage(10, 3)),
        Reply("It is 3.", reasoning=("So ", "it is."), usage=Usage(20, 6)),
    )
    events = HOME.run(run(Agent(model=make(), tools=[add], telemetry=False), turn("1 + 2?", stream=stream)))
    assert text_of(events) == "Adding.\n\nIt is 3."
    assert reasoning_of(events) == "So it is."
    assert usage_of(events) == Tokens(30, 9)
    assert [m.role for m in finished(events).messages] == ["assistant", "tool", "assistant"]


@EVERY_MODEL
@STREAM
def test_reasoning_tokens_are_part_of_the_completion_as_openai_counts_them(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(Reply("42", reasoning=("So ", "it is."), usage=Usage(20, 6, 2, 5)))
    events = HOME.run(run(Agent(model=make(), telemetry=False), turn(stream=stream)))
    assert usage_of(events) == Tokens(20, 6, 2, 5)


@EVERY_MODEL
@STREAM
@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_the_provider_s_word_for_the_end_is_understood(
    make: Callable[[], Model], finish: Any, stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(Reply("cut off he", finish=finish))
    events = HOME.run(run(Agent(model=make(), telemetry=False), turn(stream=stream)))
    assert finished(events).reason == finish


@EVERY_MODEL
@STREAM
def test_tool_calls_of_an_earlier_turn_go_back_to_the_provider_as_they_came(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=20, b=22)), "It is 42.")
    who = Agent(model=make(), tools=[add], telemetry=False)
    first = finished(HOME.run(run(who, turn("20 + 22?", stream=stream))))
    kept = from_json(json.loads(json.dumps(to_json(first.messages))))
    HOME.run(run(who, turn(Message("user", "20 + 22?"), *kept, "And before?", stream=stream)))
    asked = [request.body for request in llm.requests()]
    said = "messages" if "messages" in asked[-1] else "contents"
    assert asked[-1][said][: len(asked[1][said])] == asked[1][said]


@EVERY_MODEL
@STREAM
def test_an_error_of_the_provider_has_its_status_and_words_and_is_not_tried_again(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(Reply.failing(429, "quota is used up"), times=None)
    with pytest.raises(ModelFailed, match="quota is used up") as raised:
        HOME.run(run(Agent(model=make(), telemetry=False), turn(stream=stream)))
    assert raised.value.status == 429
    assert len(llm.requests()) == 1


@EVERY_MODEL
@STREAM
@pytest.mark.parametrize(
    "reply",
    [Reply(), Reply("some words here", malformed=True), Reply("some words here", cut_after=0)],
    ids=["empty", "malformed", "reset"],
)
def test_an_answer_that_is_none_is_an_error(
    make: Callable[[], Model], reply: Reply, stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(reply)
    with pytest.raises(ModelFailed) as raised:
        HOME.run(run(Agent(model=make(), telemetry=False), turn(stream=stream)))
    assert raised.value.status >= 500


@EVERY_MODEL
def test_an_answer_that_breaks_off_is_an_error_after_its_text(make: Callable[[], Model], llm: ScriptedLLM) -> None:
    seen: list[Any] = []

    async def listen() -> None:
        async for event in runtime_for(Agent(model=make(), telemetry=False)).run(turn(stream=True)):
            seen.append(event)  # noqa: PERF401 - a comprehension would lose what came before the error

    llm.script(Reply("one two three four", cut_after=2))
    with pytest.raises(ModelFailed):
        HOME.run(listen())
    assert text_of(seen) == "one two"
    assert not any(isinstance(event, Finished) for event in seen)


@EVERY_MODEL
def test_closing_the_events_ends_the_call_at_the_provider(make: Callable[[], Model], llm: ScriptedLLM) -> None:
    async def leave() -> None:
        events = runtime_for(Agent(model=make(), telemetry=False)).run(turn(stream=True))
        while not isinstance(await anext(events), Text):
            pass
        await events.aclose()

    llm.script(Reply("and on ", endless=True))
    HOME.run(leave())
    llm.wait_for(lambda requests: len(requests) == 1 and not requests[0].open, timeout=30)


@EVERY_MODEL
def test_a_reader_that_is_behind_and_leaves_ends_the_call_too(make: Callable[[], Model], llm: ScriptedLLM) -> None:
    async def leave() -> None:
        full = asyncio.Event()

        async def counted() -> AsyncGenerator[Event, None]:
            characters = 0
            async with aclosing(runtime_for(Agent(model=make(), telemetry=False)).run(turn(stream=True))) as events:
                async for event in events:
                    characters += len(event.text) if isinstance(event, Text) else 0
                    if characters > 2 * MOST_GATHERED:
                        full.set()
                    yield event

        gathered = coalesce(counted())
        await anext(gathered)
        await asyncio.wait_for(full.wait(), 5)
        await gathered.aclose()

    llm.script(Reply(tokens=("x" * MOST_GATHERED,), endless=True))
    HOME.run(leave())
    llm.wait_for(lambda requests: len(requests) == 1 and not requests[0].open, timeout=30)


def flow_of(*steps: Any) -> Workflow:
    return Workflow(name="flow", steps=list(steps), telemetry=False)


def with_a_member(model: Model) -> Team:
    """A team whose leader asks its member."""
    member = Agent(name="member", role="answers", model=model, telemetry=False)
    return Team(name="team", model=model, members=[member], telemetry=False)


@STREAM
@EVERY_MODEL
def test_leaving_ends_the_call_of_a_team_s_member(make: Callable[[], Model], llm: ScriptedLLM, stream: bool) -> None:
    async def leave() -> None:
        task = asyncio.create_task(run(with_a_member(make()), turn(stream=stream)))
        await asyncio.to_thread(llm.wait_for, lambda requests: len(requests) == 2, timeout=30)
        task.cancel()
        await asyncio.wait({task})

    delegation = ToolCall.of("delegate_task_to_member", member_id="member", task="answer")
    llm.script(Reply.calling(delegation), Reply("and on ", endless=stream, first_delay=0 if stream else 20))
    HOME.run(leave())
    llm.wait_for(lambda requests: not any(request.open for request in requests), timeout=30)
    assert llm.requests()[1].disconnected_at is not None


@EVERY_MODEL
def test_leaving_ends_the_calls_of_parallel_steps(make: Callable[[], Model], llm: ScriptedLLM) -> None:
    async def leave() -> None:
        agents: list[Any] = [Agent(name=name, model=make(), telemetry=False) for name in ("a", "b")]
        task = asyncio.create_task(run(flow_of(Parallel(*agents)), turn(stream=True)))
        await asyncio.to_thread(llm.wait_for, lambda requests: len(requests) == 2, timeout=30)
        task.cancel()
        await asyncio.wait({task})

    llm.script(Reply("and on ", endless=True), times=2)
    HOME.run(leave())
    llm.wait_for(lambda requests: not any(request.open for request in requests), timeout=30)
    assert all(request.disconnected_at for request in llm.requests())


@EVERY_MODEL
@pytest.mark.parametrize("status", [400, 401, 429])
def test_a_failure_in_a_workflow_s_step_has_the_provider_s_status(
    make: Callable[[], Model], llm: ScriptedLLM, status: int
) -> None:
    llm.script(Reply.failing(status), times=3)
    with pytest.raises(ModelFailed) as raised:
        HOME.run(run(flow_of(Agent(name="a", model=make(), telemetry=False)), turn()))
    assert raised.value.status == status


@EVERY_MODEL
def test_a_step_s_answer_cut_by_the_limit_of_tokens_says_so(make: Callable[[], Model], llm: ScriptedLLM) -> None:
    llm.script(Reply("cut of", finish="length"))
    flow = flow_of(Agent(name="a", model=make(), telemetry=False))
    assert finished(HOME.run(run(flow, turn()))).reason == "length"


def test_parameters_reach_openai_under_its_names(llm: ScriptedLLM) -> None:
    who = Agent(model=openai_model(), telemetry=False)
    HOME.run(run(who, turn(parameters=Parameters(0.25, 0.5, 77, ("END",), 5, 0.75, -0.5))))
    HOME.run(run(who, turn()))
    names = ("temperature", "top_p", "max_completion_tokens", "stop", "seed", "presence_penalty", "frequency_penalty")
    first, second = (request.body for request in llm.requests())
    assert [first[name] for name in names] == [0.25, 0.5, 77, ["END"], 5, 0.75, -0.5]
    assert not set(names) & second.keys()


def test_parameters_reach_google_under_its_names(llm: ScriptedLLM) -> None:
    who = Agent(model=gemini_model(), telemetry=False)
    HOME.run(run(who, turn(parameters=Parameters(0.25, 0.5, 77, ("END",), 5))))
    config = llm.requests()[0].body["generationConfig"]
    assert [config[name] for name in ("temperature", "topP", "maxOutputTokens", "stopSequences", "seed")] == [
        0.25,
        0.5,
        77,
        ["END"],
        5,
    ]


async def test_an_answer_of_openai_that_ends_without_its_end_is_an_error() -> None:
    choice = {"index": 0, "delta": {"content": "half an ans"}, "finish_reason": None}
    event = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n"

    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as connections:
        who = Agent(model=OpenAIChat(id="gpt", api_key="k", http_client=connections), telemetry=False)
        with pytest.raises(ModelFailed, match="broke off"):
            await run(who, turn(stream=True))


# Warming up


@STREAM
async def test_the_rehearsal_s_agent_answers_from_within_the_process(stream: bool) -> None:
    events = await run(rehearsal.rehearsal_agent(), turn(stream=stream))
    assert text_of(events) == "ready"
    assert usage_of(events) == Tokens(1, 1)


def test_warming_up_asks_no_model_and_rehearses_once(llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Agent] = []

    def counted() -> Agent:
        made.append(rehearsal.rehearsal_agent())
        return made[-1]

    monkeypatch.setattr(runtime, "_rehearsed", False)
    monkeypatch.setattr(runtime, "rehearsal_agent", counted)
    model = openai("gpt-scripted")
    for _ in range(2):
        HOME.run(runtime_for(Agent(model=model)).warm_up())
    assert len(made) == 1
    assert model.async_client is not None
    assert llm.requests() == []


async def test_agents_of_other_models_have_nothing_to_rehearse(monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected() -> Agent:
        raise AssertionError

    monkeypatch.setattr(runtime, "_rehearsed", False)
    monkeypatch.setattr(runtime, "rehearsal_agent", unexpected)
    for who in (agent()[0], Agent(), Workflow(name="flow", steps=[])):
        await runtime_for(who).warm_up()
