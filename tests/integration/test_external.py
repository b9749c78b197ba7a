"""Agents of other frameworks through the running proxy: a LangGraph graph, and an object of Agno's agent protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, Usage

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@pytest.fixture(scope="module")
def client(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    agents = Path(__file__).parent / "external_agents"
    environment = {**llm_environment(running_llm), "AGENTLLM_AGENTS": str(agents)}
    with (
        Proxy(tmp_path_factory.mktemp("external"), environment) as proxy,
        OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as openai,
    ):
        yield openai


def ask(client: OpenAI, *said: str, stream: bool, model: str = "agno/graph", **more: Any) -> tuple[str, list[Any]]:
    """The text of an answer, and its usages; what is said goes back and forth between user and assistant."""
    roles = ("user", "assistant")
    messages: Any = [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]
    if not stream:
        answer = client.chat.completions.create(model=model, messages=messages, **more)
        return answer.choices[0].message.content or "", [answer.usage]
    chunks = list(
        client.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options={"include_usage": True}, **more
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return text, [chunk.usage for chunk in chunks if chunk.usage is not None]


def test_they_are_models_like_any_other(client: OpenAI) -> None:
    assert {"agno/graph", "agno/parrot"} <= {model.id for model in client.models.list()}


@STREAM
def test_a_graph_answers_with_the_real_usage(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=111, completion=22)))
    text, usages = ask(client, "hi", stream=stream)
    assert text == "Good morning."
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(111, 22)]


@STREAM
def test_a_graph_is_given_the_branch_that_the_client_shows(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    first, _ = ask(client, "my name is Ann", stream=stream)
    ask(client, "my name is Ann", first, "who am I?", stream=stream)
    ask(client, "my name is Bob", "Hello Bob.", "who am I?", stream=stream)
    asked = [[message["content"] for message in request.body["messages"]] for request in llm.requests()]
    assert asked[1] == ["my name is Ann", first, "who am I?"]
    assert asked[2] == ["my name is Bob", "Hello Bob.", "who am I?"]


def test_a_graph_s_words_come_as_its_model_says_them(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("a b c d e f", token_delay=0.05))
    chunks = client.chat.completions.create(
        model="agno/graph", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 2


@STREAM
@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_a_graph_s_model_error_keeps_its_status(client: OpenAI, llm: ScriptedLLM, status: int, stream: bool) -> None:
    llm.script(Reply.failing(status))
    with pytest.raises(APIStatusError) as raised:
        ask(client, "hi", stream=stream)
    assert raised.value.status_code == status
    assert len(llm.requests()) == 1


def test_a_client_that_leaves_stops_the_graph_s_model_call(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("again ", endless=True))
    with client.chat.completions.create(
        model="agno/graph", messages=[{"role": "user", "content": "hi"}], stream=True
    ) as chunks:
        next(iter(chunks))
    llm.wait_for(lambda requests: all(not request.open for request in requests), timeout=30)


@STREAM
def test_what_it_cannot_take_is_refused(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    with pytest.raises(APIStatusError) as raised:
        ask(client, "hi", stream=stream, temperature=0.5)
    assert raised.value.status_code == 400
    assert llm.requests() == []


@STREAM
def test_an_object_of_the_protocol_answers_and_its_usage_is_zero(client: OpenAI, stream: bool) -> None:
    text, usages = ask(client, "hello", stream=stream, model="agno/parrot")
    assert text == "hello!"
    assert [usage.total_tokens for usage in usages] == [0]
