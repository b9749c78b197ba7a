"""Background tasks: titles, tags and the like, which no agent is run for.

They go to the model that is set for them, or are answered at once from their own text.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from agentllm.core import Event, Finished, FinishReason, JsonObject, Reasoning, Text, Usage
from agentllm.errors import ModelFailed
from agentllm.gateway.openwebui import RESPONSES_MARK, Task, TaskKind
from agentllm.gateway.request import BACKGROUND_MARK, Request
from agentllm.llm.retry_after import retry_after
from agentllm.llm.router import acompletion, own_words, status_of

log = logging.getLogger("agentllm.gateway")

LONGEST_TITLE = 50
LONGEST_QUERY = 1_000
"""Characters."""

_PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "response_format",
)
_FINISH_REASONS: Mapping[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}


async def run_task(task: Task, request: Request, model: str | None, *, stream: bool) -> AsyncGenerator[Event, None]:
    """The events of the answer to a background task; with `model` None they come from the task's own text.

    Raises:
        ModelFailed: the model failed; the status is its provider's.
    """
    log.info("background task %s for agent %s: %s", task.kind, request.agent, "a model" if model else "no model")
    if model is None:
        yield Text(answer_without_model(task))
        yield Usage()
        yield Finished("stop")
        return
    try:
        async with aclosing(_ask(model, request, stream=stream)) as events:
            async for event in events:
                yield event
    except Exception as error:
        message = f"The language model {model!r} failed: {own_words(error)[:500]}"
        raise ModelFailed(message, status=status_of(error), retry_after=retry_after(error)) from error


async def _ask(model: str, request: Request, *, stream: bool) -> AsyncGenerator[Event, None]:
    given = request.kwargs["optional_params"]
    answer = await acompletion(
        {
            "model": model,
            "messages": request.kwargs["messages"],
            "metadata": {**request.caller_metadata, BACKGROUND_MARK: True},
            "drop_params": True,
            **{name: given[name] for name in _PARAMETERS if given.get(name) is not None},
            **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
        }
    )
    if not stream:
        for event in _whole(answer):
            yield event
        return
    try:
        async for event in _pieces(answer):
            yield event
    finally:
        await answer.aclose()


def _whole(answer: Any) -> Iterator[Event]:
    choice = answer.choices[0]
    yield from _said(choice.message)
    yield _usage(answer.get("usage"))
    yield Finished(_FINISH_REASONS.get(choice.finish_reason, "stop"))


async def _pieces(chunks: Any) -> AsyncGenerator[Event, None]:
    usage, reason = Usage(), "stop"
    async for chunk in chunks:
        if chunk.get("usage") is not None:
            usage = _usage(chunk.usage)
        if chunk.choices:
            reason = chunk.choices[0].finish_reason or reason
            for event in _said(chunk.choices[0].delta):
                yield event
    yield usage
    yield Finished(_FINISH_REASONS.get(reason, "stop"))


def _said(message: Any) -> Iterator[Event]:
    if reasoning := message.get("reasoning_content"):
        yield Reasoning(reasoning)
    if message.content:
        yield Text(message.content)


def _usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
        cached_tokens=(prompt and prompt.cached_tokens) or 0,
    )


def answer_without_model(task: Task) -> str:
    """The answer in the form that Open WebUI reads, made of the task's own text."""
    answer = _ANSWERS[task.kind](task.prompt)
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _title(prompt: str) -> JsonObject:
    """An empty title makes Open WebUI take the message itself."""
    return {"title": _shortened(_plain_words(_asked(prompt, first=True)), LONGEST_TITLE)}


def _tags(prompt: str) -> JsonObject:
    """What Open WebUI's own prompt prescribes for a chat that says too little."""
    return {"tags": ["General"]}


def _follow_ups(prompt: str) -> JsonObject:
    return {"follow_ups": []}


