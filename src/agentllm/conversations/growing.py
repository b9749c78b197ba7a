"""The answer of a turn that runs, kept in the store as it grows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from agentllm.conversations.store import Begun, Store
from agentllm.core import WORK_ID, Message, ToolCall, Work

KEEP_EVERY = 0.5
"""Seconds of an answer that a process which is killed may leave unstored, with `database.SOON` on top."""


class GrowingAnswer:
    """What the client has of an answer already, each piece that is added, and what the agent's tools do meanwhile.

    It is kept in the store as it grows, also while the agent is silent after a piece.
    """

    def __init__(self, store: Store, begun: Begun) -> None:
        self._store = store
        self._begun = begun
        self._pieces = [begun.position.said_before]
        self._not_in_done = 0 if begun.position.new else 1
        self._done: list[Message] = []
        self._keeping: asyncio.TimerHandle | None = None
        self.calls: tuple[ToolCall, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def done(self) -> tuple[Message, ...]:
        """The calls of the agent's own tools and their results, with the text before each call."""
        return tuple(self._done)

    @property
    def has_grown(self) -> bool:
        return len(self._pieces) > 1 or bool(self._done)

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._keep_soon()

    def note(self, work: Work) -> None:
        """Add a call of a tool of the agent itself, or its result; what members and steps do is told by the agent."""
        if work.kind != "tool" or work.by is not None:
            return
        call_id = work.id.removeprefix(WORK_ID)
        if work.status != "started":
            self._add_result(Message("tool", work.result, tool_call_id=call_id, name=work.name))
        elif call_id not in self._called_before():
            self._add_call(ToolCall(call_id, work.name, json.dumps(work.arguments)))
        self._keep_soon()

    def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()

    def _called_before(self) -> set[str]:
        """The calls of earlier turns, one of which waited for the person until this turn."""
        return {call.id for turn in self._begun.position.path for message in turn.said for call in message.tool_calls}

    def _add_call(self, call: ToolCall) -> None:
        text = "".join(self._pieces[self._not_in_done :])
        self._not_in_done = len(self._pieces)
        if not text and self._done and self._done[-1].role == "assistant":
            self._done[-1] = replace(self._done[-1], tool_calls=(*self._done[-1].tool_calls, call))
        else:
            self._done.append(Message("assistant", text, (call,)))

    def _add_result(self, result: Message) -> None:
        """Put `result` before the next answer after its call, where models want it."""
        made = [{call.id for call in said.tool_calls} for said in self._done]
        place = next((index + 1 for index, ids in enumerate(made) if result.tool_call_id in ids), 0)
        while place < len(self._done) and self._done[place].role == "tool":
            place += 1
        self._done.insert(place, result)

    def _keep_soon(self) -> None:
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().call_later(KEEP_EVERY, self._keep)

    def _keep(self) -> None:
        self._keeping = None
        self._store.keep(self._begun, self.text, self.done)
