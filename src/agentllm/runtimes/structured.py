"""Holds an agent to the form of answer that a request asks for: the answer is one JSON value that fits, or an error.

That JSON is passed on piece by piece as the agent says it. What it says before a call of a tool is
no part of the answer, so it goes out as reasoning.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from agentllm.around import Around
from agentllm.core import (
    ClientCalls,
    Event,
    Finished,
    Json,
    OutputFormat,
    Questions,
    Reasoning,
    Runtime,
    Text,
    Turn,
    Work,
)
from agentllm.errors import MalformedAnswer
from agentllm.runtimes.schemas import flaw

_ANY_VALUE = '{["-0123456789tfn'
"""What JSON values begin with."""


def structured(runtime: Runtime) -> Runtime:
    """`runtime`, whose answers have the form of `Turn.output_format`; without one a turn is run as it is.

    An answer is passed on as it is said, or whole where the turn is not streamed. Before `Finished` it
    is checked. An answer that was cut, or that ends in calls or questions, is not checked: `Finished.reason`
    or those events tell of it. A code fence, or any other text beside the JSON, is no part of JSON.

    Raises (from `Runtime.run`):
        MalformedAnswer: the answer is not in the form.
    """
    return _Structured(runtime)


class _Structured(Around):
    def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        if turn.output_format is None:
            return self._inner.run(turn)
        return _checked(self._inner, turn, turn.output_format)


async def _checked(runtime: Runtime, turn: Turn, form: OutputFormat) -> AsyncGenerator[Event, None]:
    answer = _Answer(form, is_streamed=turn.stream)
    async with aclosing(runtime.run(turn)) as events:
        async for event in events:
            if isinstance(event, Finished) and event.reason == "stop" and answer.is_whole:
                await asyncio.to_thread(_check, answer.text, form, turn.agent)
            for piece in answer.pieces(event):
                yield piece


class _Answer:
    """What is said of an answer, held back until it is sure to be its JSON."""

    def __init__(self, form: OutputFormat, *, is_streamed: bool) -> None:
        self.is_whole = True
        """Whether it does not end in calls or questions."""
        self._begins_with = "{" if _is_object(form) else _ANY_VALUE
        self._is_streamed = is_streamed
        self._has_begun = False
        self._passed_on: list[str] = []
        self._held = ""

    @property
    def text(self) -> str:
        return "".join(self._passed_on) + self._held

    def pieces(self, event: Event) -> Iterator[Event]:
        """What goes out now that `event` has come."""
        match event:
            case Text(text):
                yield from self._say(text)
                return
            case Work(status="started", by=None):
                yield from self._interrupt()
            case ClientCalls() | Questions():
                self.is_whole = False
                yield from self._interrupt()
            case Finished() if self._held.strip():
                yield Text(self._held.lstrip())
        yield event

    def _say(self, text: str) -> Iterator[Text]:
        if self._has_begun:
            self._passed_on.append(text)
            yield Text(text)
            return
        self._held += text
        begun = self._held.lstrip()
        if self._is_streamed and begun and begun[0] in self._begins_with:
            self._has_begun, self._held = True, ""
            self._passed_on.append(begun)
            yield Text(begun)

    def _interrupt(self) -> Iterator[Reasoning]:
        """The agent calls a tool: what is held is no answer, and what comes then may be one."""
        held, self._held, self._has_begun = self._held, "", False
        if held.strip():
            yield Reasoning(held)


def _is_object(form: OutputFormat) -> bool:
    return form.schema is None or form.schema.get("type") == "object"


def _check(text: str, form: OutputFormat, agent: str) -> None:
    wrong = _flaw(text, form)
    if wrong is not None:
        raise MalformedAnswer(f"The answer of the agent {agent!r} is not what response_format asks for: {wrong}.")


def _flaw(text: str, form: OutputFormat) -> str | None:
    try:
        value: Json = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        return f"it is not JSON, from line {error.lineno}, column {error.colno} on"
    except (ValueError, RecursionError):
        return "it is not JSON"
    if form.schema is not None:
        return flaw(value, form.schema)
    return None if isinstance(value, dict) else "it is JSON, but no object"


def _refuse(constant: str) -> None:
    raise ValueError(constant)
