"""The parameters of OpenAI's API and of those beside it, through the running proxy."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM

HI: Any = [{"role": "user", "content": "hi"}]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def ask(client: OpenAI, *, model: str = "agno/echo", stream: bool = False, **parameters: Any) -> str:
    """The answer to a request with `parameters`."""
    answer: Any = client.chat.completions.create(model=model, messages=HI, stream=stream, **parameters)
    if stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    return answer.choices[0].message.content or ""


# What reaches the model


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("stop", ["END"], ("stop", ["END"])),
        ("stop", "END", ("stop", ["END"])),
        ("stop", ["1", "2", "3", "4"], ("stop", ["1", "2", "3", "4"])),
        ("seed", 5, ("seed", 5)),
        ("max_completion_tokens", 77, ("max_completion_tokens", 77)),
        ("max_tokens", 77, ("max_completion_tokens", 77)),
        ("reasoning_effort", "low", ("reasoning_effort", "low")),
        ("verbosity", "high", ("verbosity", "high")),
        ("service_tier", "flex", ("service_tier", "flex")),
    ],
)
def test_a_parameter_reaches_a_model_of_openai(
    client: OpenAI, llm: ScriptedLLM, name: str, value: Any, sent: tuple[str, object]
) -> None:
    assert ask(client, **{name: value}) == "echo: hi"
    assert llm.requests()[0].body[sent[0]] == sent[1]


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("stop", "END", ("stopSequences", ["END"])),
        ("seed", 5, ("seed", 5)),
        ("max_completion_tokens", 77, ("maxOutputTokens", 77)),
        ("reasoning_effort", "medium", ("thinkingConfig", {"thinking_level": "MEDIUM"})),
    ],
)
def test_a_parameter_reaches_a_model_of_google(
    client: OpenAI, llm: ScriptedLLM, name: str, value: Any, sent: tuple[str, object]
) -> None:
    assert ask(client, model="agno/gemini-echo", **{name: value}) == "echo: hi"
    assert llm.requests()[0].body["generationConfig"][sent[0]] == sent[1]


def test_effort_reaches_a_model_of_litellm(client: OpenAI, llm: ScriptedLLM) -> None:
    assert ask(client, model="agno/routed", reasoning_effort="low") == "echo: hi"
    assert llm.requests()[0].body["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("name", "value"), [("reasoning_effort", "low"), ("seed", 5), ("max_completion_tokens", 77), ("verbosity", "low")]
)
def test_a_workflow_has_no_one_model_to_take_a_parameter(
    client: OpenAI, llm: ScriptedLLM, name: str, value: Any
) -> None:
    with pytest.raises(openai.BadRequestError, match="max_tokens" if name == "max_completion_tokens" else name):
        ask(client, model="agno/flow", **{name: value})
    assert llm.requests() == []


# What is refused


@STREAM
@pytest.mark.parametrize("name", ["api_base", "base_url", "model_list"])
def test_what_would_send_the_proxy_elsewhere_is_refused_and_named(
    client: OpenAI, llm: ScriptedLLM, name: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match=name):
        ask(client, stream=stream, extra_body={name: "https://elsewhere.invalid"})
    assert llm.requests() == []


@STREAM
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("n", 0),
        ("logprobs", True),
        ("top_logprobs", 2),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("functions", [{"name": "f", "parameters": {}}]),
        ("function_call", {"name": "f"}),
        ("logit_bias", {"50256": -100}),
        ("modalities", ["text", "audio"]),
        ("moderation", {"model": "omni-moderation-latest"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("reasoning_effort", "much"),
        ("verbosity", "loud"),
        ("service_tier", "gold"),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("store", "false"),
        ("store", 0),
    ],
)
def test_what_no_agent_can_do_is_a_bad_request_that_names_it(
    client: OpenAI, llm: ScriptedLLM, name: str, value: Any, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match=name):
        ask(client, stream=stream, **{name: value})
    assert llm.requests() == []


@STREAM
@pytest.mark.parametrize("said", [{"content": "hi"}, {"role": None, "content": "hi"}, {"role": "", "content": "hi"}])
def test_a_message_of_nobody_is_a_bad_request_that_names_it(
    client: OpenAI, llm: ScriptedLLM, said: Any, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"messages\[1\]\.role"):
        client.chat.completions.create(model="agno/echo", messages=[*HI, said], stream=stream)
    assert llm.requests() == []


# What changes nothing for the model


@STREAM
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("metadata", {"purpose": "test"}),
        ("modalities", ["text"]),
        ("prompt_cache_key", "k"),
        ("prompt_cache_retention", "24h"),
        ("safety_identifier", "s"),
        ("service_tier", "auto"),
        ("store", False),
        ("store", True),
        ("user", "eve"),
    ],
)
def test_it_is_taken_and_the_model_is_told_nothing_of_it(
    client: OpenAI, llm: ScriptedLLM, name: str, value: Any, stream: bool
) -> None:
    assert ask(client, stream=stream, **{name: value}) == "echo: hi"
    assert name not in llm.requests()[0].body


def test_the_options_of_prompt_caches_change_nothing(client: OpenAI, llm: ScriptedLLM) -> None:
    assert ask(client, extra_body={"prompt_cache_options": {"mode": "implicit"}}) == "echo: hi"
    assert "prompt_cache_options" not in llm.requests()[0].body


def test_usage_is_streamed_where_it_is_asked_for(client: OpenAI, llm: ScriptedLLM) -> None:
    def usages(**options: Any) -> int:
        chunks: Any = client.chat.completions.create(model="agno/echo", messages=HI, stream=True, **options)
        return len([chunk for chunk in chunks if chunk.usage is not None])

    assert usages(stream_options={"include_usage": True}) == 1
    assert usages(stream_options={"include_usage": False}) == usages() == 0


def test_a_session_in_the_metadata_is_a_conversation(client: OpenAI, llm: ScriptedLLM) -> None:
    session = {"session_id": "a session of parameters"}
    ask(client, metadata=session)
    ask(client, metadata=session)
    assert [message["content"] for message in llm.requests()[1].body["messages"]] == ["hi", "echo: hi", "hi"]


# The other endpoints of the proxy


def test_the_responses_api_s_parameters_reach_the_model(client: OpenAI, llm: ScriptedLLM) -> None:
    answer = client.responses.create(
        model="agno/echo",
        input="hi",
        max_output_tokens=77,
        reasoning={"effort": "low", "summary": "auto"},
        temperature=0.25,
        top_p=0.5,
    )
    assert answer.output_text == "echo: hi"
    names = ("max_completion_tokens", "reasoning_effort", "temperature", "top_p")
    assert [llm.requests()[0].body[name] for name in names] == [77, "low", 0.25, 0.5]


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 2_048}, "medium"),
        ({"type": "disabled"}, "none"),
    ],
)
def test_the_messages_api_s_parameters_reach_the_model(
    proxy: Proxy, llm: ScriptedLLM, thinking: Any, effort: str
) -> None:
    with Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0, timeout=30) as claude:
        answer = claude.messages.create(
            model="agno/echo",
            max_tokens=4_096,
            messages=[{"role": "user", "content": "hi"}],
            stop_sequences=["END"],
            thinking=thinking,
            service_tier="standard_only",
            metadata={"user_id": "eve"},
            extra_body={"temperature": 0.25, "top_p": 0.5},  # the SDK knows them no more, its API does
        )
    assert [block.text for block in answer.content if block.type == "text"] == ["echo: hi"]
    body = llm.requests()[0].body
    names = ("max_completion_tokens", "reasoning_effort", "temperature", "top_p", "stop")
    assert [body[name] for name in names] == [4_096, effort, 0.25, 0.5, ["END"]]
    assert not {"user", "metadata", "service_tier"} & body.keys()
