"""Requests as bytes and answers as text, for the two HTTP APIs that are compared."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.jobs import KEY, Target

PROMPT = "Say your numbers."
_BOUNDARY = "bench-form-boundary"


class BadAnswerError(Exception):
    """The answer is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came: its bytes, and when each read of the socket had got how many."""

    data: bytes
    times: Sequence[float]
    lengths: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer; `moments` has the time at which each piece of it had come."""

    text: str
    moments: Sequence[float]


def request_bytes(target: Target, session: str, *, stream: bool, store: bool) -> bytes:
    """A whole HTTP request."""
    if target.dialect == "agentos":
        fields = {"message": PROMPT, "stream": str(stream).lower(), "session_id": session}
        body = _form(fields)
        path, kind = f"/agents/{target.model}/runs", f"multipart/form-data; boundary={_BOUNDARY}"
    else:
        ask = {"model": target.model, "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
        if not store:
            ask["store"] = False
        body = json.dumps(ask).encode()
        path, kind = "/v1/chat/completions", "application/json"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\nauthorization: Bearer {KEY}\r\n"
        f"x-agentllm-session-id: {session}\r\ncontent-type: {kind}\r\naccept: */*\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_answer(target: Target, raw: Raw, *, stream: bool) -> Answer:
    """The answer in `raw`.

    Raises:
        BadAnswerError: the status is not 200, or the body is not of the right form.
    """
    head, _, _ = raw.data.partition(b"\r\n\r\n")
    start = len(head) + 4
    chunked = b"transfer-encoding: chunked" in head.lower()
    body, ends = _dechunk(raw.data, start) if chunked else (raw.data[start:], [(len(raw.data) - start, len(raw.data))])
    if head.split(b" ", 2)[1] != b"200":
        raise BadAnswerError(f"{head.splitlines()[0].decode()} {body[:300].decode(errors='replace')}")
    try:
        if not stream:
            return Answer(_plain_text(target, json.loads(body)), [raw.times[-1]])
        return _streamed(target, raw, body, ends)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BadAnswerError(f"unreadable: {error!r} in {body[:300]!r}") from error


def _streamed(target: Target, raw: Raw, body: bytes, ends: Sequence[tuple[int, int]]) -> Answer:
    body_ends, raw_ends = [end for end, _ in ends], [end for _, end in ends]
    pieces: list[str] = []
    moments: list[float] = []
    for end, data in _events(body):
        text = _piece(target, data)
        if text:
            pieces.append(text)
            came = raw_ends[bisect_left(body_ends, end)]
            moments.append(raw.times[bisect_left(raw.lengths, came)])
    return Answer("".join(pieces), moments)


def _form(fields: dict[str, str]) -> bytes:
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{_BOUNDARY}--\r\n"]).encode()


def _dechunk(data: bytes, position: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The body, and for each chunk where it ends in the body and in `data`."""
    pieces: list[bytes] = []
    ends: list[tuple[int, int]] = []
    length = 0
    while True:
        line_end = data.index(b"\r\n", position)
        size = int(data[position:line_end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(pieces), ends
        start = line_end + 2
        pieces.append(data[start : start + size])
        length += size
        ends.append((length, start + size))
        position = start + size + 2


def _events(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Each data line with the place where it ends."""
    end = 0
    for line in body.splitlines(keepends=True):
        end += len(line)
        if line.startswith(b"data:"):
            yield end, line[5:].strip()


def _piece(target: Target, data: bytes) -> str:
    if data == b"[DONE]":
        return ""
    event: Any = json.loads(data)
    if target.dialect == "agentos":
        return str(event.get("content") or "") if event.get("event") == "RunContent" else ""
    if "error" in event:
        raise ValueError(event["error"])
    return "".join(str(choice["delta"].get("content") or "") for choice in event["choices"])


def _plain_text(target: Target, answer: Any) -> str:
    if target.dialect == "agentos":
        return str(answer["content"])
    return str(answer["choices"][0]["message"]["content"])