def _queries(prompt: str) -> JsonObject:
    """No query makes Open WebUI search for the message itself."""
    query = _shortened(_in_one_line(_asked(prompt)), LONGEST_QUERY)
    return {"queries": [query] if query else []}


def _image_prompt(prompt: str) -> JsonObject:
    return {"prompt": _in_one_line(_asked(prompt))}


def _autocomplete(prompt: str) -> JsonObject:
    return {"text": ""}


def _function_calling(prompt: str) -> JsonObject:
    return {"tool_calls": []}


def _memory_review(prompt: str) -> JsonObject:
    return {"operations": []}


def _other(prompt: str) -> JsonObject:
    return {}


def _emoji(prompt: str) -> str:
    return "🙂"


def _merged(prompt: str) -> str:
    """The answers that were to be merged, one after the other."""
    answers = prompt.partition(RESPONSES_MARK)[2].strip().removeprefix('"""').removesuffix('"""')
    return "\n\n---\n\n".join(answers.split('"""\n\n"""'))


def _compacted(prompt: str) -> str:
    """Nothing: Open WebUI then shortens the messages itself."""
    return ""


_ANSWERS: Mapping[TaskKind, Callable[[str], JsonObject | str]] = {
    "title_generation": _title,
    "tags_generation": _tags,
    "follow_up_generation": _follow_ups,
    "query_generation": _queries,
    "image_prompt_generation": _image_prompt,
    "autocomplete_generation": _autocomplete,
    "emoji_generation": _emoji,
    "moa_response_generation": _merged,
    "function_calling": _function_calling,
    "context_compaction": _compacted,
    "memory_review": _memory_review,
    "other": _other,
}

_SPEAKER = re.compile(r"^(USER|ASSISTANT|SYSTEM|TOOL): ?", re.MULTILINE)
_FENCE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_LINE_MARK = re.compile(r"^\s*(?:#{1,6}|>|[-*+]|\d+[.)])\s+", re.MULTILINE)
_STRONG = re.compile(r"(\*\*|~~|`+)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<!\w)(__|_|\*)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_READ_FOR_TITLE = 1_000


def _asked(prompt: str, *, first: bool = False) -> str:
    """The newest message of the person in the chat's history, or the first; empty where there is none."""
    _, *parts = _SPEAKER.split(_history(prompt))
    asked = [text for role, text in zip(parts[::2], parts[1::2], strict=True) if role == "USER" and text.strip()]
    return (_without_files(asked[0 if first else -1])) if asked else ""


def _history(prompt: str) -> str:
    """What stands between the marks of the chat's history."""
    inside = prompt.partition("<chat_history>")[2] or prompt.partition("### Chat History:")[2]
    return inside.rpartition("</chat_history>")[0] or inside


def _without_files(message: str) -> str:
    """`message` without the list of files that Open WebUI puts before it."""
    if not message.lstrip().startswith("<attached_files>"):
        return message
    return message.partition("</attached_files>")[2]


def _plain_words(markdown: str) -> str:
    text = markdown.strip()[:_READ_FOR_TITLE]
    for mark in (_FENCE, _LINE_MARK):
        text = mark.sub("", text)
    text = _LINK.sub(r"\1", text)
    for pair in (_STRONG, _EMPHASIS):
        text = pair.sub(r"\2", text)
    return _in_one_line(text)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _shortened(text: str, limit: int) -> str:
    """`text` with at most `limit` characters, cut behind a word where one ends in the second half."""
    if len(text) <= limit:
        return text
    end = limit - 1
    while end and _joined(text[end - 1], text[end]):
        end -= 1
    space = text.rfind(" ", limit // 2, end + 1)
    return f"{text[: space if space > 0 else end].rstrip(' ,;:-')}…"


def _joined(before: str, after: str) -> bool:
    """Whether two characters are shown as one: an accent and its letter, the parts of an emoji."""
    return before == "\u200d" or unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf", "Sk")
