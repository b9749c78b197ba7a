"""Runs of ADK agents: what comes out, what goes in, how they fail, how they stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.adk.agents import BaseAgent, LlmAgent, ParallelAgent, SequentialAgent
from google.adk.agents.invocation_context import InvocationContext
from google.adk.events.event import Event as AdkEvent
from google.adk.models.llm_response import LlmResponse
from google.adk.tools.agent_tool import AgentTool
from google.adk.tools.function_tool import FunctionTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types
from google.genai.errors import ClientError

from agentllm.core import (
    ClientCalls,
    ClientTool,
    Media,
    Message,
    Parameters,
    Reasoning,
    Shown,
    Text,
    ToolCall,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, InvalidRequest, ModelFailed, UnsupportedParameter
from agentllm.runtimes import family_of, is_agent, runtime_for
from agentllm.runtimes.adk import AdkRuntime
from tests.runtimes.adk.spoken import (
    agent,
    called,
    finished,
    of,
    run,
    speaking,
    swapped,
    text_of,
    thought,
    tokens,
    turn,
)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
WEATHER = ClientTool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})

pytestmark = [
    pytest.mark.filterwarnings("ignore:(Sequential|Parallel)Agent is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The `plugins` argument is deprecated:DeprecationWarning"),
]


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def explode() -> str:
    """Fail."""
    raise RuntimeError("a secret")


def remember(tool_context: ToolContext) -> str:
    """Write state."""
    for name in ("own", "user:own", "app:own", "temp:own"):
        tool_context.state[name] = 1
    return "done"


class Saying(BaseAgent):
    """An agent that asks no model."""

    text: str = "hello"

    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncGenerator[AdkEvent, None]:
        content = types.Content(role="model", parts=[types.Part(text=self.text)] if self.text else [])
        yield AdkEvent(author=self.name, invocation_id=ctx.invocation_id, content=content)


class Either(BaseAgent):
    """An agent of the user's own class, that has others in fields."""

    one: LlmAgent
    rest: dict[str, LlmAgent]

    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncGenerator[AdkEvent, None]:
        for under in (self.one, *self.rest.values()):
            async for event in under.run_async(ctx):
                yield event


