"""Answers through the running proxy, as the OpenAI SDK sees them."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

OPENAI_AND_GEMINI = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def streamed(client: OpenAI, model: str, content: str, **more: Any) -> list[ChatCompletionChunk]:
    """All chunks of a streamed answer."""
    return list(
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": content}],
            stream=True,
            stream_options={"include_usage": True},
            **more,
        )
    )


@OPENAI_AND_GEMINI
def test_a_plain_answer_has_the_text_and_the_real_usage(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=111, completion=22)))
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "Good morning."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == model
    assert answer.id.startswith("chatcmpl-")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (111, 22, 133)


@OPENAI_AND_GEMINI
def test_a_streamed_answer_has_the_text_one_id_and_the_real_usage(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("a b c d e f", usage=Usage(prompt=111, completion=22), token_delay=0.03))
    chunks = streamed(client, model, "hi")
    assert text_of(chunks) == "a b c d e f"
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 2
    assert len({chunk.id for chunk in chunks}) == 1
    assert len({chunk.created for chunk in chunks}) == 1
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert finishes == ["stop"]
    usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(111, 22)]


async def test_the_async_client_gets_plain_and_streamed_answers(aclient: AsyncOpenAI, llm: ScriptedLLM) -> None:
    answer = await aclient.chat.completions.create(model="agno/echo", messages=[{"role": "user", "content": "hi"}])
    stream = await aclient.chat.completions.create(
        model="agno/echo", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert answer.choices[0].message.content == text_of(chunks) == "echo: hi"


def test_reasoning_goes_out_as_reasoning_under_the_same_id(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("42", reasoning=("Let me ", "think.")), times=2)
    chunks = streamed(client, "agno/echo", "hi")
    reasoning = [getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks if chunk.choices]
    assert "".join(reasoning) == "Let me think."
    assert text_of(chunks) == "42"
    assert len({chunk.id for chunk in chunks}) == 1
    plain = client.chat.completions.create(model="agno/echo", messages=[{"role": "user", "content": "hi"}])
    assert getattr(plain.choices[0].message, "reasoning_content", None) == "Let me think."


@OPENAI_AND_GEMINI
@pytest.mark.parametrize(("finish", "expected"), [("length", "length"), ("content_filter", "content_filter")])
def test_the_models_finish_reason_is_kept(
    client: OpenAI,
    llm: ScriptedLLM,
    model: str,
    finish: Literal["length", "content_filter"],
    expected: str,
) -> None:
    llm.script(Reply("cut off he", finish=finish), times=2)
    plain = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert plain.choices[0].finish_reason == expected
    chunks = streamed(client, model, "hi")
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == [expected]


@OPENAI_AND_GEMINI
def test_an_answer_cut_by_max_tokens_ends_with_length(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    question = "one two three four five six"
    plain = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], max_tokens=3)
    assert plain.choices[0].message.content == "echo: one two"
    assert plain.choices[0].finish_reason == "length"
    chunks = streamed(client, model, question, max_completion_tokens=3)
    assert text_of(chunks) == "echo: one two"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["length"]


def test_sampling_parameters_reach_a_model_of_openai(client: OpenAI, llm: ScriptedLLM) -> None:
    client.chat.completions.create(
        model="agno/echo",
        messages=[{"role": "user", "content": "hi"}],
        temperature=0.25,
        top_p=0.5,
        max_tokens=77,
        stop=["END"],
        seed=5,
        presence_penalty=0.75,
        frequency_penalty=-0.5,
    )
    body = llm.requests()[0].body
    assert body["max_completion_tokens"] == 77
    wanted = {
        "temperature": 0.25,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 5,
        "presence_penalty": 0.75,
        "frequency_penalty": -0.5,
    }
    assert {name: body.get(name) for name in wanted} == wanted


def test_sampling_parameters_reach_a_model_of_gemini(client: OpenAI, llm: ScriptedLLM) -> None:
    client.chat.completions.create(
        model="agno/gemini-echo",
        messages=[{"role": "user", "content": "hi"}],
        temperature=0.25,
        max_tokens=77,
        stop="END",
        seed=5,
    )
    config = llm.requests()[0].body["generationConfig"]
    assert (config["temperature"], config["maxOutputTokens"], config["stopSequences"], config["seed"]) == (
        0.25,
        77,
        ["END"],
        5,
    )


def test_one_request_s_parameters_do_not_stay_for_the_next(client: OpenAI, llm: ScriptedLLM) -> None:
    client.chat.completions.create(model="agno/echo", messages=[{"role": "user", "content": "hi"}], temperature=0.25)
    client.chat.completions.create(model="agno/echo", messages=[{"role": "user", "content": "hi"}])
    assert "temperature" not in llm.requests()[1].body


@pytest.mark.parametrize("model", ["agno/tooled", "agno/gemini-tooled"])
@pytest.mark.parametrize("stream", [False, True])
def test_tools_run_and_usage_is_the_sum_of_all_model_calls(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(
        Reply("Adding.", tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Usage(prompt=10, completion=3)),
        Reply("It is 3.", usage=Usage(prompt=20, completion=4)),
    )
    if stream:
        chunks = streamed(client, model, "1 + 2?")
        text, usage = text_of(chunks), chunks[-1].usage
        assert not any(chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices)
    else:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "1 + 2?"}])
        text, usage = answer.choices[0].message.content or "", answer.usage
        assert answer.choices[0].message.tool_calls is None
    assert text == "Adding.\n\nIt is 3."
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (30, 7)
    assert "3" in json.dumps(llm.requests()[1].body)


@pytest.mark.parametrize("stream", [False, True])
def test_a_team_answers_with_its_leader_s_text_and_the_usage_of_all(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    delegate = ToolCall.of("delegate_task_to_member", member_id="member", task="say it")
    llm.script(
        Reply(tool_calls=(delegate,), usage=Usage(prompt=10, completion=1)),
        Reply("The team says hello.", usage=Usage(prompt=20, completion=2)),
        model="gpt-leader",
    )
    llm.script(Reply("member's words", usage=Usage(prompt=100, completion=30)), model="gpt-member")
    if stream:
        chunks = streamed(client, "agno/team", "hello")
        text, usage = text_of(chunks), chunks[-1].usage
    else:
        answer = client.chat.completions.create(model="agno/team", messages=[{"role": "user", "content": "hello"}])
        text, usage = answer.choices[0].message.content or "", answer.usage
    assert text == "The team says hello."
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (130, 33)


@pytest.mark.parametrize("stream", [False, True])
def test_a_workflow_answers_with_its_last_step(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("draft", usage=Usage(prompt=10, completion=1)), model="gpt-first")
    llm.script(Reply("final", usage=Usage(prompt=20, completion=2)), model="gpt-second")
    if stream:
        chunks = streamed(client, "agno/flow", "write")
        text, usage = text_of(chunks), chunks[-1].usage
    else:
        answer = client.chat.completions.create(model="agno/flow", messages=[{"role": "user", "content": "write"}])
        text, usage = answer.choices[0].message.content or "", answer.usage
    assert text == "final"
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (30, 3)


@pytest.mark.parametrize("stream", [False, True])
def test_a_workflow_s_answer_cut_by_the_limit_of_tokens_says_so(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("cut of", finish="length"), model="gpt-second")
    if stream:
        chunks = streamed(client, "agno/flow", "write")
        assert {chunk.choices[0].finish_reason for chunk in chunks if chunk.choices} == {None, "length"}
    else:
        answer = client.chat.completions.create(model="agno/flow", messages=[{"role": "user", "content": "write"}])
        assert answer.choices[0].finish_reason == "length"


def test_text_in_parts_is_read(client: OpenAI, llm: ScriptedLLM) -> None:
    answer = client.chat.completions.create(
        model="agno/echo",
        messages=[{"role": "user", "content": [{"type": "text", "text": "in"}, {"type": "text", "text": "parts"}]}],
    )
    assert answer.choices[0].message.content == "echo: in\nparts"


def test_a_client_s_system_message_joins_the_agent_s_own(client: OpenAI, llm: ScriptedLLM) -> None:
    for model in ("agno/echo", "agno/gemini-echo"):
        client.chat.completions.create(
            model=model,
            messages=[{"role": "system", "content": "Speak Latin."}, {"role": "user", "content": "hi"}],
        )
    assert all("Speak Latin." in json.dumps(request.body) for request in llm.requests())


def test_a_repetitive_answer_is_sent_whole(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tokens=("spam ",) * 150, token_delay=0.021))
    assert text_of(streamed(client, "agno/echo", "sing")) == "spam " * 150
