"""ADK's way to any model of LiteLLM: what is sent, what comes back, and how it fails and stops."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import litellm
import pytest
from google.adk.models import FallbackModel
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from google.genai.errors import APIError, ClientError, ServerError

from agentllm.hotswap.in_force import IN_FORCE
from agentllm.llm.router import CALLER_METADATA
from agentllm.runtimes.adk import RoutedLlm
from tests.runtimes.adk.spoken import swapped
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])

pytestmark = [
    pytest.mark.usefixtures("provider"),
    pytest.mark.filterwarnings(r"ignore:\[EXPERIMENTAL\]"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]


def asking(*parts: types.Part, **config: Any) -> LlmRequest:
    content = types.Content(role="user", parts=list(parts) or [types.Part(text="hi")])
    return LlmRequest(contents=[content], config=types.GenerateContentConfig(**config))


async def answers(request: LlmRequest, *, stream: bool = False, model: str = "openai/gpt-x") -> list[LlmResponse]:
    async with aclosing(RoutedLlm(model=model).generate_content_async(request, stream)) as responses:
        return [response async for response in responses]


@STREAM
async def test_an_answer_has_its_end_and_its_tokens(llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("a b", finish="length", usage=Usage(prompt=11, completion=2)))
    *partial, last = await answers(asking(), stream=stream)
    assert last.content is not None
    assert [part.text for part in last.content.parts or ()] == ["a b"]
    assert last.finish_reason == types.FinishReason.MAX_TOKENS
    assert last.usage_metadata is not None
    assert last.usage_metadata.total_token_count == 13
    assert all(response.partial for response in partial)
    assert len(partial) == (2 if stream else 0)


@STREAM
@pytest.mark.parametrize(
    ("status", "kind"), [(400, ClientError), (401, ClientError), (429, ClientError), (503, ServerError)]
)
async def test_an_error_is_google_s_with_the_provider_s_status_and_words(
    llm: ScriptedLLM, status: int, kind: type[APIError], stream: bool
) -> None:
    llm.script(Reply.failing(status, "the provider's words"))
    with pytest.raises(kind) as raised:
        await answers(asking(), stream=stream)
    assert raised.value.code == status
    assert "the provider's words" in str(raised.value.message)
    assert "litellm" not in str(raised.value.message).lower()


@STREAM
async def test_adk_s_own_fallback_works_by_it(llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.failing(503), model="gpt-first")
    llm.script("from the second", model="gpt-second")
    models: list[Any] = [RoutedLlm(model="openai/gpt-first"), RoutedLlm(model="openai/gpt-second")]
    async with aclosing(FallbackModel(models=models).generate_content_async(asking(), stream)) as responses:
        last = [response async for response in responses][-1]
    assert last.content is not None
    assert (last.content.parts or [])[0].text == "from the second"


async def test_what_is_in_force_comes_before_the_request_s_model_and_that_before_its_own(llm: ScriptedLLM) -> None:
    await answers(asking())
    request = asking()
    request.model = "openai/gpt-asked"
    await answers(request)
    IN_FORCE.set(swapped("openai/gpt-set"))
    request = asking()
    request.model = "openai/gpt-asked"
    await answers(request)
    assert request.model == "openai/gpt-set"
    assert [request.model for request in llm.requests()] == ["gpt-x", "gpt-asked", "gpt-set"]


@pytest.mark.parametrize(
    ("mode", "names", "sent"),
    [
        ("ANY", None, "required"),
        ("ANY", ["add"], {"type": "function", "function": {"name": "add"}}),
        ("NONE", None, "none"),
        ("AUTO", None, None),
    ],
)
async def test_the_choice_of_a_tool_reaches_the_model(
    llm: ScriptedLLM, mode: Any, names: list[str] | None, sent: object
) -> None:
    declared = types.Tool(function_declarations=[types.FunctionDeclaration(name="add", description="Add.")])
    calling = types.FunctionCallingConfig(mode=mode, allowed_function_names=names)
    await answers(asking(tools=[declared], tool_config=types.ToolConfig(function_calling_config=calling)))
    assert llm.requests()[-1].body.get("tool_choice") == sent


async def test_calls_without_ids_and_their_results_get_ids_in_pairs(llm: ScriptedLLM) -> None:
    calls = [types.Part(function_call=types.FunctionCall(name=name, args={})) for name in ("a", "b", "a")]
    results = [
        types.Part(function_response=types.FunctionResponse(name=name, response={"n": n}))
        for n, name in enumerate(("a", "b", "a"))
    ]
    request = asking()
    request.contents += [types.Content(role="model", parts=calls), types.Content(role="user", parts=results)]
    await answers(request)
    messages = llm.requests()[-1].body["messages"]
    ids = [call["id"] for call in messages[1]["tool_calls"]]
    assert len(set(ids)) == 3
    told = {m["tool_call_id"]: json.loads(m["content"])["n"] for m in messages if m["role"] == "tool"}
    assert told == {ids[0]: 0, ids[1]: 1, ids[2]: 2}


async def test_a_document_goes_with_the_request_and_not_to_a_store_of_files(llm: ScriptedLLM) -> None:
    blob = types.Blob(mime_type="application/pdf", data=b"%PDF-1.4")
    await answers(asking(types.Part(text="read"), types.Part(inline_data=blob)))
    [request] = llm.requests()
    assert "JVBERi0xLjQ=" in json.dumps(request.body)
    assert request.model == "gpt-x"


async def test_nothing_internal_is_sent_and_the_caller_s_metadata_stays_here(llm: ScriptedLLM) -> None:
    CALLER_METADATA.set({"user_api_key": "hash"})
    await answers(asking())
    assert llm.requests()[-1].body.keys() == {"model", "messages"}


async def test_closing_ends_the_call(llm: ScriptedLLM) -> None:
    llm.script(Reply("on ", endless=True))
    responses = RoutedLlm(model="openai/gpt-x").generate_content_async(asking(), True)
    await anext(responses)
    await responses.aclose()
    await llm.wait_for_async(lambda seen: not seen[0].open, timeout=30)


async def test_litellm_is_left_as_it_was() -> None:
    assert litellm.add_function_to_prompt is False


@STREAM
async def test_the_offline_model_answers_without_a_network(stream: bool) -> None:
    *_, last = await answers(asking(), stream=stream, model="offline")
    assert last.content is not None
    assert "Offline model" in str((last.content.parts or [])[0].text)
    declared = types.FunctionDeclaration(name="add", description="Add numbers.")
    tools = [types.Tool(function_declarations=[declared])]
    *_, last = await answers(asking(types.Part(text="call add"), tools=tools), stream=stream, model="offline")
    assert [call.name for call in last.get_function_calls()] == ["add"]
    assert last.usage_metadata is not None
    assert (last.usage_metadata.total_token_count or 0) > 0


@STREAM
async def test_calls_of_tools_come_whole(llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply(tool_calls=(ToolCall("add", '{"a": 1}', "call-1"), ToolCall("add", '{"a": 2}', "call-2"))))
    *_, last = await answers(asking(), stream=stream)
    assert [(call.id, call.args) for call in last.get_function_calls()] == [("call-1", {"a": 1}), ("call-2", {"a": 2})]
