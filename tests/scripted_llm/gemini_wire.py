"""Answers in the wire format of Gemini's generateContent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tests.scripted_llm.answers import Answer, Frame, steps
from tests.scripted_llm.asking import Ask, RefusedError
from tests.scripted_llm.gemini_requests import SIGNATURE
from tests.scripted_llm.http import LAST_CHUNK, chunk, head, json_frame
from tests.scripted_llm.openai_wire import BROKEN, ID_FIELD
from tests.scripted_llm.replies import HttpError, JsonObject

_FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_frame(error: HttpError | RefusedError, at: float = 0.0) -> Frame:
    """An error as Google words it; a wait is told as a header and as a RetryInfo."""
    message = error.message if isinstance(error, HttpError) else str(error)
    body: JsonObject = {"code": error.status, "message": message, "status": _STATUS.get(error.status, "UNKNOWN")}
    extra: dict[str, str] = {}
    if isinstance(error, HttpError) and error.retry_after is not None:
        info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_after}s"}
        body["details"] = [info]
        extra["retry-after"] = str(error.retry_after)
    return json_frame(error.status, {"error": body}, extra, at)


def models_frame(ids: Iterable[str]) -> Frame:
    """The answer of `/v1beta/models`."""
    methods = ["generateContent", "countTokens"]
    models = [{"name": f"models/{i}", "displayName": i, "supportedGenerationMethods": methods} for i in ids]
    return json_frame(200, {"models": models})


def frames(answer: Answer, ask: Ask) -> Iterator[Frame]:
    """The answer in the form that `ask` wants."""
    return _stream(answer, ask.model) if ask.stream else _plain(answer, ask.model)


def _plain(answer: Answer, model: str) -> Iterator[Frame]:
    """The whole answer as one JSON body."""
    parts: list[JsonObject] = []
    if answer.reasoning:
        parts.append({"text": "".join(answer.reasoning), "thought": True})
    if answer.text:
        parts.append({"text": answer.text})
    parts += _call_parts(answer)
    data = BROKEN if answer.malformed else json.dumps(_body(answer, model, parts, finish=True)).encode()
    sent = data[: len(data) // 2] if answer.cut_after else data
    yield Frame(answer.seconds, head(200, "application/json; charset=UTF-8", len(data)) + sent, len(answer.tokens))


def _stream(answer: Answer, model: str) -> Iterator[Frame]:
    """The answer as server-sent events; calls come whole, the last event has the reason of the end."""
    yield Frame(0.0, head(200, "text/event-stream", None))
    spoken = 0
    for step in steps(answer):
        part: JsonObject = {"text": step.text, "thought": True} if step.reasoning else {"text": step.text}
        yield Frame(step.at, _event(_body(answer, model, [part], finish=False)), not step.reasoning)
        spoken += not step.reasoning
        if answer.malformed and spoken == 1:
            break
    at = answer.seconds
    if answer.malformed:
        yield Frame(at, chunk(b"data: " + BROKEN + b"\r\n\r\n"))
    if answer.cut_after is not None and spoken >= answer.cut_after:
        return
    last = _call_parts(answer) or ([{"text": ""}] if spoken else [])
    yield Frame(at, _event(_body(answer, model, last, finish=True)) + LAST_CHUNK)


def _event(data: JsonObject) -> bytes:
    return chunk(b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\r\n\r\n")


def _body(answer: Answer, model: str, parts: list[JsonObject], *, finish: bool) -> JsonObject:
    candidate: JsonObject = {"content": {"role": "model"}, "index": 0}
    if parts:
        candidate["content"]["parts"] = parts
    if finish:
        candidate["finishReason"] = _FINISH[answer.finish]
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer, whole=finish),
        "modelVersion": model,
        "responseId": ID_FIELD.decode(),
    }


def _call_parts(answer: Answer) -> list[JsonObject]:
    """The calls as parts; the first carries the thought signature, as Gemini 3 does it."""
    parts: list[JsonObject] = []
    for call in answer.tool_calls:
        part: JsonObject = {"functionCall": {"name": call.name, "args": json.loads(call.arguments)}}
        if not parts:
            part["thoughtSignature"] = SIGNATURE
        parts.append(part)
    return parts


def _usage(answer: Answer, *, whole: bool) -> JsonObject:
    """Google counts thoughts beside the candidates; before the end only the prompt is known."""
    usage = answer.usage
    counts: JsonObject = {"promptTokenCount": usage.prompt, "totalTokenCount": usage.prompt}
    if whole:
        counts["candidatesTokenCount"] = usage.completion - usage.reasoning
        counts["totalTokenCount"] = usage.prompt + usage.completion
        if usage.reasoning:
            counts["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        counts["cachedContentTokenCount"] = usage.cached
    return counts
