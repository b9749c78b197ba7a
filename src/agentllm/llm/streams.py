"""The client for models that speak OpenAI's wire format: what arrives together is read together, and quickly.

Taking a streamed answer apart token by token costs OpenAI's SDK and Agno more than anything
else in a turn. While the event loop is busy, tokens gather in the socket; this client joins
those that are read at once into one server-sent event. A token that arrives alone passes as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import cache
from typing import Any
from urllib.request import getproxies

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from agentllm.rests import rest

_END = b"\n\n"
_DATA = b"data: "
_TEXT_KEYS = frozenset({"content", "reasoning_content", "reasoning"})


class QuickOpenAI(AsyncOpenAI):
    """OpenAI's client, for all that is in its own format some five times as quick at reading an answer.

    The SDK builds each one leniently in Python. Here pydantic's validator goes first, and what it
    refuses, because a server departs from OpenAI's format, is built as the SDK does.
    """

    def _process_response_data(self, *, data: object, cast_to: type[Any], response: httpx.Response) -> Any:
        if cast_to is ChatCompletionChunk or cast_to is ChatCompletion:
            with contextlib.suppress(ValidationError):
                return cast_to.model_validate(data)
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


def openai_client(**parameters: Any) -> AsyncOpenAI:
    """A client with `parameters` of OpenAI's SDK; all of this process share their connections."""
    return QuickOpenAI(**parameters, http_client=_shared_http_client())


@cache
def _shared_http_client() -> httpx.AsyncClient:
    return http_client()


def http_client() -> httpx.AsyncClient:
    """A client that joins what arrives together; its connections belong to the event loop that first uses it.

    No limit of connections and none of time: the model's own settings and the run's time limit hold.
    """
    certificates = httpx.create_ssl_context()

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, ssl=certificates)
        # With trust_env aiohttp asks for each request, in other threads, which proxy the environment names for it.
        return aiohttp.ClientSession(connector=connector, trust_env=bool(getproxies()))

    transport = JoiningTransport(AiohttpTransport(verify=certificates, client=session))
    return httpx.AsyncClient(transport=transport, timeout=None, follow_redirects=True)  # noqa: S113 - the run has a limit


class JoiningTransport(httpx.AsyncBaseTransport):
    """Joins the text of server-sent events in OpenAI's format that are read together."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.ConnectTimeout as error:
            raise _as_what_it_was(error) from error
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        if is_stream and "content-encoding" not in response.headers:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _JoinedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


def _as_what_it_was(error: httpx.ConnectTimeout) -> httpx.TransportError:
    """httpx-aiohttp reports a connection that the server closed as a timeout."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, TimeoutError):
        return httpx.RemoteProtocolError(str(cause) or "the server closed the connection")
    return error


class _JoinedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pending = b""
        async for data in self._stream:
            whole, end, pending = (pending + data).rpartition(_END)
            if end:
                yield join_events(whole) + end
                await rest()
            elif b"\r\n\r\n" in pending:
                yield pending
                pending = b""
        if pending:
            yield pending

    async def aclose(self) -> None:
        await self._stream.aclose()


def join_events(events: bytes) -> bytes:
    """`events`, parted by empty lines, with neighbours that only add text to one choice made one.

    Anything else stays as it is and where it is.
    """
    if _END not in events:
        return events
    joined: list[bytes] = []
    head: _TextEvent | None = None
    for raw in events.split(_END):
        event = _TextEvent.parse(raw)
        if head is not None and event is not None and head.goes_on_in(event):
            head.texts += event.texts
            continue
        if head is not None:
            joined.append(head.serialize())
        head = event
        if event is None:
            joined.append(raw)
    if head is not None:
        joined.append(head.serialize())
    return _END.join(joined)


class _TextEvent:
    """A chunk that does nothing but add a piece of text to one choice."""

    def __init__(self, raw: bytes, chunk: dict[str, Any], key: str) -> None:
        self._raw = raw
        self._chunk = chunk
        self._key = key
        self.texts: list[str] = [chunk["choices"][0]["delta"][key]]

    @classmethod
    def parse(cls, raw: bytes) -> _TextEvent | None:
        """The event `raw`, None where it is of another kind."""
        if not raw.startswith(_DATA) or b"\n" in raw:
            return None
        try:
            chunk = orjson.loads(raw[len(_DATA) :])
            (choice,) = chunk["choices"]
            filled = [key for key, value in choice["delta"].items() if value is not None and key != "role"]
            extras = (choice.get("finish_reason"), choice.get("logprobs"), chunk.get("usage"), chunk.get("error"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        only_text = len(filled) == 1 and filled[0] in _TEXT_KEYS and isinstance(choice["delta"][filled[0]], str)
        return cls(raw, chunk, filled[0]) if only_text and not any(extras) else None

    def goes_on_in(self, other: _TextEvent) -> bool:
        """Whether `other` adds to the same text of the same answer."""
        return self._key == other._key and self._answer() == other._answer()

    def _answer(self) -> tuple[object, object]:
        return self._chunk.get("id"), self._chunk["choices"][0].get("index")

    def serialize(self) -> bytes:
        if len(self.texts) == 1:
            return self._raw
        self._chunk["choices"][0]["delta"][self._key] = "".join(self.texts)
        return _DATA + orjson.dumps(self._chunk)
