"""The tools that an ADK agent calls, as `Work`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from google.adk.events.event import Event
from google.genai import types

from agentllm.core import WORK_ID, JsonObject, Work
from agentllm.runtimes.adk.messages import result_text

FAILED = "It failed; the agent was told why."
"""What may be told of a failure: its text can hold what is not for the person who asked."""

UNFINISHED = "It ended without a result."

_SILENT = frozenset({"set_model_response", "finish_task"})
"""Tools of ADK's with which a model gives its answer a form."""


class WorkOfRun:
    """The work of one run: each call of a tool is told as it starts, and as it ends.

    A call that the client runs is no work.
    """

    def __init__(self, agent: str, client_tools: Iterable[str]) -> None:
        self._agent = agent
        self._silent = _SILENT | set(client_tools)
        self._open: dict[str | None, Work] = {}

    def of(self, event: Event) -> Iterator[Work]:
        """What a whole event of the run tells."""
        for call in event.get_function_calls():
            if call.name not in self._silent and call.id not in self._open:
                by = event.author if event.author != self._agent else None
                work = Work(f"{WORK_ID}{call.id}", "tool", call.name or "tool", "started", _json(call.args), by=by)
                self._open[call.id] = work
                yield work
        for response in event.get_function_responses():
            if (begun := self._open.pop(response.id, None)) is not None:
                failed = _has_failed(response)
                result = FAILED if failed else result_text(response)
                yield replace(begun, status="failed" if failed else "finished", result=result)

    def left(self) -> Iterator[Work]:
        """The ends of what has not ended, however the run did."""
        left, self._open = list(self._open.values()), {}
        for work in left:
            yield replace(work, status="failed", result=UNFINISHED)


def _has_failed(response: types.FunctionResponse) -> bool:
    return (response.response or {}).keys() == {"error"}


def _json(arguments: object) -> JsonObject:
    found: JsonObject = json.loads(json.dumps(arguments or {}, default=str))
    return found
