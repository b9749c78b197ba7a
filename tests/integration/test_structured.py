"""Structured output through the running proxy, as the SDKs of OpenAI and Anthropic see it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

EVERY_WIRE = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


class City(BaseModel):
    """A city."""

    name: str
    size: int


SCHEMA = {**City.model_json_schema(), "additionalProperties": False}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
OBJECT: Any = {"type": "json_object"}
ULM = '{"name": "Ulm", "size": 126000}'
ASKED: Any = [{"role": "user", "content": "How big is Ulm?"}]


def said(client: OpenAI, model: str, response_format: Any, *, stream: bool, **more: Any) -> str:
    """The text of the answer."""
    if not stream:
        answer = client.chat.completions.create(model=model, messages=ASKED, response_format=response_format, **more)
        return answer.choices[0].message.content or ""
    return text_of(list(chunks_of(client, model, response_format, **more)))


def chunks_of(client: OpenAI, model: str, response_format: Any, **more: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=ASKED, response_format=response_format, stream=True, **more
    )


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@EVERY_WIRE
def test_a_plain_answer_is_parsed_into_a_model(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(ULM)
    answer = client.chat.completions.parse(model=model, messages=ASKED, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Ulm", size=126000)


@EVERY_WIRE
def test_a_streamed_answer_comes_token_by_token_and_is_parsed_into_a_model(
    client: OpenAI, llm: ScriptedLLM, model: str
) -> None:
    llm.script(Reply(tokens=('{"name":', ' "Ulm",', ' "size":', " 126000}"), token_delay=0.05))
    with client.chat.completions.stream(model=model, messages=ASKED, response_format=City) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert len(pieces) > 2
    assert final.choices[0].message.parsed == City(name="Ulm", size=126000)


@EVERY_WIRE
@STREAM
def test_any_object_may_be_asked_for(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script('{"anything": [1]}')
    assert json.loads(said(client, model, OBJECT, stream=stream)) == {"anything": [1]}


def test_the_schema_reaches_the_model_of_openai_and_of_google(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(ULM, times=2)
    for model in ("agno/echo", "agno/gemini-echo"):
        said(client, model, FORMAT, stream=False)
    of_openai, of_google = (request.body for request in llm.requests())
    assert of_openai["response_format"] == FORMAT
    assert of_google["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert of_google["generationConfig"]["responseMimeType"] == "application/json"


BROKEN = {
    "prose": "Ulm has 126000 inhabitants.",
    "half a value": '{"name": "Ulm", "size',
    "another schema's": '{"name": "Ulm"}',
    "a code fence": f"```json\n{ULM}\n```",
}


@EVERY_WIRE
@pytest.mark.parametrize("kind", BROKEN)
def test_a_plain_answer_that_is_not_in_the_form_is_a_bad_gateway_and_says_why(
    client: OpenAI, llm: ScriptedLLM, model: str, kind: str
) -> None:
    llm.script(BROKEN[kind])
    with pytest.raises(openai.InternalServerError) as raised:
        said(client, model, FORMAT, stream=False)
    assert raised.value.status_code == 502
    assert "response_format" in raised.value.message
    assert "126000" not in raised.value.message
    assert len(llm.requests()) == 1


@EVERY_WIRE
@pytest.mark.parametrize("kind", BROKEN)
def test_a_streamed_answer_that_is_not_in_the_form_ends_in_an_error(
    client: OpenAI, llm: ScriptedLLM, model: str, kind: str
) -> None:
    llm.script(BROKEN[kind])
    seen: list[ChatCompletionChunk] = []

    def listen() -> None:
        for chunk in chunks_of(client, model, FORMAT):
            seen.append(chunk)  # noqa: PERF402 - a list would lose what came before the error

    with pytest.raises(openai.APIError, match="response_format"):
        listen()
    assert text_of(seen) == (BROKEN[kind] if BROKEN[kind].startswith("{") else "")
    assert len(llm.requests()) == 1


def test_what_was_streamed_before_the_error_is_the_json_and_no_prose(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply(tokens=('{"name": "Ulm",', ' "size": "big"}'), token_delay=0.1))
    seen: list[ChatCompletionChunk] = []

    def listen() -> None:
        for chunk in chunks_of(client, "agno/echo", FORMAT):
            seen.append(chunk)  # noqa: PERF402 - a list would lose what came before the error

    with pytest.raises(openai.APIError, match=r"\$\.size"):
        listen()
    assert text_of(seen) == '{"name": "Ulm", "size": "big"}'


def test_an_answer_that_was_cut_is_told_as_cut(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply('{"name": "Ul', finish="length"))
    answer = client.chat.completions.create(model="agno/echo", messages=ASKED, response_format=FORMAT)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == '{"name": "Ul'


@pytest.mark.parametrize("model", ["agno/tooled", "agno/gemini-tooled"])
@STREAM
def test_an_agent_with_tools_uses_them_and_then_answers_in_the_form(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply("Adding.", tool_calls=(ToolCall.of("add", a=1, b=2),)), ULM)
    assert json.loads(said(client, model, FORMAT, stream=stream)) == {"name": "Ulm", "size": 126000}
    assert len(llm.requests()) == 2


@STREAM
def test_a_team_s_leader_answers_in_the_form(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(ULM)
    assert said(client, "agno/team", FORMAT, stream=stream) == ULM


def test_a_workflow_says_that_it_has_no_form(client: OpenAI, llm: ScriptedLLM) -> None:
    with pytest.raises(openai.BadRequestError, match="response_format"):
        said(client, "agno/flow", FORMAT, stream=False)
    assert llm.requests() == []


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "text"}}},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "http://elsewhere.invalid/s.json"}}},
    ],
)
@STREAM
def test_a_form_that_is_none_is_a_bad_request(
    client: OpenAI, llm: ScriptedLLM, response_format: Any, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match="response_format"):
        said(client, "agno/echo", response_format, stream=stream)
    assert llm.requests() == []


def test_a_refused_answer_is_no_part_of_the_conversation(client: OpenAI, llm: ScriptedLLM) -> None:
    session = {"x-agentllm-session-id": "refused answers"}
    llm.script(Reply(tokens=('{"name": "Ulm",', ' "size": "huge"}')), ULM)
    with pytest.raises(openai.APIError):
        list(chunks_of(client, "agno/echo", FORMAT, extra_headers=session))
    assert said(client, "agno/echo", FORMAT, stream=False, extra_headers=session) == ULM
    assert "huge" not in json.dumps(llm.requests()[-1].body["messages"])


# The other endpoints of the proxy


def test_the_responses_api_has_text_format(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(ULM, times=2)
    answer = client.responses.parse(model="agno/echo", input="How big is Ulm?", text_format=City)
    assert answer.output_parsed == City(name="Ulm", size=126000)
    plain: Any = {"format": {"type": "json_object"}}
    assert client.responses.create(model="agno/echo", input="?", text=plain).output_text == ULM
    assert [request.body["response_format"]["type"] for request in llm.requests()] == ["json_schema", "json_object"]


def test_the_messages_api_has_output_config(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(ULM)
    with Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0, timeout=30) as claude:
        answer = claude.messages.create(
            model="agno/echo",
            max_tokens=77,
            messages=[{"role": "user", "content": "How big is Ulm?"}],
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        )
    assert answer.content[0].type == "text"
    assert json.loads(answer.content[0].text) == {"name": "Ulm", "size": 126000}
    assert llm.requests()[0].body["response_format"]["json_schema"]["schema"] == SCHEMA
