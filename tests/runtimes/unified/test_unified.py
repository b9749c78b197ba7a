"""`UnifiedAgent` as a runtime: turns in, events out, and the model and prompt that are in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from agentllm import UnifiedAgent
from agentllm.core import (
    Card,
    ClientCalls,
    ClientTool,
    Event,
    Media,
    Message,
    OutputFormat,
    Swap,
    Text,
    ToolCall,
    Usage,
    Work,
)
from agentllm.errors import InvalidRequest, ModelFailed, ModelRateLimited
from agentllm.hotswap.in_force import IN_FORCE, InForce
from agentllm.runtimes import card_for, family_of, is_agent, is_agent_function, runtime_for
from agentllm.runtimes.questions import ASK_USER
from agentllm.runtimes.tool_media import FROM_TOOL
from tests.gateway.pictures import PDF, PNG, WAV, data_url, encoded
from tests.runtimes.agno.spoken import finished, text_of, turn, usage_of
from tests.scripted_llm import Reply, ScriptedLLM
from tests.scripted_llm import ToolCall as Called

pytestmark = pytest.mark.usefixtures("provider")

MODEL, OTHER = "openai/gpt-4o", "openai/gpt-4o-mini"
WEATHER = ClientTool("weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})

either_way = pytest.mark.parametrize("stream", [False, True])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def run(agent: UnifiedAgent, *messages: Message | str, **more: Any) -> list[Event]:
    return [event async for event in runtime_for(agent).run(turn(*messages, **more))]


def sent(llm: ScriptedLLM, call: int = -1) -> list[Any]:
    messages: list[Any] = llm.requests()[call].body["messages"]
    return messages


def made() -> UnifiedAgent:
    return UnifiedAgent(MODEL)


class TestCatalog:
    @pytest.fixture(autouse=True)
    def key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "k")

    def test_it_is_an_agent_of_the_family_litellm(self) -> None:
        agent = UnifiedAgent(MODEL, name="Poet", description="Writes.")
        assert is_agent(agent)
        assert is_agent_function(made)
        assert family_of(agent) == "litellm"
        assert card_for(agent) == Card(title="Poet")
        runtime = runtime_for(agent)
        assert (runtime.name, runtime.description) == ("Poet", "Writes.")

    def test_one_of_a_class_of_the_user_s_own_is_too(self) -> None:
        class Own(UnifiedAgent):
            pass

        assert family_of(Own(MODEL)) == "litellm"

    def test_the_class_itself_is_none(self) -> None:
        assert not is_agent(UnifiedAgent)

    async def test_it_is_given_as_much_as_its_model_takes(self) -> None:
        runtime = runtime_for(UnifiedAgent(MODEL))
        await runtime.warm_up()
        assert (runtime.memory.turns, runtime.memory.tokens) == (None, 128_000)
        assert not runtime.takes_front_end_tools


@either_way
class TestTurns:
    async def test_an_answer_ends_with_what_it_adds_and_who_wrote_it(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.calling(Called.of("add", a=1, b=2)), "three")
        events = await run(UnifiedAgent(MODEL, tools=[add]), stream=stream, state={"kept": 1})
        end = finished(events)
        asked, result, answer = end.messages
        assert [call.name for call in asked.tool_calls] == ["add"]
        assert (result.role, result.content, result.name) == ("tool", "3", "add")
        assert result.tool_call_id == asked.tool_calls[0].id
        assert (answer.role, answer.content) == ("assistant", "three")
        assert (end.reason, end.model, end.state) == ("stop", MODEL, {"kept": 1})
        assert text_of(events) == "three"
        assert [w.status for w in events if isinstance(w, Work)] == ["started", "finished"]
        assert len([event for event in events if isinstance(event, Usage)]) == 2
        assert usage_of(events).cost

    async def test_pieces_come_one_by_one_where_the_turn_is_streamed(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script("one two three")
        pieces = [event.text for event in await run(made(), stream=stream) if isinstance(event, Text)]
        assert pieces == (["one", " two", " three"] if stream else ["one two three"])

    async def test_the_history_goes_to_the_model_as_it_was(self, stream: bool, llm: ScriptedLLM) -> None:
        call = ToolCall("call-1", "add", '{"a": 1, "b": 2}')
        said = (
            Message("developer", "In Latin."),
            Message("user", "add", name="ada"),
            Message("assistant", "", (call,)),
            Message("tool", "3", tool_call_id="call-1", name="add"),
            Message("assistant", "three"),
            Message("user", "again"),
        )
        await run(UnifiedAgent(MODEL, instructions="Be brief."), *said, stream=stream)
        system, user, asked, result, answer, newest = sent(llm)
        assert system == {"role": "system", "content": "Be brief.\n\nIn Latin."}
        assert user == {"role": "user", "content": "add", "name": "ada"}
        assert asked["tool_calls"] == [
            {"id": "call-1", "type": "function", "function": {"name": "add", "arguments": call.arguments}}
        ]
        assert result == {"role": "tool", "content": "3", "tool_call_id": "call-1"}
        assert (answer["content"], newest["content"]) == ("three", "again")

    async def test_calls_of_the_client_s_tools_end_the_turn(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.calling(Called.of("weather", city="Rome"), Called.of("add", a=1, b=2)))
        events = await run(UnifiedAgent(MODEL, tools=[add]), stream=stream, client_tools=(WEATHER,))
        (calls,) = [event for event in events if isinstance(event, ClientCalls)]
        assert [call.name for call in calls.calls] == ["weather"]
        end = finished(events)
        assert end.reason == "tool_calls"
        assert [message.role for message in end.messages] == ["assistant", "tool"]
        assert [work.name for work in events if isinstance(work, Work)] == ["add", "add"]

    async def test_a_model_that_fails_is_an_error_with_its_status(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(429, "slow down"), times=None)
        with pytest.raises(ModelRateLimited, match="slow down") as raised:
            await run(UnifiedAgent(MODEL, retries=0), stream=stream)
        assert raised.value.status == 429

    async def test_media_go_to_the_model(self, stream: bool, llm: ScriptedLLM) -> None:
        media = (
            Media("image", "image/png", PNG),
            Media("audio", "audio/wav", WAV),
            Media("file", "application/pdf", PDF, "a.pdf"),
        )
        await run(made(), Message("user", "What is it?", media=media), stream=stream)
        text, image, sound, file = sent(llm)[-1]["content"]
        assert text == {"type": "text", "text": "What is it?"}
        assert image["image_url"]["url"] == data_url(PNG, "image/png")
        assert sound["input_audio"] == {"data": encoded(WAV), "format": "wav"}
        assert file["file"]["file_data"] == data_url(PDF, "application/pdf")

    async def test_media_of_tools_come_behind_their_results(self, stream: bool, llm: ScriptedLLM) -> None:
        call = ToolCall("call-1", "look", "{}")
        picture = Media("image", "image/png", PNG)
        result = Message("tool", "here", tool_call_id="call-1", media=(picture,))
        await run(made(), "hi", Message("assistant", "", (call,)), result, stream=stream)
        *_, told, shown = sent(llm)
        assert told["content"] == "here"
        assert shown["role"] == "user"
        assert shown["content"][0] == {"type": "text", "text": FROM_TOOL}


async def test_a_client_s_tool_with_the_name_of_its_own_is_refused(llm: ScriptedLLM) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await run(UnifiedAgent(MODEL, tools=[add]), client_tools=(ClientTool("add", "", {}),))
    assert raised.value.param == "tools"
    assert llm.requests() == []


async def test_a_front_end_s_question_tool_is_left_out_where_the_agent_has_one(llm: ScriptedLLM) -> None:
    def ask_user() -> str:
        """Ask."""
        return "yes"

    offered = (ClientTool(ASK_USER, "Of the front end.", {}),)
    await run(UnifiedAgent(MODEL, tools=[ask_user]), client_tools=offered)
    (tool,) = llm.requests()[-1].body["tools"]
    assert tool["function"]["description"] == "Ask."


async def test_closing_a_run_ends_its_model_call(llm: ScriptedLLM) -> None:
    llm.script(Reply(tokens=("on ", "and "), endless=True))
    async with aclosing(runtime_for(made()).run(turn("hi", stream=True))) as events:
        await anext(events)
    requests = await llm.wait_for_async(lambda seen: seen[-1].disconnected_at is not None)
    assert len(requests) == 1


class TestInForce:
    @pytest.fixture(autouse=True)
    def in_force(self) -> Iterator[InForce]:
        def check(model: str) -> None:
            assert model

        found = InForce(Swap(), check)
        token = IN_FORCE.set(found)
        yield found
        IN_FORCE.reset(token)

    @either_way
    async def test_a_model_and_a_prompt_stand_in_the_place_of_the_agent_s(
        self,
        stream: bool,
        in_force: InForce,
        llm: ScriptedLLM,
    ) -> None:
        in_force.set_model(OTHER)
        in_force.set_prompt("Be rude.")
        agent = UnifiedAgent(MODEL, instructions="Be kind.")
        events = await run(agent, Message("system", "In Latin."), "hi", stream=stream)
        assert finished(events).model == OTHER
        assert llm.requests()[-1].model == "gpt-4o-mini"
        assert sent(llm)[0]["content"] == "Be rude.\n\nIn Latin."

    @either_way
    async def test_the_offline_model_answers_where_it_is_set(
        self,
        stream: bool,
        in_force: InForce,
        llm: ScriptedLLM,
    ) -> None:
        in_force.set_model("offline")
        events = await run(UnifiedAgent(MODEL, tools=[add]), "add 20 and 22", stream=stream)
        assert "42" in text_of(events)
        assert [work.name for work in events if isinstance(work, Work)] == ["add", "add"]
        assert (finished(events).reason, finished(events).model) == ("stop", "offline")
        assert usage_of(events).completion_tokens > 0
        assert usage_of(events).cost is None
        assert llm.requests() == []

    @either_way
    async def test_the_offline_model_answers_in_the_form_that_is_asked_for(
        self,
        stream: bool,
        in_force: InForce,
        llm: ScriptedLLM,
    ) -> None:
        in_force.set_model("offline")
        schema: Any = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        events = await run(made(), "a name", stream=stream, output_format=OutputFormat(schema))
        assert isinstance(json.loads(text_of(events))["name"], str)

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_what_a_tool_sets_holds_from_the_next_model_call_on(
        self,
        is_async: bool,
        in_force: InForce,
        llm: ScriptedLLM,
    ) -> None:
        def swap() -> str:
            found = IN_FORCE.get()
            assert found is not None
            found.set_model(OTHER)
            found.set_prompt("Be rude.")
            return "done"

        async def swap_later() -> str:
            return swap()

        tool: Callable[[], Any] = swap_later if is_async else swap
        llm.script(Reply.calling(Called(tool.__name__)), "rude words")
        events = await run(UnifiedAgent(MODEL, instructions="Be kind.", tools=[tool]))
        assert [request.model for request in llm.requests()] == ["gpt-4o", "gpt-4o-mini"]
        assert [sent(llm, call)[0]["content"] for call in (0, 1)] == ["Be kind.", "Be rude."]
        assert finished(events).model == OTHER

    async def test_the_agent_s_fallbacks_stand_by_for_its_own_model_only(
        self,
        in_force: InForce,
        llm: ScriptedLLM,
    ) -> None:
        agent = UnifiedAgent(MODEL, fallbacks=["openai/gpt-4.1"], retries=0)
        llm.script(Reply.failing(500), model="gpt-4o")
        assert finished(await run(agent)).model == "openai/gpt-4.1"
        llm.script(Reply.failing(500), model="gpt-4o-mini")
        in_force.set_model(OTHER)
        with pytest.raises(ModelFailed):
            await run(agent)
        assert llm.requests()[-1].model == "gpt-4o-mini"
