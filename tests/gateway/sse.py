"""Server-sent events of chat completions, read as OpenAI's SDK reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDelta

DONE = "[DONE]"


@dataclass
class Stream:
    """What a client gets of one answer: its chunks, and how it ended."""

    chunks: list[ChatCompletionChunk] = field(default_factory=list)
    error: dict[str, Any] | None = None
    is_done: bool = False

    @property
    def deltas(self) -> list[ChoiceDelta]:
        return [chunk.choices[0].delta for chunk in self.chunks if chunk.choices]

    @property
    def text(self) -> str:
        return "".join(delta.content or "" for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(getattr(delta, "reasoning_content", None) or "" for delta in self.deltas)

    @property
    def finishes(self) -> list[str]:
        return [c.choices[0].finish_reason for c in self.chunks if c.choices and c.choices[0].finish_reason]

    @property
    def usages(self) -> list[tuple[int, int]]:
        return [(c.usage.prompt_tokens, c.usage.completion_tokens) for c in self.chunks if c.usage is not None]

    @property
    def tool_calls(self) -> list[tuple[str | None, str | None, str]]:
        """Id, name and arguments of each call, put together by their index."""
        calls: dict[int, tuple[str | None, str | None, str]] = {}
        for call in (call for delta in self.deltas for call in delta.tool_calls or ()):
            id_, name, arguments = calls.get(call.index, (None, None, ""))
            function = call.function
            more = (function.arguments or "") if function else ""
            calls[call.index] = (id_ or call.id, name or (function.name if function else None), arguments + more)
        return [calls[index] for index in sorted(calls)]

    def fields(self, name: str) -> list[Any]:
        """The values of a field that is none of OpenAI's, from all deltas that have it."""
        return [found for delta in self.deltas if (found := (delta.model_extra or {}).get(name)) is not None]


def read_sse(frames: Iterable[str]) -> Stream:
    """The stream that `frames` are.

    Raises:
        AssertionError: they are no server-sent events, or something stands behind the end.
        ValidationError: a chunk is none of a chat completion.
    """
    stream = Stream()
    for event in "".join(frames).split("\n\n"):
        if not event or event.startswith(":"):
            continue
        assert event.startswith("data: "), event
        assert "\n" not in event
        assert not stream.is_done
        assert stream.error is None
        data = event.removeprefix("data: ")
        if data == DONE:
            stream.is_done = True
            continue
        parsed = json.loads(data)
        if "error" in parsed:
            stream.error = parsed["error"]
        else:
            stream.chunks.append(ChatCompletionChunk.model_validate(parsed))
    return stream
