"""The client's own tools through running proxies, as the OpenAI SDK and Open WebUI use them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI

from agentllm.conversations.results import NO_RESULT
from tests.integration.calling import Pair, Said, asked, client_of, of_message
from tests.openwebui import TURNS
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

STREAM = pytest.mark.parametrize("stream", [False, True])
TOOLED = pytest.mark.parametrize("model", ["agno/tooled", "agno/gemini-tooled"])

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
OSLO, ROME, ADD = (
    ToolCall("weather", '{"city": "Oslo"}', "call-oslo"),
    ToolCall("weather", '{"city": "Rome"}', "call-rome"),
    ToolCall("add", '{"a": 1, "b": 2}', "call-add"),
)
QUESTION: dict[str, Any] = {"role": "user", "content": "weather?"}

pytestmark = pytest.mark.timeout(300)


def body_of(messages: list[dict[str, Any]] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": "agno/tooled", "messages": messages or [QUESTION], "tools": [WEATHER], **more}


def ask(client: OpenAI, messages: list[dict[str, Any]] | None = None, *, stream: bool = False, **more: Any) -> Said:
    """The answer to a question, with the weather tool offered."""
    body = body_of(messages, more)
    if not stream:
        return of_message(client.chat.completions.create(**body))
    said = Said()
    for chunk in client.chat.completions.create(**body, stream=True):
        said.take(chunk)
    return said


def refusal(client: OpenAI, messages: list[dict[str, Any]] | None = None, **more: Any) -> int:
    """The status of the error that a request is answered with."""
    with pytest.raises(APIStatusError) as raised:
        ask(client, messages, **more)
    return raised.value.status_code


def offered(llm: ScriptedLLM) -> list[str]:
    """The tools that the model was offered last."""
    return [tool["function"]["name"] for tool in llm.requests()[-1].body.get("tools", ())]


@pytest.fixture(scope="module")
def proxy(running_pair: Pair) -> Proxy:
    return running_pair.one


@pytest.fixture
def there(running_pair: Pair) -> Iterator[OpenAI]:
    """A client of another process with the same store."""
    with client_of(running_pair.other) as client:
        yield client


# A run with calls


@STREAM
@TOOLED
def test_a_call_goes_to_the_client_and_its_result_back_to_the_run(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply("Let me see.", tool_calls=(OSLO,)), Reply("It is cold in Oslo."))
    said = ask(client, model=model, stream=stream)
    assert (said.text, said.names, said.reason) == ("Let me see.", ["weather"], "tool_calls")
    assert json.loads(said.calls[0]["function"]["arguments"]) == {"city": "Oslo"}
    assert said.calls[0]["id"]
    done = ask(client, said.answered(QUESTION, "cold"), model=model, stream=stream)
    assert (done.text, done.calls, done.reason) == ("It is cold in Oslo.", [], "stop")
    assert "cold" in json.dumps(llm.requests()[-1].body)


@STREAM
async def test_the_async_client_gets_calls_too(aclient: AsyncOpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply(tool_calls=(OSLO, ROME)))
    body = body_of(None, {})
    said = Said()
    if stream:
        async for chunk in await aclient.chat.completions.create(**body, stream=True):
            said.take(chunk)
    else:
        said = of_message(await aclient.chat.completions.create(**body))
    assert [json.loads(call["function"]["arguments"])["city"] for call in said.calls] == ["Oslo", "Rome"]
    assert said.reason == "tool_calls"


@STREAM
def test_the_agent_s_own_tools_stand_beside_them_and_never_reach_the_client(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    llm.script(Reply(tool_calls=(OSLO, ADD, ROME)), Reply("done"))
    said = ask(client, stream=stream)
    assert sorted(offered(llm)) == ["add", "explode", "list_files", "weather"]
    assert said.names == ["weather", "weather"]
    assert ask(client, said.answered(QUESTION, "cold", "warm"), stream=stream).text == "done"
    assert asked(llm)[1:] == [("assistant", "weather add weather"), ("tool", "cold"), ("tool", "3"), ("tool", "warm")]


def test_results_in_any_order_reach_the_model_in_that_of_the_calls(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO, ROME)), Reply("done"))
    question, called, cold, warm = ask(client).answered(QUESTION, "cold", "warm")
    ask(client, [question, called, warm, cold])
    assert asked(llm)[2:] == [("tool", "cold"), ("tool", "warm")]


def test_the_run_goes_on_in_another_process(client: OpenAI, there: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO, ADD)), Reply("done"))
    said = ask(client)
    assert ask(there, said.answered(QUESTION, "cold")).text == "done"
    assert ("tool", "3") in asked(llm)


def test_with_a_session_the_results_alone_are_enough(client: OpenAI, there: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO, ADD)), Reply("done"))
    session = {"x-agentllm-session-id": str(uuid.uuid4())}
    *_, result = ask(client, extra_headers=session).answered(QUESTION, "cold")
    assert ask(there, [result], extra_headers=session).text == "done"
    assert asked(llm) == [
        ("user", "weather?"),
        ("assistant", "weather add"),
        ("tool", "cold"),
        ("tool", "3"),
    ]


@STREAM
def test_without_a_stored_run_the_transcript_goes_on(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), Reply("It is cold."))
    said = ask(client, stream=stream, store=False)
    assert ask(client, said.answered(QUESTION, "cold"), stream=stream, store=False).text == "It is cold."
    assert asked(llm) == [("user", "weather?"), ("assistant", "weather"), ("tool", "cold")]


def test_so_does_one_of_an_answer_that_was_never_ours(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script("It is cold.")
    call = {"id": "foreign", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    assert ask(client, Said(calls=[call]).answered(QUESTION, "cold")).text == "It is cold."
    assert asked(llm)[-1] == ("tool", "cold")


def test_calls_may_follow_calls(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), Reply(tool_calls=(ROME,)), Reply("done"))
    messages = ask(client).answered(QUESTION, "cold")
    second = ask(client, messages)
    done = ask(client, [*messages, *second.answered(QUESTION, "warm")[1:]])
    assert (second.reason, done.text) == ("tool_calls", "done")
    assert asked(llm)[1:] == [("assistant", "weather"), ("tool", "cold"), ("assistant", "weather"), ("tool", "warm")]


# What is not as it should be


def test_a_result_that_is_missing_or_of_no_call_is_refused_and_the_rest_may_still_come(
    client: OpenAI, llm: ScriptedLLM
) -> None:
    llm.script(Reply(tool_calls=(OSLO, ROME)), Reply("done"))
    said = ask(client)
    whole = said.answered(QUESTION, "cold", "warm")
    for wrong in (whole[:-1], [*whole, {**whole[-1], "tool_call_id": "unknown"}], [*whole, whole[-1]]):
        assert refusal(client, wrong) == 400
    assert len(llm.requests()) == 1
    assert ask(client, whole).text == "done"


def test_the_same_results_again_get_another_answer(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), Reply("cold"), Reply("very cold"))
    messages = ask(client).answered(QUESTION, "-20 °C")
    assert [ask(client, messages).text for _ in range(2)] == ["cold", "very cold"]


def test_in_a_session_without_a_transcript_they_count_once(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), Reply("cold"))
    session = {"x-agentllm-session-id": str(uuid.uuid4())}
    *_, result = ask(client, extra_headers=session).answered(QUESTION, "-20 °C")
    ask(client, [result], extra_headers=session)
    assert refusal(client, [result], extra_headers=session) == 409
    assert len(llm.requests()) == 2


def test_a_user_message_instead_is_answered_and_the_call_is_known_to_have_no_result(
    client: OpenAI, llm: ScriptedLLM
) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), Reply("as you wish"))
    said = ask(client)
    assert ask(client, [QUESTION, said.message, {"role": "user", "content": "never mind"}]).text == "as you wish"
    assert asked(llm)[2:] == [("tool", NO_RESULT), ("user", "never mind")]


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "two words"}}]},
        {"tools": [WEATHER, WEATHER]},
        {"tools": [{"type": "web_search"}]},
        {"tool_choice": {"type": "function", "function": {"name": "nothing"}}},
        {"extra_body": {"functions": [{"name": "f"}]}},
    ],
)
@STREAM
def test_a_tool_that_cannot_be_offered_is_refused(
    client: OpenAI, llm: ScriptedLLM, more: dict[str, Any], stream: bool
) -> None:
    assert refusal(client, stream=stream, **more) == 400
    assert llm.requests() == []


def test_a_choice_reaches_the_model(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO,)))
    choice = {"type": "function", "function": {"name": "weather"}}
    assert ask(client, tool_choice=choice, parallel_tool_calls=False).names == ["weather"]
    assert llm.requests()[0].body["tool_choice"] == choice
    assert llm.requests()[0].body["parallel_tool_calls"] is False


# Open WebUI


def real_turn() -> dict[str, Any]:
    """The tools of a real request; the file has most of them as a text that stands for them."""
    tools = TURNS[0].body["tools"]
    asking = {"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object", "properties": {}}}}
    return {"tools": [*tools, WEATHER, asking]}


def post(proxy: Proxy, model: str, **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {proxy.key}", **TURNS[0].headers, "x-agentllm-message-id": str(uuid.uuid4())}
    body = {"model": model, "messages": [QUESTION], **more}
    answer = httpx.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_of_its_tools_an_agent_is_offered_ask_user_alone(proxy: Proxy, llm: ScriptedLLM) -> None:
    post(proxy, "agno/tooled", **real_turn())
    assert sorted(offered(llm)) == ["add", "ask_user", "explode", "list_files"]


@pytest.mark.parametrize("model", ["agno/echo", "agno/flow", "agno/team"])
def test_every_kind_of_agent_answers_with_them(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    assert post(proxy, model, **real_turn())["choices"][0]["finish_reason"] == "stop"


def test_an_agent_that_wants_them_is_offered_all(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), model="gpt-front-ending")
    answer = post(proxy, "agno/front-ending", tools=[WEATHER])
    assert offered(llm) == ["weather"]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
