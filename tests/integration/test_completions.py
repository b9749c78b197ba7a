"""Agents behind /v1/completions, OpenAI's older form of text, as its SDK sees them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI, OpenAI

from tests.integration.checks import asked, leave_stream
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, Usage

MODELS = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
STREAM = pytest.mark.parametrize("stream", [False, True])


def complete(
    client: OpenAI, prompt: str | list[str] = "hi", *, stream: bool = False, **more: Any
) -> tuple[str, Any, Any]:
    """The text, why it ended, and the usage."""
    body = {"model": "agno/echo", "prompt": prompt, **more}
    if not stream:
        answer = client.completions.create(**body)
        return answer.choices[0].text, answer.choices[0].finish_reason, answer.usage
    chunks = list(client.completions.create(**body, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].text or "" for chunk in chunks if chunk.choices)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    return text, reasons[-1], chunks[-1].usage


@MODELS
@STREAM
def test_an_answer_has_the_text_and_the_real_usage(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=111, completion=22)))
    text, reason, usage = complete(client, model=model, stream=stream)
    assert (text, reason) == ("Good morning.", "stop")
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (111, 22, 133)


@STREAM
async def test_the_async_client_gets_answers(aclient: AsyncOpenAI, llm: ScriptedLLM, stream: bool) -> None:
    answer: Any = await aclient.completions.create(model="agno/echo", prompt="hi", stream=stream)
    text = answer.choices[0].text if not stream else "".join([chunk.choices[0].text or "" async for chunk in answer])
    assert text == "echo: hi"


@STREAM
def test_an_answer_that_was_cut_says_so(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    text, reason, _ = complete(client, "one two three four", max_tokens=3, stream=stream)
    assert (text, reason) == ("echo: one two", "length")


@pytest.mark.parametrize("by", ["x-agentllm-session-id", "x-openwebui-chat-id", "metadata"])
@STREAM
def test_a_session_is_given_by_header_or_metadata(client: OpenAI, llm: ScriptedLLM, by: str, stream: bool) -> None:
    name = str(uuid.uuid4())
    where: dict[str, Any] = (
        {"extra_body": {"metadata": {"session_id": name}}} if by == "metadata" else {"extra_headers": {by: name}}
    )
    complete(client, "one", stream=stream, **where)
    complete(client, "two", stream=stream, **where)
    assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


@STREAM
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_provider_s_error_keeps_its_status_and_the_model_is_asked_once(
    client: OpenAI, llm: ScriptedLLM, stream: bool, status: int
) -> None:
    llm.script(Reply.failing(status, "the provider says no"), times=None)
    with pytest.raises(APIStatusError) as raised:
        complete(client, stream=stream)
    assert raised.value.status_code == status
    error = json.loads(raised.value.response.text)["error"]
    assert "the provider says no" in error["message"]
    assert "Traceback" not in raised.value.response.text
    assert len(llm.requests()) == 1


@MODELS
def test_an_error_after_the_first_text_ends_the_stream(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("one two three four", cut_after=2, token_delay=0.05))
    texts: list[str] = []
    with pytest.raises(APIError) as raised:
        texts.extend(
            chunk.choices[0].text or "" for chunk in client.completions.create(model=model, prompt="hi", stream=True)
        )
    assert "".join(texts).startswith("one two")
    assert "Traceback" not in str(raised.value.body)


@STREAM
def test_an_unknown_agent_is_404(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    with pytest.raises(APIStatusError) as raised:
        complete(client, model="agno/nobody", stream=stream)
    assert raised.value.status_code == 404


def test_a_wrong_key_is_401(proxy: Proxy) -> None:
    body = {"model": "agno/echo", "prompt": "hi"}
    headers = {"Authorization": "Bearer sk-wrong"}
    assert httpx.post(f"{proxy.base_url}/completions", json=body, headers=headers, timeout=30).status_code == 401


@STREAM
def test_a_list_of_one_text_is_that_prompt(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    assert complete(client, prompt=["hi"], stream=stream)[0] == "echo: hi"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("prompt", value) for value in (None, "", [], ["a", "b"], ["a", 1], [1, 2, 3], [[1, 2], [3]])),
        ("response_format", "x"),
        ("metadata", 5),
        ("metadata", "x"),
        ("stream", 1),
        ("tools", "x"),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("messages", None),
    ],
)
def test_what_no_agent_can_answer_is_a_bad_request_that_names_it(
    proxy: Proxy, llm: ScriptedLLM, name: str, value: Any, stream: bool
) -> None:
    body = {"model": "agno/echo", "prompt": "hi", "stream": stream, name: value}
    headers = {"Authorization": f"Bearer {proxy.key}"}
    answer = httpx.post(f"{proxy.base_url}/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 400
    assert name in answer.json()["error"]["message"]
    assert llm.requests() == []


def test_a_stream_tells_usage_only_where_it_is_asked_to(client: OpenAI, llm: ScriptedLLM) -> None:
    chunks = list(client.completions.create(model="agno/echo", prompt="hi", stream=True))
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)


def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM) -> None:
    leave_stream(proxy, llm, {"model": "agno/echo", "prompt": "hi"}, "/v1/completions")
