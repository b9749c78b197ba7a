"""Runs of agents as a library: answers, tools, history, and how they are stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from agentllm import UnifiedAgent
from agentllm.core import ClientCalls, JsonObject, Reasoning, Text, Usage, Work
from agentllm.errors import AgentFailed, InvalidRequest
from agentllm.llm.router import CALLER_METADATA
from agentllm.llm.unified import Answer
from tests.llm.unified.asking import OPENAI, SECOND, WEATHER, add, answer_of, either_way, events_of
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.scripted_llm import Usage as Counts

pytestmark = pytest.mark.usefixtures("provider")


def roles(messages: Sequence[JsonObject]) -> list[Any]:
    return [message["role"] for message in messages]


@either_way
class TestAnswers:
    async def test_a_text_is_answered(self, stream: bool, llm: ScriptedLLM) -> None:
        answer = await answer_of(UnifiedAgent(OPENAI), stream=stream)
        assert (answer.text, answer.reason, answer.calls) == ("echo: hi", "stop", ())
        assert answer.messages[-1] == {"role": "assistant", "content": "echo: hi"}

    async def test_it_tells_which_model_answered_and_what_that_cost(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply("done", reasoning=("let ", "me see"), usage=Counts(prompt=110, completion=7, reasoning=3)))
        answer = await answer_of(UnifiedAgent(OPENAI), stream=stream)
        assert answer.model == OPENAI
        assert answer.reasoning == "let me see"
        usage = answer.usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens) == (110, 7, 3)
        assert usage.cost is not None
        assert usage.cost > 0

    async def test_usage_and_cost_are_those_of_all_calls(self, stream: bool, llm: ScriptedLLM) -> None:
        one = Reply(tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Counts(prompt=100, completion=10))
        llm.script(one, Reply("3", usage=Counts(prompt=100, completion=10)))
        both_calls = await answer_of(UnifiedAgent(OPENAI, tools=[add]), stream=stream)
        llm.script(Reply("3", usage=Counts(prompt=100, completion=10)))
        one_call = await answer_of(UnifiedAgent(OPENAI), stream=stream)
        assert (both_calls.usage.prompt_tokens, both_calls.usage.completion_tokens) == (200, 20)
        assert one_call.usage.cost is not None
        assert both_calls.usage.cost == pytest.approx(2 * one_call.usage.cost)

    @pytest.mark.parametrize("finish", ["length", "content_filter"])
    async def test_it_tells_why_it_ended(self, stream: bool, finish: Any, llm: ScriptedLLM) -> None:
        llm.script(Reply("one two", finish=finish))
        assert (await answer_of(UnifiedAgent(OPENAI), stream=stream)).reason == finish

    async def test_tools_are_called_until_it_has_answered(self, stream: bool, llm: ScriptedLLM) -> None:
        calls = ToolCall.of("add", a=1, b=2), ToolCall.of("add", a=20, b=3)
        llm.script(Reply("I add.", tool_calls=calls), Reply.calling(ToolCall.of("add", a=3, b=23)), "26")
        answer = await answer_of(UnifiedAgent(OPENAI, tools=[add]), stream=stream)
        assert answer.text == "I add.\n\n26"
        assert roles(answer.messages) == ["user", "assistant", "tool", "tool", "assistant", "tool", "assistant"]
        assert [m["content"] for m in answer.messages if m["role"] == "tool"] == ["3", "23", "26"]

    async def test_a_tool_that_fails_or_is_not_there_is_told_to_the_model(self, stream: bool, llm: ScriptedLLM) -> None:
        def fail() -> None:
            raise RuntimeError("why it failed")

        llm.script(Reply.calling(ToolCall.of("fail"), ToolCall.of("nothing")), "Sorry.")
        answer = await answer_of(UnifiedAgent(OPENAI, tools=[fail]), stream=stream)
        assert answer.text == "Sorry."
        told = [str(m["content"]) for m in answer.messages if m["role"] == "tool"]
        assert "why it failed" in told[0]
        assert "nothing" in told[1]

    async def test_calls_of_schemas_end_the_run_and_their_results_go_on_with_it(
        self, stream: bool, llm: ScriptedLLM
    ) -> None:
        agent = UnifiedAgent(OPENAI, tools=[WEATHER, add])
        llm.script(Reply.calling(ToolCall.of("add", a=1, b=2), ToolCall.of("weather", city="Rome")), "Sunny.")
        asked = await answer_of(agent, stream=stream)
        assert asked.reason == "tool_calls"
        (call,) = asked.calls
        assert (call.name, call.arguments.replace(" ", "")) == ("weather", '{"city":"Rome"}')
        result = {"role": "tool", "tool_call_id": call.id, "content": "sun"}
        assert (await answer_of(agent, [*asked.messages, result], stream=stream)).text == "Sunny."

    async def test_messages_of_an_answer_are_the_history_of_the_next(self, stream: bool, llm: ScriptedLLM) -> None:
        agent = UnifiedAgent(OPENAI)
        first = await answer_of(agent, "My name is Ada.", stream=stream)
        second = await answer_of(
            agent, [*first.messages, {"role": "user", "content": "What did I say?"}], stream=stream
        )
        assert second.text == "you said: My name is Ada. | What did I say?"

    async def test_a_run_has_at_most_so_many_model_calls(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), times=None)
        with pytest.raises(AgentFailed, match="max_model_calls"):
            await answer_of(UnifiedAgent(OPENAI, tools=[add], max_model_calls=3), stream=stream)
        assert len(llm.requests()) == 3


async def test_events_come_in_the_order_in_which_it_happens(llm: ScriptedLLM) -> None:
    llm.script(Reply("Let me see.", tool_calls=(ToolCall.of("add", a=1, b=2),)), Reply("3", reasoning=("hm",)))
    events = await events_of(UnifiedAgent(OPENAI, tools=[add]))
    kinds = [type(event) for event in events]
    assert kinds == [Text, Text, Text, Usage, Work, Work, Reasoning, Text, Usage, Answer], kinds
    assert [event.status for event in events if isinstance(event, Work)] == ["started", "finished"]


async def test_calls_for_the_caller_are_told_before_the_answer(llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("weather", city="Rome")))
    *_, calls, answer = await events_of(UnifiedAgent(OPENAI, tools=[WEATHER]))
    assert isinstance(calls, ClientCalls)
    assert isinstance(answer, Answer)
    assert calls.calls == answer.calls


@pytest.mark.parametrize("is_async", [True, False])
async def test_calls_of_one_answer_run_at_once_and_their_results_keep_its_order(
    is_async: bool, llm: ScriptedLLM
) -> None:
    both_here, threads_here = asyncio.Barrier(2), threading.Barrier(2, timeout=SECOND)

    async def meet_later(who: str) -> str:
        await asyncio.wait_for(both_here.wait(), SECOND)
        return who

    def meet(who: str) -> str:
        threads_here.wait()
        return who

    tool = meet_later if is_async else meet
    llm.script(Reply.calling(ToolCall.of(tool.__name__, who="one"), ToolCall.of(tool.__name__, who="two")), "met")
    answer = await UnifiedAgent(OPENAI, tools=[tool]).run("hi")
    assert [m["content"] for m in answer.messages if m["role"] == "tool"] == ["one", "two"]


class TestRequests:
    async def test_nothing_is_sent_that_is_not_set(self, llm: ScriptedLLM) -> None:
        await UnifiedAgent(OPENAI).run("hi")
        assert set(llm.requests()[-1].body) == {"model", "messages"}

    async def test_settings_are_sent(self, llm: ScriptedLLM) -> None:
        await UnifiedAgent(OPENAI, temperature=0.5, max_tokens=7).run("hi")
        body = llm.requests()[-1].body
        assert (body["temperature"], body["max_tokens"]) == (0.5, 7)

    async def test_instructions_are_one_system_message_with_those_of_the_prompt(self, llm: ScriptedLLM) -> None:
        prompt = [{"role": "system", "content": "Say it in Latin."}, {"role": "user", "content": "hi"}]
        await UnifiedAgent(OPENAI, instructions=["Be kind.", "Be brief."]).run(prompt)
        told, said = llm.requests()[-1].body["messages"]
        assert told == {"role": "system", "content": "Be kind.\nBe brief.\n\nSay it in Latin."}
        assert said["role"] == "user"

    @pytest.mark.parametrize(
        "prompt", [[], [{"role": "system", "content": "x"}], [{"role": "king", "content": "x"}], ["hi"], [7], None, 7]
    )
    async def test_a_prompt_that_is_no_conversation_is_refused(self, prompt: Any, llm: ScriptedLLM) -> None:
        with pytest.raises(InvalidRequest):
            await UnifiedAgent(OPENAI).run(prompt)
        assert llm.requests() == []

    @either_way
    async def test_the_caller_s_metadata_goes_to_litellm_and_not_to_the_provider(
        self, stream: bool, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import litellm
        from litellm.integrations.custom_logger import CustomLogger

        seen: list[dict[str, Any]] = []

        class Noting(CustomLogger):
            async def async_log_pre_api_call(self, model: Any, messages: Any, kwargs: dict[str, Any]) -> None:
                seen.append(kwargs["litellm_params"]["metadata"])

            def log_pre_api_call(self, model: Any, messages: Any, kwargs: dict[str, Any]) -> None:
                seen.append(kwargs["litellm_params"]["metadata"])

        monkeypatch.setattr(litellm, "callbacks", [Noting()])
        token = CALLER_METADATA.set({"user_api_key_user_id": "ann"})
        try:
            await answer_of(UnifiedAgent(OPENAI), stream=stream)
        finally:
            CALLER_METADATA.reset(token)
        assert seen[-1]["user_api_key_user_id"] == "ann"
        assert "metadata" not in llm.requests()[-1].body


class TestStopping:
    async def test_closing_a_stream_ends_the_model_call(self, llm: ScriptedLLM) -> None:
        llm.script(Reply(tokens=("on ", "and "), endless=True))
        async with aclosing(UnifiedAgent(OPENAI).stream("hi")) as events:
            await anext(events)
        await llm.wait_for_async(lambda requests: requests[-1].disconnected_at is not None)

    @either_way
    async def test_being_cancelled_ends_a_model_call_that_says_nothing(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply("late", first_delay=20))
        running = asyncio.create_task(answer_of(UnifiedAgent(OPENAI), stream=stream))
        await llm.wait_for_async(lambda requests: len(requests) == 1)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()
        await llm.wait_for_async(lambda requests: requests[-1].disconnected_at is not None)

    async def test_closing_a_stream_stops_tools_that_are_at_work(self, llm: ScriptedLLM) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        llm.script(Reply.calling(ToolCall.of("wait")))
        async with aclosing(UnifiedAgent(OPENAI, tools=[wait]).stream("hi")) as events:
            async for event in events:
                if isinstance(event, Work):
                    await asyncio.wait_for(begun.wait(), SECOND)
                    break
        await asyncio.wait_for(ended.wait(), SECOND)
        assert len(llm.requests()) == 1

    async def test_a_tool_that_cancels_itself_has_failed(self, llm: ScriptedLLM) -> None:
        async def give_up() -> None:
            raise asyncio.CancelledError

        llm.script(Reply.calling(ToolCall.of("give_up")), "Sorry.")
        assert (await UnifiedAgent(OPENAI, tools=[give_up]).run("hi")).text == "Sorry."


async def test_many_runs_of_one_agent_keep_apart(llm: ScriptedLLM) -> None:
    agent = UnifiedAgent(OPENAI, tools=[add])
    prompts = [f'!call add {{"a": {n}, "b": 1000}}' for n in range(20)]
    answers = await asyncio.gather(*map(agent.run, prompts))
    assert [answer.text for answer in answers] == [f"results: {n + 1000}" for n in range(20)]
