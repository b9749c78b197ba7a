"""An agent's work as Open WebUI shows it: a status line, and a card for each call of a tool.

The cards are items of OpenAI's Responses API amid the chunks of chat completions. Open WebUI
would run a call itself that has no output when the stream ends, so none is left without.
(From open_webui 0.12.4: utils/middleware.py, utils/response.py, structuredOutput.ts.)
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any

from litellm.types.utils import ModelResponseStream

from agentllm.core import Work
from agentllm.gateway import openwebui
from agentllm.gateway.work import WORK, line

LAST = 1_000_000
"""The index of an item that goes behind all there are; Open WebUI makes items of text and thoughts by itself."""

NO_RESULT = "It ended without a result."


def shows_work(headers: Mapping[str, str]) -> bool:
    """Whether the request is for an answer that Open WebUI shows in a chat."""
    return openwebui.chat_id(headers) is not None and not headers.get(openwebui.TASK_HEADER)


async def with_cards(chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """`chunks` of a streamed answer, with what Open WebUI understands in the place of those that tell of work.

    That is JSON texts, which LiteLLM's proxy sends as events of their own.
    """
    shown = _Shown()
    try:
        async for chunk in chunks:
            delta = chunk.choices[0].delta if isinstance(chunk, ModelResponseStream) and chunk.choices else None
            if delta is None:
                yield chunk
            elif fields := (getattr(delta, "provider_specific_fields", None) or {}).get(WORK):
                for event in shown.events(Work(**fields)):
                    yield event
            else:
                if delta.content:
                    for event in shown.done():
                        yield event
                yield chunk
    except Exception:
        for event in shown.ends():
            yield event
        raise
    for event in shown.ends():
        yield event


class _Shown:
    """What is shown of one answer's work so far."""

    def __init__(self) -> None:
        self._open: dict[str, Work] = {}
        self._ended = 0
        self._failed = 0
        self._is_told = True
        """Whether the status line says that all is done."""

    def events(self, work: Work) -> Iterator[str]:
        """What tells of `work`: a status for its start and one for its end, the card of a tool and its output."""
        self._is_told = False
        yield _status(line(work), done=False)
        if work.status == "started":
            self._open[work.id] = work
            if work.kind == "tool":
                yield _call(work)
            return
        self._open.pop(work.id, None)
        self._ended += 1
        self._failed += work.status == "failed"
        if work.kind == "tool":
            yield _output(work.id, work.result, work.status)

    def done(self) -> Iterator[str]:
        """The status line at rest, where nothing is at work any more and it does not say so yet."""
        if not self._is_told and not self._open:
            self._is_told = True
            steps = f"{self._ended} step{'s' if self._ended > 1 else ''} done"
            yield _status(f"{steps}, {self._failed} failed" if self._failed else steps, done=True)

    def ends(self) -> Iterator[str]:
        """The end of all that is open: the stream is over."""
        for work in self._open.values():
            self._ended += 1
            self._failed += 1
            if work.kind == "tool":
                yield _output(work.id, NO_RESULT, "failed")
        self._open.clear()
        yield from self.done()


def _status(description: str, *, done: bool) -> str:
    return json.dumps({"event": {"type": "status", "data": {"description": description, "done": done}}})


def _call(work: Work) -> str:
    """A call whose arguments are complete, which is all that Open WebUI's "completed" says of one."""
    arguments = json.dumps(work.arguments, ensure_ascii=False)
    item = {"type": "function_call", "id": work.id, "call_id": work.id, "name": work.name, "arguments": arguments}
    return _added({**item, "status": "completed"})


def _output(call_id: str, result: str, status: str) -> str:
    content = [{"type": "input_text", "text": result}]
    item = {"type": "function_call_output", "id": f"{call_id}_output", "call_id": call_id, "output": content}
    return _added({**item, "status": "failed" if status == "failed" else "completed"})


def _added(item: Mapping[str, Any]) -> str:
    return json.dumps({"type": "response.output_item.added", "output_index": LAST, "item": item})