class Logged(logging.Handler):
    """What reaches the root of all loggers, as an operator's handler formats it."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += logging.Formatter().format(record)


class TestAnswers:
    async def test_pieces_come_as_they_are_said_and_the_whole_is_not_said_again(self) -> None:
        events = await run(
            agent(speaking([thought("let me see"), types.Part(text="one two three")])), turn(stream=True)
        )
        assert [event.text for event in of(Reasoning, events)] == ["let", "me", "see"]
        assert [event.text for event in of(Text, events)] == ["one", "two", "three"]
        assert finished(events).messages == (Message("assistant", "onetwothree"),)

    async def test_a_plain_answer_is_one_piece(self) -> None:
        events = await run(agent(speaking([thought("hm"), types.Part(text="one two")])))
        assert [event.text for event in of(Reasoning, events)] == ["hm"]
        assert [event.text for event in of(Text, events)] == ["one two"]

    @STREAM
    async def test_what_a_callback_says_in_the_place_of_the_model_is_the_answer(self, stream: bool) -> None:
        model = speaking()

        def stop(**_: Any) -> LlmResponse:
            return LlmResponse(content=types.Content(role="model", parts=[types.Part(text="no model")]))

        assert text_of(await run(agent(model, before_model_callback=stop), turn(stream=stream))) == "no model"
        assert model.asked == []

    @STREAM
    async def test_tools_are_work_and_tokens_add_up(self, stream: bool) -> None:
        model = speaking([types.Part(text="adding"), called("add", a=1, b=2)], "3")
        events = await run(agent(model, tools=[add]), turn(stream=stream))
        work = of(Work, events)
        assert [(one.name, one.status, one.result, one.by) for one in work] == [
            ("add", "started", "", None),
            ("add", "finished", "3", None),
        ]
        assert of(Usage, events)[-1] == Usage(20, 4)
        assert text_of(events) == "adding\n\n3"
        assert [message.role for message in finished(events).messages] == ["assistant", "tool", "assistant"]

    @STREAM
    async def test_a_tool_that_is_an_agent_counts_and_its_words_are_its_result(self, stream: bool) -> None:
        helper = agent(speaking("forty-two"), "helper")
        model = speaking([called("helper", request="what?")], "It said so.")
        events = await run(agent(model, tools=[AgentTool(helper)]), turn(stream=stream))
        assert text_of(events).replace(" ", "") == "Itsaidso."
        assert of(Usage, events)[-1] == Usage(30, 6)
        assert "forty" in of(Work, events)[-1].result

    async def test_thinking_beside_the_completion_is_part_of_it(self) -> None:
        content = types.Content(role="model", parts=[types.Part(text="x")])
        answer = LlmResponse(content=content, usage_metadata=tokens(10, 2, thoughts=5))
        assert of(Usage, await run(agent(speaking(answer)))) == [Usage(10, 7, 5)]

    async def test_a_sub_agent_s_work_is_told_as_its_own(self) -> None:
        sub = agent(speaking([called("add", a=1, b=2)], "3"), "sub", tools=[add])
        events = await run(agent(speaking([called("transfer_to_agent", agent_name="sub")]), sub_agents=[sub]))
        assert [(one.name, one.by) for one in of(Work, events) if one.name == "add"] == [("add", "sub")] * 2
        assert finished(events).messages[-1].provider_data == {"author": "sub"}

    @STREAM
    async def test_steps_are_paragraphs_of_the_answer(self, stream: bool) -> None:
        steps: list[BaseAgent] = [agent(speaking("one"), "first"), agent(speaking("two"), "second")]
        events = await run(SequentialAgent(name="agent", sub_agents=steps), turn(stream=stream))
        assert text_of(events) == "one\n\ntwo"

    async def test_agents_that_speak_at_once_do_not_mix_their_words(self) -> None:
        steps: list[BaseAgent] = [agent(speaking(" ".join(name * 20)), name) for name in ("a", "b")]
        events = await run(ParallelAgent(name="agent", sub_agents=steps), turn(stream=True))
        assert sorted(text_of(events).split("\n\n")) == ["a" * 20, "b" * 20]

    async def test_an_agent_without_a_model_answers(self) -> None:
        assert text_of(await run(Saying(name="agent"))) == "hello"

    async def test_the_result_of_a_tool_may_be_the_answer(self) -> None:
        def last_word(tool_context: ToolContext) -> str:
            """Say it."""
            tool_context.actions.skip_summarization = True
            return "the last word"

        events = await run(agent(speaking([called("last_word")]), tools=[last_word]))
        assert text_of(events) == "the last word"
        assert finished(events).messages[-1] == Message("assistant", "the last word")

    async def test_a_picture_that_the_model_made_is_shown(self) -> None:
        blob = types.Blob(mime_type="image/png", data=b"png")
        events = await run(agent(speaking([types.Part(inline_data=blob)])))
        assert of(Shown, events) == [Shown(Media("image", "image/png", b"png"))]

    @pytest.mark.parametrize(
        ("reason", "told"), [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("STOP", "stop")]
    )
    async def test_how_the_model_ended_is_kept(self, reason: str, told: str) -> None:
        content = types.Content(role="model", parts=[types.Part(text="x")])
        answer = LlmResponse(content=content, finish_reason=types.FinishReason(reason))
        assert finished(await run(agent(speaking(answer)))).reason == told

    async def test_a_question_that_was_held_back_is_no_error(self) -> None:
        assert finished(await run(agent(speaking(LlmResponse(error_code="PROHIBITED_CONTENT"))))).reason == (
            "content_filter"
        )


class TestFailures:
    @STREAM
    async def test_a_model_s_error_has_its_status_and_words(self, stream: bool) -> None:
        error = ClientError(429, {"error": {"message": "slow down", "status": "RESOURCE_EXHAUSTED"}})
        with pytest.raises(ModelFailed) as raised:
            await run(agent(speaking(error)), turn(stream=stream))
        assert raised.value.status == 429
        assert "slow down" in raised.value.message

    async def test_an_error_that_a_callback_took_care_of_is_none(self) -> None:
        def mend(**_: Any) -> LlmResponse:
            return LlmResponse(content=types.Content(role="model", parts=[types.Part(text="sorry")]))

        assert text_of(await run(agent(speaking(RuntimeError("x")), on_model_error_callback=mend))) == "sorry"

    async def test_a_tool_s_error_is_told_and_logged_without_its_words(self) -> None:
        logged = Logged()
        logging.getLogger().addHandler(logged)
        try:
            with pytest.raises(AgentFailed) as raised:
                await run(agent(speaking([called("explode")]), tools=[explode]))
        finally:
            logging.getLogger().removeHandler(logged)
        assert "secret" not in raised.value.message
        assert "secret" not in logged.text
        assert "RuntimeError" in logged.text

    @pytest.mark.parametrize("step", ["", [thought("only this")], LlmResponse(error_code="MALFORMED_FUNCTION_CALL")])
    async def test_an_answer_that_is_none_is_an_error(self, step: Any) -> None:
        with pytest.raises(ModelFailed):
            await run(agent(speaking(step)))

    async def test_an_agent_that_says_nothing_failed(self) -> None:
        with pytest.raises(AgentFailed):
            await run(Saying(name="agent", text=""))

    async def test_a_tool_that_needs_an_approval_cannot_be_used(self) -> None:
        tools = [FunctionTool(add, require_confirmation=True)]
        with pytest.raises(AgentFailed, match="approval"):
            await run(agent(speaking([called("add", a=1, b=2)]), tools=tools))

    async def test_closing_a_run_ends_the_model_call(self) -> None:
        model = speaking("on and on", hangs=True)
        events = AdkRuntime(agent(model)).run(turn(stream=True))
        await anext(events)
        await events.aclose()
        await asyncio.wait_for(model.closed.wait(), 0.2)


class TestState:
    async def test_all_state_but_the_temporary_is_that_of_the_branch(self) -> None:
        runtime = AdkRuntime(agent(speaking([called("remember")], "done", "seen"), tools=[remember]))
        state = finished(await run(runtime)).state
        assert state == {"own": 1, "user:own": 1, "app:own": 1}
        assert finished(await run(runtime, turn(state=state))).state == state
        assert finished(await run(runtime)).state is None

    async def test_state_that_cannot_be_stored_fails_the_turn(self) -> None:
        def keep(tool_context: ToolContext) -> str:
            """Write state."""
            tool_context.state["x"] = object()
            return "done"

        with pytest.raises(AgentFailed):
            await run(agent(speaking([called("keep")], "done"), tools=[keep]))

    async def test_an_instruction_may_name_state(self) -> None:
        model = speaking()
        await run(agent(model, instruction="You serve {city}."), turn(state={"city": "Oslo"}))
        assert str(model.asked[0].config.system_instruction).startswith("You serve Oslo.")


class TestAsking:
    async def test_parameters_are_those_of_the_one_request(self) -> None:
        model = speaking()
        shared = agent(model, generate_content_config=types.GenerateContentConfig(temperature=1.0))
        runtime = AdkRuntime(shared)
        await run(runtime, turn(parameters=Parameters(temperature=0.0, max_tokens=5, stop=("x",))))
        await run(runtime)
        configs = [request.config for request in model.asked]
        assert [(c.temperature, c.max_output_tokens, c.stop_sequences) for c in configs] == [
            (0.0, 5, ["x"]),
            (1.0, None, None),
        ]
        assert shared.generate_content_config == types.GenerateContentConfig(temperature=1.0)

    @pytest.mark.parametrize("asked", [{"verbosity": "low"}, {"service_tier": "flex"}, {"reasoning_effort": "low"}])
    async def test_a_parameter_without_a_place_is_refused_or_dropped(self, asked: Any) -> None:
        model = speaking()
        with pytest.raises(UnsupportedParameter):
            await run(agent(model), turn(parameters=Parameters(**asked)))
        assert model.asked == []
        await run(agent(model), turn(parameters=Parameters(**asked), drop_unsupported=True))

    @pytest.mark.parametrize("asked", [{"parameters": Parameters(seed=1)}, {"client_tools": (WEATHER,)}])
    async def test_an_agent_without_one_model_takes_none(self, asked: Any) -> None:
        with pytest.raises(UnsupportedParameter):
            await run(SequentialAgent(name="agent", sub_agents=[agent(speaking(), "one")]), turn(**asked))

    async def test_a_call_for_the_client_ends_the_run_and_its_result_goes_on_with_it(self) -> None:
        model = speaking([called("weather", city="Oslo"), called("add", a=1, b=2)], "rain")
        runtime = AdkRuntime(agent(model, tools=[add]))
        first = await run(runtime, turn("weather?", client_tools=(WEATHER,)))
        [calls] = of(ClientCalls, first)
        [call] = calls.calls
        assert (call.name, finished(first).reason, len(model.asked)) == ("weather", "tool_calls", 1)
        result = Message("tool", "rain", tool_call_id=call.id)
        said = (Message("user", "weather?"), *finished(first).messages, result)
        assert text_of(await run(runtime, turn(*said, client_tools=(WEATHER,)))) == "rain"
        responses = [
            p.function_response for c in model.asked[-1].contents for p in c.parts or () if p.function_response
        ]
        assert {(r.name, str(r.response)) for r in responses} == {
            ("add", "{'result': '3'}"),
            ("weather", "{'result': 'rain'}"),
        }

    async def test_a_tool_of_the_client_must_not_have_a_name_of_the_agent_s(self) -> None:
        own = ClientTool("add", "", {})
        with pytest.raises(InvalidRequest):
            await run(agent(speaking(), tools=[add]), turn(client_tools=(own,)))
        ask_user = ClientTool("ask_user", "", {})

        def ask_user_(question: str) -> str:
            """Ask."""
            return question

        ask_user_.__name__ = "ask_user"
        assert text_of(await run(agent(speaking(), tools=[ask_user_]), turn(client_tools=(ask_user,)))) == "ok"

    async def test_the_conversation_before_reaches_the_model_with_calls_and_results(self) -> None:
        model = speaking()
        said = (
            Message("user", "1"),
            Message("assistant", "", (ToolCall("c1", "add", '{"a": 1}'),)),
            Message("tool", "3", tool_call_id="c1", name="add"),
            Message("assistant", "three"),
            Message("user", "2"),
        )
        await run(agent(model, tools=[add]), turn(*said))
        told = [
            part.text or (part.function_call or part.function_response).name  # type: ignore[union-attr]
            for content in model.asked[0].contents
            for part in content.parts or ()
        ]
        assert told == ["1", "add", "add", "three", "2"]


class TestSwapping:
    async def test_the_prompt_in_force_stands_in_the_place_of_the_instruction_for_that_run(self) -> None:
        model = speaking()
        shared = agent(model, instruction="Be kind.", static_instruction="You are Ann.")
        runtime = AdkRuntime(shared)
        await run(runtime, in_force=swapped(prompt="Be {rude}."))
        await run(runtime)
        told = [str(request.config.system_instruction) for request in model.asked]
        assert told[0].startswith("Be {rude}.")
        assert "kind" not in told[0]
        assert "Ann" not in told[0]
        assert told[1].startswith("You are Ann.\n\nBe kind.")
        assert (shared.instruction, shared.static_instruction) == ("Be kind.", "You are Ann.")

    async def test_a_prompt_set_by_a_tool_counts_from_the_next_call_on(self) -> None:
        in_force = swapped()

        def change() -> str:
            """Change it."""
            in_force.set_prompt("New.")
            return "done"

        model = speaking([called("change")], "ok")
        await run(agent(model, instruction="Old.", tools=[change]), in_force=in_force)
        told = [str(request.config.system_instruction)[:4] for request in model.asked]
        assert told == ["Old.", "New."]

    @pytest.mark.parametrize("place", ["root", "sub", "tool", "field", "dict"])
    async def test_the_model_in_force_answers_for_every_agent_of_the_tree(self, place: str) -> None:
        own = speaking()
        inner = agent(own, "inner")
        trees: dict[str, BaseAgent] = {
            "root": agent(own),
            "sub": SequentialAgent(name="agent", sub_agents=[inner]) if place == "sub" else agent(own),
            "tool": agent(speaking([called("inner", request="x")], "ok"), tools=[AgentTool(inner)]),
        }
        if place == "field":
            trees["field"] = Either(name="agent", one=inner, rest={}, sub_agents=[inner])
        if place == "dict":
            outer = agent(speaking(), "outer")
            trees["dict"] = Either(name="agent", one=outer, rest={"x": inner}, sub_agents=[outer, inner])
        runtime = AdkRuntime(trees[place])
        events = await run(runtime, in_force=swapped(model="offline"))
        assert own.asked == []
        assert finished(events).model == "offline"

    async def test_parallel_runs_have_their_own(self) -> None:
        model = speaking()
        runtime = AdkRuntime(agent(model, instruction="Own."))

        async def one(number: int) -> None:
            await run(runtime, turn(f"question {number}."), in_force=swapped(prompt=f"prompt {number}."))

        await asyncio.gather(*(asyncio.create_task(one(number)) for number in range(20)))
        for request in model.asked:
            content = request.contents[-1].parts or []
            number = str(content[0].text).removeprefix("question ")
            assert str(request.config.system_instruction).startswith(f"prompt {number}")


def test_agents_of_adk_are_told_by_their_class() -> None:
    for one in (agent(speaking()), Saying(name="agent")):
        assert is_agent(one)
        assert family_of(one) == "adk"
        assert isinstance(runtime_for(one), AdkRuntime)


def test_the_shared_agent_is_not_written_to() -> None:
    sub = agent(speaking(), "sub")
    shared = agent(speaking(), sub_agents=[sub])
    AdkRuntime(shared)
    assert sub.parent_agent is shared
    assert shared.sub_agents == [sub]
    assert type(shared.model).__module__.endswith("spoken")
    assert shared.instruction == ""
