"""The scripted model speaks to the real SDKs as the real APIs do."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage, split_tokens

ADD_PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
ADD: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "add", "parameters": cast("Any", ADD_PARAMETERS)},
}
GEMINI_ADD = genai_types.Tool(
    function_declarations=[genai_types.FunctionDeclaration(name="add", parameters_json_schema=ADD_PARAMETERS)]
)
CALLS = (ToolCall.of("add", a=1, b=2), ToolCall.of("add", a=30, b=40))


@pytest.fixture
async def client(llm: ScriptedLLM) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=llm.openai_base, api_key="k", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def gemini(llm: ScriptedLLM) -> AsyncIterator[genai.client.AsyncClient]:
    client = genai.Client(api_key="k", http_options=genai_types.HttpOptions(base_url=llm.gemini_base, timeout=30_000))
    yield client.aio
    await client.aio.aclose()
    client.close()


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


async def ask(client: AsyncOpenAI, text: str, model: str = "m", **more: Any) -> str | None:
    answer = await client.chat.completions.create(model=model, messages=user(text), **more)
    return cast("str | None", answer.choices[0].message.content)


async def stream_text(client: AsyncOpenAI, text: str, model: str = "m", **more: Any) -> str:
    stream = await client.chat.completions.create(model=model, messages=user(text), stream=True, **more)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


class TestDefaults:
    async def test_a_plain_answer_echoes_the_question(self, client: AsyncOpenAI) -> None:
        assert await ask(client, "good morning") == "echo: good morning"

    async def test_a_stream_says_the_same_as_the_plain_answer(self, client: AsyncOpenAI) -> None:
        assert await stream_text(client, "good  morning\nall") == "echo: good  morning\nall"

    async def test_it_recalls_every_user_message_of_the_request(self, client: AsyncOpenAI) -> None:
        messages: list[ChatCompletionMessageParam] = [
            {"role": "user", "content": "I am Ada"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "What did I say?"},
        ]
        answer = await client.chat.completions.create(model="m", messages=messages)
        assert answer.choices[0].message.content == "you said: I am Ada | What did I say?"

    @pytest.mark.parametrize("model", ["tokens-200", "openai/tokens-200", "live-200-5000"])
    async def test_a_model_id_can_ask_for_tokens(self, client: AsyncOpenAI, model: str) -> None:
        expected = " ".join(f"w{i}" for i in range(200))
        assert await ask(client, "go", model) == expected
        assert await stream_text(client, "go", model) == expected

    async def test_a_live_model_keeps_its_pace(self, client: AsyncOpenAI) -> None:
        start = time.monotonic()
        await stream_text(client, "go", "live-11-50")
        assert time.monotonic() - start > 0.19

    async def test_max_tokens_cuts_the_answer(self, client: AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(model="tokens-20", messages=user("go"), max_tokens=3)
        assert answer.choices[0].message.content == "w0 w1 w2"
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 3

    async def test_stop_ends_the_answer_before_the_word(self, client: AsyncOpenAI) -> None:
        assert await ask(client, "one two three", stop=[" two"]) == "echo: one"

    async def test_a_directive_calls_a_tool_and_its_result_is_told(self, client: AsyncOpenAI) -> None:
        messages = user('!call add {"a": 1, "b": 2}')
        answer = await client.chat.completions.create(model="m", messages=messages, tools=[ADD])
        message = answer.choices[0].message
        assert message.tool_calls is not None
        messages.append(cast("ChatCompletionMessageParam", message.model_dump(exclude_none=True)))
        messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "3"})
        answer = await client.chat.completions.create(model="m", messages=messages, tools=[ADD])
        assert answer.choices[0].message.content == "results: 3"

    async def test_directives_change_the_answer(self, client: AsyncOpenAI) -> None:
        assert await ask(client, "!tokens 2") == "w0 w1"
        assert await ask(client, "!empty") == ""
        assert json.loads(await ask(client, "!history") or "") == [["user", "!history"]]
        with pytest.raises(openai.RateLimitError):
            await ask(client, "please\n!error 429 7")


class TestOpenAI:
    async def test_usage_comes_last_and_only_when_asked_for(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        reply = Reply("hi there", usage=Usage(prompt=11, completion=7, reasoning=3, cached=5))
        llm.script(reply, reply)
        stream = await client.chat.completions.create(
            model="m", messages=user("x"), stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        usage = chunks[-1].usage
        assert chunks[-1].choices == []
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 7, 18)
        assert usage.completion_tokens_details is not None
        assert usage.completion_tokens_details.reasoning_tokens == 3
        assert usage.prompt_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == 5
        assert len({chunk.id for chunk in chunks}) == 1
        stream = await client.chat.completions.create(model="m", messages=user("x"), stream=True)
        assert all(chunk.usage is None and chunk.choices for chunk in [c async for c in stream])

    async def test_parallel_tool_calls_stream_as_id_and_name_then_arguments(
        self, llm: ScriptedLLM, client: AsyncOpenAI
    ) -> None:
        llm.script(Reply.calling(*CALLS))
        stream = await client.chat.completions.create(model="m", messages=user("x"), tools=[ADD], stream=True)
        arguments = {0: "", 1: ""}
        opened: list[tuple[int, str | None, str | None]] = []
        finish = None
        async for chunk in stream:
            finish = chunk.choices[0].finish_reason or finish
            for call in chunk.choices[0].delta.tool_calls or ():
                assert call.function is not None
                if call.id:
                    opened.append((call.index, call.function.name, call.function.arguments))
                arguments[call.index] += call.function.arguments or ""
        assert opened == [(0, "add", ""), (1, "add", "")]
        assert [json.loads(arguments[i]) for i in (0, 1)] == [{"a": 1, "b": 2}, {"a": 30, "b": 40}]
        assert finish == "tool_calls"

    async def test_reasoning_comes_before_the_text(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        llm.script(Reply("yes", reasoning=("let ", "me see")))
        stream = await client.chat.completions.create(model="m", messages=user("x"), stream=True)
        deltas = [chunk.choices[0].delta.model_dump() async for chunk in stream]
        assert [d["reasoning_content"] for d in deltas if d.get("reasoning_content")] == ["let ", "me see"]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (429, openai.RateLimitError),
            (500, openai.InternalServerError),
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_error_status_is_that_of_the_api(
        self, llm: ScriptedLLM, client: AsyncOpenAI, status: int, error: type[openai.APIStatusError], stream: bool
    ) -> None:
        llm.script(Reply.failing(status, "no luck", retry_after=9))
        with pytest.raises(error) as caught:
            await client.chat.completions.create(model="m", messages=user("x"), stream=cast("Any", stream))
        assert caught.value.response.headers["retry-after"] == "9"
        assert caught.value.body == caught.value.response.json()["error"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_connection_cut_before_the_answer_is_a_connection_error(
        self, llm: ScriptedLLM, client: AsyncOpenAI, stream: bool
    ) -> None:
        llm.script(Reply("a b c", cut_after=0))
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="m", messages=user("x"), stream=cast("Any", stream))

    async def test_a_connection_cut_in_the_stream_comes_after_the_tokens(
        self, llm: ScriptedLLM, client: AsyncOpenAI
    ) -> None:
        llm.script(Reply("a b c d", cut_after=2))
        stream = await client.chat.completions.create(model="m", messages=user("x"), stream=True)
        got: list[str] = []

        async def read() -> None:
            async for chunk in stream:
                got.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 — kept when it raises

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        assert "".join(got) == "a b"

    async def test_broken_json_reaches_the_client(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        llm.script(Reply("a b", malformed=True), times=2)
        with pytest.raises((json.JSONDecodeError, openai.APIResponseValidationError)):
            await ask(client, "x")
        with pytest.raises(json.JSONDecodeError):
            await stream_text(client, "x")

    async def test_an_empty_stream_has_only_a_finish(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        llm.script(Reply(), times=2)
        assert await ask(client, "x") == ""
        assert await stream_text(client, "x") == ""

    async def test_models_are_listed(self, client: AsyncOpenAI) -> None:
        assert "tokens-200" in [model.id async for model in client.models.list()]

    async def test_an_unknown_route_is_404_with_json(self, llm: ScriptedLLM) -> None:
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{llm.url}/v1/nothing")
        assert answer.status_code == 404
        assert "error" in answer.json()

    @pytest.mark.parametrize(
        "body",
        [
            {"model": "m"},
            {"model": "m", "messages": []},
            {"messages": [{"role": "user", "content": "x"}]},
            {"model": "m", "messages": [{"role": "robot", "content": "x"}]},
            {"model": "m", "messages": [{"role": "user", "content": None}]},
            {"model": "m", "messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
            {"model": "m", "messages": user("x"), "chat_id": "leaked"},
            {"model": "m", "messages": user("x"), "tools": []},
            {
                "model": "m",
                "messages": user("x"),
                "tools": [{"type": "function", "function": {"name": "a", "external_execution": True}}],
            },
            {
                "model": "m",
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}}],
                    },
                    {"role": "user", "content": "x"},
                ],
            },
        ],
    )
    async def test_what_the_real_api_refuses_is_refused(self, llm: ScriptedLLM, body: dict[str, Any]) -> None:
        async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as http:
            answer = await http.post(f"{llm.openai_base}/chat/completions", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"

    async def test_a_missing_key_is_401(self, llm: ScriptedLLM) -> None:
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{llm.openai_base}/chat/completions", json={"model": "m", "messages": user("x")})
        assert answer.status_code == 401


class TestScript:
    async def test_replies_are_given_in_order_then_the_default(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        llm.script("one", "two")
        assert [await ask(client, "x") for _ in range(3)] == ["one", "two", "echo: x"]
        assert llm.waiting() == 0

    async def test_replies_wait_for_their_model_or_words(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        llm.script("for b", model="b")
        llm.script("about cats", contains="cat", times=None)
        assert await ask(client, "a dog", "a") == "echo: a dog"
        assert await ask(client, "a cat", "a") == "about cats"
        assert await ask(client, "x", "b") == "for b"
        assert await ask(client, "cats", "b") == "about cats"

    async def test_requests_are_captured(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        await client.chat.completions.create(model="m", messages=user("x"), extra_headers={"X-Mine": "1"})
        (request,) = llm.requests()
        assert request.path == "/v1/chat/completions"
        assert request.headers["x-mine"] == "1"
        assert request.body["messages"] == user("x")
        assert request.finished_at is not None
        assert request.started_at <= request.finished_at <= time.monotonic()

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_client_that_leaves_is_noticed_at_once(
        self, llm: ScriptedLLM, client: AsyncOpenAI, stream: bool
    ) -> None:
        llm.script(Reply("on and on", endless=True))
        task = asyncio.create_task(stream_text(client, "x") if stream else _plain(client))
        await llm.wait_for_async(lambda requests: any(request.open for request in requests))
        assert llm.open == 1
        left = time.monotonic()
        task.cancel()
        (request,) = await llm.wait_for_async(lambda requests: not any(request.open for request in requests))
        assert request.disconnected_at is not None
        assert request.disconnected_at - left < 0.2

    async def test_a_reset_ends_what_is_being_said(self, llm: ScriptedLLM, client: AsyncOpenAI) -> None:
        llm.script(Reply("on", endless=True))
        task = asyncio.create_task(stream_text(client, "x"))
        await llm.wait_for_async(lambda requests: len(requests) == 1)
        llm.reset()
        with pytest.raises((openai.APIError, httpx.HTTPError)):
            await asyncio.wait_for(task, 30)

    async def test_it_serves_many_streams_at_once(self, client: AsyncOpenAI) -> None:
        texts = await asyncio.gather(*(stream_text(client, f"number {i}") for i in range(100)))
        assert texts == [f"echo: number {i}" for i in range(100)]

    def test_the_process_ends_with_its_block(self) -> None:
        with ScriptedLLM() as llm:
            pid = llm.pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def _plain(client: AsyncOpenAI) -> str:
    return await ask(client, "x") or ""


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own
class TestGemini:
    async def test_plain_and_streamed_answers(self, llm: ScriptedLLM, gemini: genai.client.AsyncClient) -> None:
        usage = Usage(prompt=9, completion=7, reasoning=4, cached=2)
        llm.script(Reply("hi there", reasoning=("hm",), usage=usage), times=2)
        plain = await gemini.models.generate_content(model="gemini-2.5-flash", contents="x")
        assert plain.text == "hi there"
        stream = await gemini.models.generate_content_stream(model="gemini-2.5-flash", contents="x")
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.text or "" for chunk in chunks) == "hi there"
        first = chunks[0].parts
        assert first is not None
        assert (first[0].text, first[0].thought) == ("hm", True)
        for answer in (plain, chunks[-1]):
            counts = answer.usage_metadata
            assert counts is not None
            assert (counts.prompt_token_count, counts.candidates_token_count) == (9, 3)
            assert (counts.thoughts_token_count, counts.cached_content_token_count) == (4, 2)
            assert counts.total_token_count == 16
            assert answer.candidates is not None
            assert answer.candidates[0].finish_reason == genai_types.FinishReason.STOP

    async def test_the_limit_is_honoured(self, gemini: genai.client.AsyncClient) -> None:
        config = genai_types.GenerateContentConfig(max_output_tokens=2)
        answer = await gemini.models.generate_content(model="tokens-20", contents="x", config=config)
        assert answer.text == "w0 w1"
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason == genai_types.FinishReason.MAX_TOKENS

    @pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro"])
    async def test_tools_are_called_and_their_results_told(
        self, llm: ScriptedLLM, gemini: genai.client.AsyncClient, model: str
    ) -> None:
        llm.script(Reply.calling(*CALLS))
        config = genai_types.GenerateContentConfig(tools=[GEMINI_ADD], system_instruction="be brief")
        question = genai_types.Content(role="user", parts=[genai_types.Part(text="add up")])
        answer = await gemini.models.generate_content(model=model, contents=[question], config=config)
        assert [call.args for call in answer.function_calls or ()] == [{"a": 1, "b": 2}, {"a": 30, "b": 40}]
        assert answer.candidates is not None
        called = answer.candidates[0].content
        assert called is not None
        results = [genai_types.Part.from_function_response(name="add", response={"result": n}) for n in (3, 70)]
        contents: list[Any] = [question, called, genai_types.Content(role="user", parts=results)]
        answer = await gemini.models.generate_content(model=model, contents=contents, config=config)
        assert answer.text == "results: 3; 70"

    async def test_a_lost_thought_signature_is_refused_by_gemini_3(self, gemini: genai.client.AsyncClient) -> None:
        with pytest.raises(genai_errors.ClientError, match="thought_signature"):
            await gemini.models.generate_content(model="gemini-3-pro", contents=_tool_turns())
        answer = await gemini.models.generate_content(model="gemini-2.5-flash", contents=_tool_turns())
        assert answer.text == "results: 3"

    @pytest.mark.parametrize("keep", [slice(0, 2), slice(0, 3, 2)])
    async def test_calls_and_results_must_match(self, gemini: genai.client.AsyncClient, keep: slice) -> None:
        with pytest.raises(genai_errors.ClientError):
            await gemini.models.generate_content(model="gemini-2.5-flash", contents=_tool_turns()[keep])

    async def test_errors_have_googles_form(self, llm: ScriptedLLM, gemini: genai.client.AsyncClient) -> None:
        llm.script(Reply.failing(429, "slow down", retry_after=3))
        with pytest.raises(genai_errors.ClientError) as caught:
            await gemini.models.generate_content(model="gemini-2.5-flash", contents="x")
        assert (caught.value.code, caught.value.status, caught.value.message) == (
            429,
            "RESOURCE_EXHAUSTED",
            "slow down",
        )

    async def test_a_blocked_answer_ends_with_safety(self, llm: ScriptedLLM, gemini: genai.client.AsyncClient) -> None:
        llm.script(Reply(finish="content_filter"))
        answer = await gemini.models.generate_content(model="gemini-2.5-flash", contents="x")
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason == genai_types.FinishReason.SAFETY
        assert not answer.text


def _tool_turns() -> list[Any]:
    call = genai_types.Part(function_call=genai_types.FunctionCall(name="add", args={"a": 1}))
    result = genai_types.Part.from_function_response(name="add", response={"result": "3"})
    return [
        genai_types.Content(role="user", parts=[genai_types.Part(text="go")]),
        genai_types.Content(role="model", parts=[call]),
        genai_types.Content(role="user", parts=[result]),
    ]


def test_tokens_keep_every_character() -> None:
    text = " a  b\n\nc \t"
    assert "".join(split_tokens(text)) == text
