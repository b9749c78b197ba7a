"""Agents of ADK through the running proxy, as OpenAI's SDK sees them."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, OpenAI

from tests.integration.calling import Said, asked, of_message
from tests.integration.checks import WITHIN, request, stopped_after
from tests.integration.conftest import llm_environment
from tests.integration.test_client_tools import OSLO, QUESTION, WEATHER
from tests.proxy import ROOT, Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
MODEL = pytest.mark.parametrize("model", ["adk/routed", "adk/lite", "adk/native"])
PARALLEL = 20

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def proxy(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    agents = os.pathsep.join(map(str, (Path(__file__).parent / "adk_agents", ROOT / "adk_agents")))
    own = {"AGENTLLM_AGENTS": agents, "AGENTLLM_SWAP_MODELS": "openai/gpt-*", "AGENTLLM_MODEL": "openai/gpt-default"}
    environment = {**llm_environment(running_llm), **own}
    with Proxy(tmp_path_factory.mktemp("adk"), environment) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as openai:
        yield openai


def ask(
    client: OpenAI, said: str | list[Any] = "hi", *, model: str = "adk/routed", stream: bool = False, **more: Any
) -> tuple[Said, list[Any]]:
    """An answer, and its usages."""
    messages: Any = [{"role": "user", "content": said}] if isinstance(said, str) else said
    if not stream:
        answer = client.chat.completions.create(model=model, messages=messages, **more)
        return of_message(answer), [answer.usage]
    found, usages = Said(), []
    options: Any = {"include_usage": True}
    for chunk in client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options=options, **more
    ):
        found.take(chunk)
        usages += [chunk.usage] if chunk.usage else []
    return found, usages


def session() -> dict[str, Any]:
    """What makes requests stand in one conversation."""
    return {"extra_headers": {"x-agentllm-session-id": uuid.uuid4().hex}}


def test_they_are_models_like_any_other_and_a_package_serves_its_root_alone(client: OpenAI) -> None:
    models = {model.id for model in client.models.list()}
    assert {name for name in models if name.startswith("adk/")} == {
        "adk/hotswap-agent",
        "adk/lite",
        "adk/native",
        "adk/routed",
        "adk/shop",
    }


@STREAM
@MODEL
def test_it_answers_with_the_real_usage(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=111, completion=22, reasoning=5)))
    said, usages = ask(client, model=model, stream=stream)
    assert (said.text, said.reason) == ("Good morning.", "stop")
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(111, 22)]


@STREAM
@pytest.mark.parametrize(
    ("model", "swap", "cost"),
    [
        ("adk/routed", "openai/gpt-4o", 1_000 * 2.5e-6 + 100 * 1e-5),
        ("adk/native", None, 1_000 * 3e-7 + 100 * 2.5e-6),
        ("adk/lite", None, None),
    ],
)
def test_an_answer_tells_its_cost_where_litellm_s_table_has_the_price(
    client: OpenAI, llm: ScriptedLLM, model: str, swap: str | None, cost: float | None, stream: bool
) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=1_000, completion=100)))
    metadata: dict[str, Any] = {"agentllm": {"model": swap}} if swap else {}
    _, (usage,) = ask(client, model=model, stream=stream, extra_body={"metadata": metadata})
    assert getattr(usage, "cost", None) == (None if cost is None else pytest.approx(cost))


@MODEL
def test_its_words_come_as_its_model_says_them(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("a b c d e f", token_delay=0.05))
    chunks = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}], stream=True)
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 2


@STREAM
@MODEL
def test_what_it_thinks_is_reasoning(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply("42", reasoning=("let me ", "think")))
    found: Any = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hi"}], stream=stream
    )
    if stream:
        deltas = [chunk.choices[0].delta for chunk in found if chunk.choices]
        assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "let me think"
        assert "".join(delta.content or "" for delta in deltas) == "42"
    else:
        assert found.choices[0].message.reasoning_content == "let me think"
        assert found.choices[0].message.content == "42"


@STREAM
@MODEL
def test_it_calls_its_tools_and_adds_up_the_tokens(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(
        Reply(tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Usage(prompt=10, completion=2)),
        Reply("It is 3.", usage=Usage(prompt=20, completion=3)),
    )
    said, usages = ask(client, model=model, stream=stream)
    assert (said.text, said.reason, said.calls) == ("It is 3.", "stop", [])
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(30, 5)]
    assert "3" in json.dumps(llm.requests()[-1].body)


@STREAM
@pytest.mark.parametrize("finish", ["length", "content_filter"])
@MODEL
def test_how_the_answer_ended_is_kept(client: OpenAI, llm: ScriptedLLM, model: str, finish: Any, stream: bool) -> None:
    llm.script(Reply("cut off", finish=finish))
    said, _ = ask(client, model=model, stream=stream)
    assert (said.text, said.reason) == ("cut off", finish)


@STREAM
@MODEL
def test_how_long_a_provider_asks_to_wait_is_passed_on(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply.failing(429, "slow down", retry_after=2), times=None)
    with pytest.raises(APIStatusError) as raised:
        ask(client, model=model, stream=stream)
    assert raised.value.response.headers["retry-after"] == "2"


@STREAM
@MODEL
def test_what_a_tool_returned_may_hold_halves_of_characters(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    here = session()
    llm.script(Reply.calling(ToolCall.of("list_files")), "There is one.", "It is café.txt.")
    assert ask(client, "Which files?", model=model, stream=stream, **here)[0].text == "There is one."
    assert ask(client, "What is it called?", model=model, stream=stream, **here)[0].text == "It is café.txt."


@STREAM
@pytest.mark.parametrize("status", [400, 401, 429, 503])
@MODEL
def test_a_model_s_error_keeps_its_status(
    client: OpenAI, llm: ScriptedLLM, model: str, status: int, stream: bool
) -> None:
    llm.script(Reply.failing(status), times=None)
    with pytest.raises(APIStatusError) as raised:
        ask(client, model=model, stream=stream)
    assert raised.value.status_code == status
    assert len(llm.requests()) == 1 or model == "adk/lite"  # whose client tries again by itself


@STREAM
@pytest.mark.parametrize(
    "reply", [Reply("one two", cut_after=0), Reply("one two", malformed=True)], ids=["cut", "malformed"]
)
@pytest.mark.parametrize("model", ["adk/routed", "adk/lite"])
def test_a_model_that_gives_no_answer_is_a_bad_gateway(
    client: OpenAI, llm: ScriptedLLM, model: str, reply: Reply, stream: bool
) -> None:
    llm.script(reply, times=None)
    with pytest.raises(APIError) as raised:
        ask(client, model=model, stream=stream)
    assert raised.value.code == "502"


@STREAM
def test_an_error_of_the_agent_tells_nothing_of_its_content(
    client: OpenAI, llm: ScriptedLLM, proxy: Proxy, stream: bool
) -> None:
    llm.script(Reply.calling(ToolCall.of("explode")))
    with pytest.raises(APIError) as raised:
        ask(client, "my secret question", stream=stream)
    assert "secret" not in str(raised.value)
    assert "secret" not in proxy.log


def test_parameters_reach_the_model(client: OpenAI, llm: ScriptedLLM) -> None:
    ask(client, temperature=0.25, top_p=0.5, max_tokens=99, seed=7, stop=["END"])
    body = llm.requests()[-1].body
    assert {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed", "stop")} == {
        "temperature": 0.25,
        "top_p": 0.5,
        "max_tokens": 99,
        "seed": 7,
        "stop": ["END"],
    }
    ask(client)
    assert "temperature" not in llm.requests()[-1].body


def test_parameters_reach_gemini(client: OpenAI, llm: ScriptedLLM) -> None:
    ask(client, model="adk/native", temperature=0.25, max_tokens=99, reasoning_effort="low")
    config = llm.requests()[-1].body["generationConfig"]
    assert (config["temperature"], config["maxOutputTokens"]) == (0.25, 99)
    assert config["thinkingConfig"] == {"thinking_budget": 1_024}


def test_a_parameter_that_its_model_cannot_take_is_refused_before_anything_runs(
    client: OpenAI, llm: ScriptedLLM
) -> None:
    with pytest.raises(APIStatusError) as raised:
        ask(client, model="adk/native", verbosity="low")
    assert raised.value.status_code == 400
    assert llm.requests() == []


def test_the_client_s_instructions_join_the_agent_s_own(client: OpenAI, llm: ScriptedLLM) -> None:
    ask(client, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}])
    system = asked(llm)[0][1]
    assert system.startswith("Be exact.")
    assert system.endswith("Be brief.")


@STREAM
@MODEL
def test_a_picture_reaches_the_model(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    url = {"url": f"data:image/png;base64,{pixel}"}
    ask(
        client,
        [{"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": url}]}],
        model=model,
        stream=stream,
    )
    assert pixel in json.dumps(llm.requests()[-1].body).replace("_", "/").replace("-", "+")


@STREAM
@MODEL
def test_an_answer_has_the_form_that_is_asked_for(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    llm.script(Reply('{"n": 1}'))
    said, _ = ask(client, model=model, stream=stream, response_format=form)
    assert json.loads(said.text) == {"n": 1}
    assert '"n"' in json.dumps(llm.requests()[-1].body).replace("\\", "")


# The client's own tools


@STREAM
@MODEL
def test_a_tool_of_the_client_is_called_by_the_client_and_the_run_goes_on(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply(tool_calls=(OSLO,)), "Rain in Oslo.")
    first, _ = ask(client, [QUESTION], model=model, stream=stream, tools=[WEATHER])
    assert (first.names, first.reason) == (["weather"], "tool_calls")
    assert len(llm.requests()) == 1
    said, _ = ask(client, first.answered(QUESTION, "rain"), model=model, stream=stream, tools=[WEATHER])
    assert (said.text, said.calls) == ("Rain in Oslo.", [])
    assert "rain" in json.dumps(llm.requests()[-1].body)


@STREAM
@MODEL
def test_a_tool_of_the_agent_that_is_called_with_it_runs_once(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply(tool_calls=(OSLO, ToolCall.of("add", a=40, b=2))), "done")
    more = session()
    first, _ = ask(client, [QUESTION], model=model, stream=stream, tools=[WEATHER], **more)
    assert first.names == ["weather"]
    assert len(llm.requests()) == 1
    said, _ = ask(client, first.answered(QUESTION, "rain"), model=model, stream=stream, tools=[WEATHER], **more)
    assert said.text == "done"
    body = json.dumps(llm.requests()[-1].body)
    assert "42" in body
    assert "rain" in body
    assert len(llm.requests()) == 2


def test_a_choice_of_tool_holds_for_the_first_call(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tool_calls=(ToolCall.of("add", a=1, b=2),)), "3")
    ask(client, tools=[WEATHER], tool_choice="required")
    assert [request.body.get("tool_choice") for request in llm.requests()] == ["required", None]


def test_a_tool_of_the_client_with_a_name_of_the_agent_s_is_refused(client: OpenAI, llm: ScriptedLLM) -> None:
    taken = {"type": "function", "function": {**WEATHER["function"], "name": "add"}}
    with pytest.raises(APIStatusError) as raised:
        ask(client, tools=[taken])
    assert raised.value.status_code == 400
    assert llm.requests() == []


# Conversations


@STREAM
@MODEL
def test_it_remembers_its_session_with_the_calls_that_the_client_does_not_see(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    more = session()
    llm.script(Reply(tool_calls=(ToolCall.of("add", a=20, b=22),)), "It is 42.", "As I said.")
    ask(client, "add them", model=model, stream=stream, **more)
    ask(client, "again?", model=model, stream=stream, **more)
    body = json.dumps(llm.requests()[-1].body)
    assert all(word in body for word in ("add them", "20", "42", "It is 42.", "again?"))


def test_an_edited_message_begins_a_branch_without_what_came_after(client: OpenAI, llm: ScriptedLLM) -> None:
    first, _ = ask(client, "my name is Ann")
    question = {"role": "user", "content": "my name is Ann"}
    ask(client, [question, first.message | {"tool_calls": None}, {"role": "user", "content": "who am I?"}])
    other = {"role": "user", "content": "my name is Bob"}
    ask(client, [other])
    ask(client, [question, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "and now?"}])
    told = [[text for role, text in conversation if role != "system"] for conversation in conversations(llm)]
    assert told[1] == ["my name is Ann", first.text, "who am I?"]
    assert told[2] == ["my name is Bob"]
    assert told[3] == ["my name is Ann", "Hello.", "and now?"]


def conversations(llm: ScriptedLLM) -> list[list[tuple[str, str]]]:
    """What the model was given, each time."""
    return [[(m["role"], m.get("content") or "") for m in request.body["messages"]] for request in llm.requests()]


def test_no_scope_of_its_state_leaves_the_conversation(client: OpenAI, llm: ScriptedLLM) -> None:
    calls = Reply(tool_calls=(ToolCall.of("count"),))
    mine, other = session(), session()
    for more in (mine, mine, other):
        llm.script(calls, "counted")
        ask(client, "count", **more)
    results = [text for role, text in (conversation[-1] for conversation in conversations(llm)) if role == "tool"]
    assert [json.loads(text)["result"] for text in results] == [
        "counts are [1, 1, 1]",
        "counts are [2, 2, 2]",
        "counts are [1, 1, 1]",
    ]


def test_a_sub_agent_that_took_over_goes_on_with_the_conversation(client: OpenAI, llm: ScriptedLLM) -> None:
    more = session()
    llm.script(Reply(tool_calls=(ToolCall.of("transfer_to_agent", agent_name="seller"),)), model="gpt-shop")
    llm.script(Reply(tool_calls=(ToolCall.of("price", thing="tea"),)), "Three.", "Still three.", model="gpt-seller")
    first, _ = ask(client, "what is tea?", model="adk/shop", stream=True, **more)
    second, _ = ask(client, "and now?", model="adk/shop", **more)
    assert (first.text, second.text) == ("Three.", "Still three.")
    assert [request.model for request in llm.requests()] == ["gpt-shop", "gpt-seller", "gpt-seller", "gpt-seller"]


# Stopping, and many at once


@MODEL
def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("and on it goes ", endless=True))
    with request(proxy, {"model": model, "stream": True}) as connection:
        seen = b""
        while b"and" not in seen:
            seen += connection.recv(4096)
    assert stopped_after(llm, time.monotonic()) < WITHIN


@STREAM
@MODEL
def test_leaving_before_the_first_token_stops_the_model_call(
    proxy: Proxy, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply("late", first_delay=20))
    with request(proxy, {"model": model, "stream": stream}):
        llm.wait_for(lambda seen: len(seen) == 1)
    assert stopped_after(llm, time.monotonic()) < WITHIN


@MODEL
async def test_parallel_sessions_do_not_mix(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    async with AsyncOpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=60) as client:

        async def talk(number: int) -> list[str]:
            headers = {"x-agentllm-session-id": uuid.uuid4().hex}
            said = []
            for text in (f"I am number-{number}.", "what did I say"):
                messages: Any = [{"role": "user", "content": text}]
                answer = await client.chat.completions.create(model=model, messages=messages, extra_headers=headers)
                said.append(answer.choices[0].message.content or "")
            return said

        answers = await asyncio.gather(*(talk(number) for number in range(PARALLEL)))
    for number, (first, second) in enumerate(answers):
        assert first == f"echo: I am number-{number}."
        assert second == f"you said: I am number-{number}. | what did I say"


# Hot-swap


@STREAM
@MODEL
def test_a_conversation_s_model_and_prompt_are_its_own(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    mine, other = session(), session()
    said, _ = ask(
        client, "[HOTSWAP:MODEL:openai/gpt-set]\n[HOTSWAP:PROMPT:Speak up.]", model=model, stream=stream, **mine
    )
    assert "openai/gpt-set" in said.text
    assert llm.requests() == []
    ask(client, "hello", model=model, stream=stream, **mine)
    ask(client, "hello", model=model, stream=stream, **other)
    first, second = llm.requests()
    assert (first.model, "Speak up." in json.dumps(first.body)) == ("gpt-set", True)
    assert second.model != "gpt-set"
    assert "Speak up." not in json.dumps(second.body)


def test_a_swapped_model_is_given_the_calls_of_the_one_before(client: OpenAI, llm: ScriptedLLM) -> None:
    more = session()
    llm.script(Reply(tool_calls=(ToolCall.of("add", a=20, b=22),)), "It is 42.")
    ask(client, "add them", model="adk/native", **more)
    ask(client, "[HOTSWAP:MODEL:openai/gpt-set]", model="adk/native", **more)
    llm.script(Reply(tool_calls=(ToolCall.of("add", a=1, b=1),)), "It is 2.")
    said, _ = ask(client, "and now?", model="adk/native", stream=True, **more)
    assert said.text == "It is 2."
    assert [request.model for request in llm.requests()] == ["gemini-2.5-flash"] * 2 + ["gpt-set"] * 2
    assert "42" in json.dumps(llm.requests()[-1].body)


def test_the_hot_swap_agent_sets_its_model_by_a_tool_from_the_next_call_on(client: OpenAI, llm: ScriptedLLM) -> None:
    more = session()
    call = Reply(tool_calls=(ToolCall.of("set_model", model="gpt-set", custom_llm_provider="openai"),))
    llm.script(call, "switched", "still here")
    ask(client, "use gpt-set", model="adk/hotswap-agent", **more)
    ask(client, "hello", model="adk/hotswap-agent", **more)
    assert [request.model for request in llm.requests()] == ["gpt-default", "gpt-set", "gpt-set"]
    said, _ = ask(client, "[HOTSWAP:GET_CONFIG]", model="adk/hotswap-agent", **more)
    assert "openai/gpt-set" in said.text


@MODEL
async def test_conversations_that_swap_all_the_time_do_not_mix(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    async with AsyncOpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=60) as client:

        async def talk(number: int) -> None:
            headers = {"x-agentllm-session-id": uuid.uuid4().hex}
            for turn in range(2):
                mine = f"{number}-{turn}"
                for text in (
                    f"[HOTSWAP:MODEL:openai/gpt-{mine}]\n[HOTSWAP:PROMPT:prompt-{mine}.]",
                    f"question-{mine}.",
                ):
                    messages: Any = [{"role": "user", "content": text}]
                    await client.chat.completions.create(model=model, messages=messages, extra_headers=headers)

        await asyncio.gather(*(talk(number) for number in range(PARALLEL)))
    assert len(llm.requests()) == PARALLEL * 2
    for conversation, asked_for in zip(conversations(llm), llm.requests(), strict=True):
        mine = (asked_for.model or "").removeprefix("gpt-")
        assert conversation[0][1].startswith(f"prompt-{mine}.")
        assert conversation[-1][1] == f"question-{mine}."
