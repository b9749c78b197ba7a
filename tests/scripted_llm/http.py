"""A small HTTP/1.1 server on asyncio: as little CPU per answer as Python allows.

An answer is a plan of frames with times, played by callbacks, without a task per request. Requests
need a Content-Length; a second one on the same connection waits for the first.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from tests.scripted_llm.answers import Ending, Frame

_EARLY = 0.001  # event loops time in milliseconds; a frame this close to its time is due
_MAX_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Response:
    """Frames to be sent and how the connection ends.

    `on_end(whole, tokens)` is called exactly once; `whole` is false where the client left before the
    last frame.
    """

    frames: Iterable[Frame]
    ending: Ending = "orderly"
    on_end: Callable[[bool, int], None] = field(default=lambda whole, tokens: None)


def head(status: int, content_type: str, length: int | None, extra: Mapping[str, str] | None = None) -> bytes:
    """The head of a response; without a length the body is chunked."""
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {content_type}", size]
    lines += [f"{name}: {value}" for name, value in (extra or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def json_frame(status: int, body: object, extra: Mapping[str, str] | None = None, at: float = 0.0) -> Frame:
    """A whole response with a JSON body."""
    data = json.dumps(body).encode()
    return Frame(at, head(status, "application/json", len(data), extra) + data)


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, handle: Callable[[Request], Response], connections: set[Connection]) -> None:
        self._handle = handle
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._frames: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        self._start = 0.0
        self._tokens = 0
        self._timer: asyncio.Handle | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._connections.discard(self)
        self._finish(whole=False)
        self._transport = None

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        if self._response is not None and self._timer is None:
            self._play()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        if self._response is None:
            self._next_request()

    @property
    def busy(self) -> bool:
        """Whether an answer is being sent."""
        return self._response is not None

    def close(self) -> None:
        """Drop the connection, whatever it is doing."""
        if self._transport is not None:
            self._transport.abort()

    def _next_request(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                self.close()
            return
        method, target, headers = _parse_head(bytes(self._buffer[:end]))
        if "transfer-encoding" in headers:
            self._answer(Response([json_frame(411, {"error": "send a Content-Length"})], "closed"))
            return
        stop = end + 4 + int(headers.get("content-length", "0"))
        if len(self._buffer) < stop:
            return
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        self._answer(self._handle(Request(method, target, headers, body)))

    def _answer(self, response: Response) -> None:
        self._response = response
        self._frames = iter(response.frames)
        self._next = next(self._frames, None)
        self._start = self._loop.time()
        self._tokens = 0
        self._play()

    def _play(self) -> None:
        """Send what is due, then come back for the rest."""
        self._timer = None
        if self._transport is None or self._transport.is_closing() or self._response is None:
            return
        due = self._loop.time() - self._start + _EARLY
        out: list[bytes] = []
        while self._next is not None and self._next.at <= due:
            out.append(self._next.data)
            self._tokens += self._next.tokens
            self._next = next(self._frames, None)
        if out:
            self._transport.write(b"".join(out))
        if self._next is None:
            self._end()
        elif not self._paused:
            self._timer = self._loop.call_at(self._start + self._next.at, self._play)

    def _end(self) -> None:
        if self._response is None or self._transport is None:
            return
        ending = self._response.ending
        self._finish(whole=True)
        if ending == "reset":
            sock: Any = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif ending == "closed":
            self._transport.close()
        elif self._buffer:
            self._loop.call_soon(self._next_request)

    def _finish(self, *, whole: bool) -> None:
        response, self._response = self._response, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if response is not None:
            response.on_end(whole, self._tokens)


def _parse_head(data: bytes) -> tuple[str, str, dict[str, str]]:
    lines = data.decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:])
    return method, target, {name.lower(): value.strip() for name, _, value in pairs}
