"""Answers in the wire format of OpenAI's chat completions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

from tests.scripted_llm.answers import Answer, Frame, steps
from tests.scripted_llm.asking import Ask, RefusedError
from tests.scripted_llm.http import LAST_CHUNK, chunk, head, json_frame
from tests.scripted_llm.replies import HttpError, JsonObject, ToolCall

CREATED = 1_700_000_000
ID_FIELD = b"chatcmpl-00000000"
"""Stands for the answer's id in frames; as long as every id, so that they can be kept."""

BROKEN = b'{"id": "chatcmpl-broken", "choices": [{'
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_FRAGMENT = 8  # characters of a tool call's arguments in one delta

_ids = itertools.count(1)


def fresh_id() -> bytes:
    """The id of one answer."""
    return b"chatcmpl-%08d" % next(_ids)


def error_frame(error: HttpError | RefusedError, at: float = 0.0) -> Frame:
    """An error as OpenAI words it."""
    status = error.status
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    message = error.message if isinstance(error, HttpError) else str(error)
    param = error.param if isinstance(error, RefusedError) else None
    body = {"error": {"message": message, "type": kind, "param": param, "code": _ERROR_CODES.get(status)}}
    return json_frame(status, body, _retry_after(error), at)


def models_frame(ids: Iterable[str]) -> Frame:
    """The answer of `/v1/models`."""
    data = [{"id": i, "object": "model", "created": CREATED, "owned_by": "scripted"} for i in ids]
    return json_frame(200, {"object": "list", "data": data})


def frames(answer: Answer, ask: Ask) -> Iterator[Frame]:
    """The answer in the form that `ask` wants."""
    if ask.stream:
        return _stream(answer, ask.model, include_usage=ask.include_usage)
    return _plain(answer, ask.model)


def _plain(answer: Answer, model: str) -> Iterator[Frame]:
    """The whole answer as one JSON body."""
    message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
        message["content"] = answer.text or None
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    body = {
        "id": ID_FIELD.decode(),
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [choice],
        "usage": _usage(answer),
    }
    data = BROKEN if answer.malformed else json.dumps(body).encode()
    sent = data[: len(data) // 2] if answer.cut_after else data
    yield Frame(answer.seconds, head(200, "application/json", len(data)) + sent, len(answer.tokens))


def _stream(answer: Answer, model: str, *, include_usage: bool) -> Iterator[Frame]:
    """The answer as server-sent events, each a chunk of its own."""
    usage: JsonObject = {"usage": None} if include_usage else {}

    def event(delta: JsonObject, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**_envelope(model), "choices": [choice], **usage})

    yield Frame(0.0, head(200, "text/event-stream; charset=utf-8", None))
    yield Frame(answer.first_delay, event({"role": "assistant", "content": "", "refusal": None}))
    spoken = 0
    for step in steps(answer):
        yield Frame(
            step.at, event({"reasoning_content" if step.reasoning else "content": step.text}), not step.reasoning
        )
        spoken += not step.reasoning
        if answer.malformed and spoken == 1:
            break
    at = answer.seconds
    if answer.malformed:
        yield Frame(at, chunk(b"data: " + BROKEN + b"\n\n"))
    if answer.cut_after is not None and spoken >= answer.cut_after:
        return
    for delta in _call_deltas(answer):
        yield Frame(at, event(delta))
    yield Frame(at, event({}, answer.finish))
    if include_usage:
        yield Frame(at, _event({**_envelope(model), "choices": [], "usage": _usage(answer)}))
    yield Frame(at, chunk(b"data: [DONE]\n\n") + LAST_CHUNK)


def _retry_after(error: HttpError | RefusedError) -> dict[str, str]:
    if isinstance(error, HttpError) and error.retry_after is not None:
        return {"retry-after": str(error.retry_after)}
    return {}


def _envelope(model: str) -> JsonObject:
    return {"id": ID_FIELD.decode(), "object": "chat.completion.chunk", "created": CREATED, "model": model}


def _event(data: JsonObject) -> bytes:
    return chunk(b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n")


def _call(call: ToolCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _call_deltas(answer: Answer) -> Iterator[JsonObject]:
    """The id and name of each call first, then its arguments in fragments."""
    for index, call in enumerate(answer.tool_calls):
        opening = _call(ToolCall(call.name, "", call.id))
        yield {"tool_calls": [{"index": index, **opening}]}
        for start in range(0, len(call.arguments), _FRAGMENT):
            fragment = {"arguments": call.arguments[start : start + _FRAGMENT]}
            yield {"tool_calls": [{"index": index, "function": fragment}]}


def _usage(answer: Answer) -> JsonObject:
    usage = answer.usage
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }
