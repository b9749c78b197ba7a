"""Streams in OpenAI's format: joined where tokens arrive together, and otherwise as they came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agentllm.llm.streams import JoiningTransport, QuickOpenAI, http_client, join_events, openai_client
from agentllm.rests import rest_with
from tests.runtimes.agno.spoken import HOME
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

Json = dict[str, Any]

HI: Any = [{"role": "user", "content": "hi"}]
SECOND = 30.0


# Events as servers send them


def chunk(delta: Json, *, finish: str | None = None, index: int = 0, answer: str = "a", **more: Any) -> Json:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    head = {"id": answer, "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **more}


def text(said: str, **more: Any) -> Json:
    return chunk({"content": said}, **more)


def data(event: Json | str) -> bytes:
    return b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode()


def stream(*events: Json | str | bytes) -> bytes:
    """The events as one body; bytes are sent as they are."""
    return b"".join((event if isinstance(event, bytes) else data(event)) + b"\n\n" for event in events)


def count(body: bytes) -> int:
    return body.count(b"\n\n")


@dataclass
class Heard:
    """What a client makes of a stream: per choice the kinds in their order, and what was said in each."""

    said: dict[int, list[list[str]]] = field(default_factory=dict)
    tools: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    finishes: list[tuple[int, str]] = field(default_factory=list)
    usages: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def add(self, event: Json) -> None:
        if not self.ids or self.ids[-1] != event["id"]:
            self.ids.append(event["id"])
        if usage := event.get("usage"):
            self.usages.append(usage["total_tokens"])
        for choice in event["choices"]:
            self._choice(choice["index"], choice["delta"], choice.get("finish_reason"))

    def _choice(self, index: int, delta: Json, finish: str | None) -> None:
        for kind in ("reasoning_content", "reasoning", "content"):
            if delta.get(kind):
                kinds = self.said.setdefault(index, [])
                if kinds and kinds[-1][0] == kind:
                    kinds[-1][1] += delta[kind]
                else:
                    kinds.append([kind, delta[kind]])
        for call in delta.get("tool_calls") or ():
            parts = self.tools.setdefault((index, call["index"]), ["", "", ""])
            function = call.get("function") or {}
            for place, part in enumerate((call.get("id"), function.get("name"), function.get("arguments"))):
                parts[place] += part or ""
        if finish:
            self.finishes.append((index, finish))


def heard(body: bytes) -> Heard:
    """`body` as a plain reader of server-sent events hears it."""
    result = Heard()
    for line in body.decode().split("\n"):
        if line.startswith("data: ") and line != "data: [DONE]":
            result.add(json.loads(line.removeprefix("data: ")))
    return result


words = st.text(st.characters(codec="utf-8"), max_size=4)
said = st.builds(lambda kind, word, index, role: chunk({**role, kind: word}, index=index),
    st.sampled_from(["content", "content", "content", "reasoning_content", "reasoning"]),
    words, st.sampled_from([0, 0, 0, 1]), st.sampled_from([{}, {}, {"role": "assistant"}, {"refusal": None}]),
)  # fmt: skip
calls = st.builds(
    lambda index, name, arguments: chunk(
        {"tool_calls": [{"index": index, "id": name, "function": {"name": name, "arguments": arguments}}]}
    ),
    st.integers(0, 1), st.none() | words, words,
)  # fmt: skip
others = st.sampled_from(
    [
        chunk({}, finish="stop"),
        text("end", finish="length"),
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": None}),
        {**chunk({}), "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
        text("x", usage={"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}),
        {**text("x"), "choices": [text("one")["choices"][0], text("two", index=1)["choices"][0]]},
        chunk({"content": "both", "reasoning_content": "at once"}),
        text("another answer", answer="b"),
        b": ping",
        b"event: message\nid: 7\nretry: 5",
        "[DONE]",
    ]
)
events = st.lists(said | calls | others, max_size=16)


@given(events)
def test_joining_changes_nothing_that_a_client_hears(given_events: list[Any]) -> None:
    body = stream(*given_events)
    assert heard(join_events(body)) == heard(body)


@given(events)
def test_joined_events_cannot_be_joined_further(given_events: list[Any]) -> None:
    once = join_events(stream(*given_events))
    assert heard(join_events(once)) == heard(once)
    assert count(join_events(once)) == count(once)


def test_neighbours_that_only_add_text_become_one_event() -> None:
    joined = join_events(stream(text("a"), text("b"), text("c"), "[DONE]"))
    assert joined == stream(json.dumps(text("abc"), separators=(",", ":")), "[DONE]")


def test_text_outside_ascii_is_joined_as_it_is() -> None:
    joined = join_events(stream(text("é"), text("🐘"), text("\u2028"), text("")))
    assert heard(joined).said == {0: [["content", "é🐘\u2028"]]}
    assert "🐘".encode() in joined


@pytest.mark.parametrize(
    "other",
    [
        chunk({}, finish="stop"),
        text("x", finish="stop"),
        text("x", index=1),
        text("x", answer="b"),
        text("x", usage={"total_tokens": 1}),
        text("x", error={"message": "no"}),
        chunk({"reasoning_content": "x"}),
        chunk({"content": "x", "reasoning_content": "x"}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}),
        chunk({"content": ["x"]}),
        chunk({}),
        {**text("x"), "choices": []},
        {**text("x"), "choices": [{**text("x")["choices"][0], "logprobs": {"content": []}}]},
        {**text("x"), "choices": text("x")["choices"] * 2},
        {"error": {"message": "overloaded", "code": 529}},
        "[DONE]",
        "{not json",
        "[]",
        "7",
        "null",
        '{"choices": null}',
        '{"choices": [null]}',
        '{"choices": [{"delta": null}]}',
        '{"choices": [{"delta": []}]}',
        "",
        b": ping",
        b"",
        b"event: error\ndata: {}",
        b"data:" + json.dumps(text("x")).encode(),
    ],
    ids=repr,
)  # fmt: skip
def test_any_other_event_passes_as_it_is_and_parts_what_is_joined(other: Json | str | bytes) -> None:
    joined = join_events(stream(text("a"), text("b"), other, text("c"), text("d")))
    first, last = (json.dumps(text(both), separators=(",", ":")) for both in ("ab", "cd"))
    assert joined == stream(first, other, last)


@pytest.mark.parametrize(
    "body", [b"", b"data: {", data(text("a")), stream(text("a")), stream(": x", text("a"), "[DONE]")]
)
def test_what_cannot_be_joined_stays_byte_for_byte(body: bytes) -> None:
    assert join_events(body) == body


# Bodies as transports read them


class Reads(httpx.AsyncByteStream):
    """A body that arrives in these reads, then goes on until `hold` is set, or fails."""

    def __init__(self, reads: Sequence[bytes], *, error: Exception | None = None, hold: bool = False) -> None:
        self._reads, self._error, self._hold = reads, error, hold
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for read in self._reads:
            yield read
        if self._hold:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        self.closed = True


class Server(httpx.AsyncBaseTransport):
    """Answers each request with a stream."""

    def __init__(self, body: Reads, *, headers: dict[str, str] | None = None, error: Exception | None = None) -> None:
        self._body, self._error = body, error
        self._headers = {"content-type": "text/event-stream; charset=utf-8"} if headers is None else headers
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._error is not None:
            raise self._error
        return httpx.Response(200, headers=self._headers, stream=self._body)

    async def aclose(self) -> None:
        self.closed = True


def client_of(server: Server, *, joining: bool = True) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=JoiningTransport(server) if joining else server)


async def pieces_of(body: Reads, **server: Any) -> list[bytes]:
    async with (
        client_of(Server(body, **server)) as client,
        client.stream("POST", "http://model.invalid/") as response,
    ):
        return [piece async for piece in response.aiter_raw()]


def split(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = sorted({cut % (len(body) + 1) for cut in cuts} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


cuts = st.lists(st.integers(0, 10_000), max_size=8)


@settings(deadline=None)
@given(events, cuts, st.booleans())
def test_however_a_stream_is_split_into_reads_it_says_the_same(
    given_events: list[Any], cuts: list[int], ended: bool
) -> None:
    body = stream(*given_events)
    if not ended:
        body = body.removesuffix(b"\n\n")
    joined = b"".join(asyncio.run(pieces_of(Reads(split(body, cuts)))))
    assert heard(joined) == heard(body)
    assert joined.endswith(b"\n\n") == body.endswith(b"\n\n")


@settings(deadline=None)
@given(events, cuts)
def test_a_stream_with_windows_line_ends_passes_byte_for_byte(given_events: list[Any], cuts: list[int]) -> None:
    body = stream(*given_events).replace(b"\n", b"\r\n")
    assert b"".join(asyncio.run(pieces_of(Reads(split(body, cuts))))) == body


@settings(deadline=None)  # the first example loads the SDK
@given(events, cuts)
def test_openai_s_sdk_hears_the_same(given_events: list[Any], cuts: list[int]) -> None:
    # The SDK takes an event without data for broken JSON, joined or not.
    body = stream(*(event for event in given_events if not str(event).startswith("b'event:")), "[DONE]")

    async def hear(*, joining: bool) -> Heard:
        result = Heard()
        http = client_of(Server(Reads(split(body, cuts) if joining else [body])), joining=joining)
        async with (QuickOpenAI if joining else AsyncOpenAI)(api_key="k", http_client=http) as sdk:
            async for event in await sdk.chat.completions.create(model="m", messages=HI, stream=True):
                result.add(event.to_dict())
        return result

    assert asyncio.run(hear(joining=True)) == asyncio.run(hear(joining=False))


async def test_an_event_that_arrives_alone_is_passed_on_at_once() -> None:
    alone = stream(text("a"))
    assert await pieces_of(Reads([alone, alone])) == [alone, alone]


async def test_a_whole_event_is_not_held_for_the_rest_of_the_next() -> None:
    whole, half = stream(text("a")), data(text("b"))
    server = Server(Reads([whole + half], hold=True))
    async with client_of(server) as client, client.stream("POST", "http://model.invalid/") as response:
        pieces = response.aiter_raw()
        assert await asyncio.wait_for(anext(pieces), SECOND) == whole


async def test_windows_line_ends_are_not_held_either() -> None:
    event = stream(text("a")).replace(b"\n", b"\r\n")
    server = Server(Reads([event], hold=True))
    async with client_of(server) as client, client.stream("POST", "http://model.invalid/") as response:
        assert await asyncio.wait_for(anext(response.aiter_raw()), SECOND) == event


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json"},
        {},
        {"content-type": "text/event-stream", "content-encoding": "identity"},
    ],
    ids=["json", "no type", "encoded"],
)
async def test_a_body_that_is_no_plain_stream_of_events_is_left_alone(headers: dict[str, str]) -> None:
    reads = [stream(text("a"), text("b")), b"rest"]
    assert await pieces_of(Reads(reads), headers=headers) == reads


async def test_closing_the_answer_closes_the_server_s() -> None:
    body = Reads([stream(text("a"))], hold=True)
    async with client_of(Server(body)) as client:
        async with client.stream("POST", "http://model.invalid/") as response:
            await anext(response.aiter_raw())
        assert body.closed


async def test_an_answer_that_breaks_off_gives_what_came_before() -> None:
    body = Reads([stream(text("a")), data(text("b"))], error=httpx.ReadError("gone"))
    async with client_of(Server(body)) as client, client.stream("POST", "http://model.invalid/") as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == stream(text("a"))
        with pytest.raises(httpx.ReadError):
            await anext(pieces)


async def test_between_two_reads_it_rests() -> None:
    rests: list[int] = []

    async def note() -> None:
        rests.append(len(rests))

    async def read() -> list[bytes]:
        rest_with(note)
        return await pieces_of(Reads([stream(text("a")), stream(text("b"))]))

    assert len(await asyncio.create_task(read())) == len(rests) == 2


async def test_closing_the_transport_closes_the_one_behind_it() -> None:
    server = Server(Reads([]))
    await JoiningTransport(server).aclose()
    assert server.closed


# Errors of the connection


def caused(error: httpx.TransportError, cause: Exception | None) -> httpx.TransportError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (aiohttp.ServerDisconnectedError(), httpx.RemoteProtocolError),
        (aiohttp.ClientOSError(104, "reset"), httpx.RemoteProtocolError),
        (aiohttp.ConnectionTimeoutError(), httpx.ConnectTimeout),
        (TimeoutError(), httpx.ConnectTimeout),
        (None, httpx.ConnectTimeout),
    ],
    ids=repr,
)
async def test_a_connection_that_the_server_closed_is_not_called_a_timeout(
    cause: Exception | None, kind: type[Exception]
) -> None:
    server = Server(Reads([]), error=caused(httpx.ConnectTimeout("x"), cause))
    async with client_of(server) as client:
        with pytest.raises(kind):
            await client.get("http://model.invalid/")


async def test_other_errors_stay_what_they_are() -> None:
    async with client_of(Server(Reads([]), error=httpx.ConnectError("refused"))) as client:
        with pytest.raises(httpx.ConnectError, match="refused"):
            await client.get("http://model.invalid/")


# The client


def sdk_of(*bodies: Json | str | bytes, cls: type[AsyncOpenAI] = QuickOpenAI) -> AsyncOpenAI:
    return cls(api_key="k", max_retries=0, http_client=client_of(Server(Reads([stream(*bodies)]))))


async def chunks_of(sdk: AsyncOpenAI) -> list[ChatCompletionChunk]:
    async with sdk:
        return [event async for event in await sdk.chat.completions.create(model="m", messages=HI, stream=True)]


@pytest.mark.parametrize(
    "event",
    [
        text("a"),
        chunk({"content": "a", "reasoning_content": "extra fields stay"}),
        {"choices": [{"index": 0, "delta": {"content": "a"}}]},
        {**text("a"), "object": "chunk", "created": "now"},
        text("a", finish="a word of the server's own"),
    ],
    ids=["openai's format", "extra fields", "missing fields", "wrong types", "unknown finish"],
)
async def test_a_chunk_is_read_as_openai_s_sdk_reads_it(event: Json) -> None:
    (quick,) = await chunks_of(sdk_of(event, "[DONE]"))
    (slow,) = await chunks_of(sdk_of(event, "[DONE]", cls=AsyncOpenAI))
    assert quick.to_dict(warnings=False) == slow.to_dict(warnings=False)
    assert quick.choices[0].delta.content == "a"


async def test_an_error_in_the_stream_is_the_sdk_s_error() -> None:
    with pytest.raises(openai.APIError, match="overloaded"):
        await chunks_of(sdk_of(text("a"), {"error": {"message": "overloaded"}}))


async def test_a_plain_answer_is_read_too() -> None:
    message = {"role": "assistant", "content": "hello"}
    body = {"id": "a", "choices": [{"index": 0, "message": message}]}
    server = Server(Reads([json.dumps(body).encode()]), headers={"content-type": "application/json"})
    async with QuickOpenAI(api_key="k", http_client=client_of(server)) as sdk:
        answer = await sdk.chat.completions.create(model="m", messages=HI)
    assert isinstance(answer, ChatCompletion)
    assert answer.choices[0].message.content == "hello"


def test_all_clients_share_their_connections() -> None:
    first, second = openai_client(api_key="a"), openai_client(api_key="b", base_url="http://other.invalid")
    assert first._client is second._client
    assert (first.api_key, second.api_key) == ("a", "b")


# Over real connections


async def ask(llm: ScriptedLLM) -> Heard:
    sdk = openai_client(api_key="k", base_url=llm.openai_base, max_retries=0)
    options: Any = {"stream_options": {"include_usage": True}}
    result = Heard()
    async for event in await sdk.chat.completions.create(model="m", messages=HI, stream=True, **options):
        result.add(event.to_dict())
    return result


def test_a_real_answer_is_heard_whole(llm: ScriptedLLM) -> None:
    tool = ToolCall.of("add", a=1, b=2)
    llm.script(Reply("one two three " * 50, reasoning=("let ", "me"), tool_calls=(tool,), usage=Usage(10, 5)))
    result = HOME.run(ask(llm))
    assert result.said == {0: [["reasoning_content", "let me"], ["content", "one two three " * 50]]}
    assert [parts[1:] for parts in result.tools.values()] == [["add", tool.arguments]]
    assert result.finishes == [(0, "tool_calls")]
    assert result.usages == [15]


def test_a_connection_that_is_reset_is_an_error_of_the_connection(llm: ScriptedLLM) -> None:
    llm.script(Reply("x", cut_after=0))
    with pytest.raises(openai.APIConnectionError) as raised:
        HOME.run(ask(llm))
    assert not isinstance(raised.value, openai.APITimeoutError)


def test_leaving_a_stream_ends_it_at_the_server(llm: ScriptedLLM) -> None:
    async def leave() -> None:
        sdk = openai_client(api_key="k", base_url=llm.openai_base, max_retries=0)
        events = await sdk.chat.completions.create(model="m", messages=HI, stream=True)
        await anext(events)
        await events.close()

    llm.script(Reply("and on ", endless=True))
    HOME.run(leave())
    llm.wait_for(lambda requests: len(requests) == 1 and not requests[0].open)


# Proxies of the environment


async def test_a_proxy_that_the_environment_names_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with http_client() as client:
            response = await asyncio.wait_for(client.get("http://model.invalid/v1/models"), SECOND)
    assert response.status_code == 418
    assert asked == [b"GET http://model.invalid/v1/models HTTP/1.1\r\n"]
