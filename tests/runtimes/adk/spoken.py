"""A model of ADK that says what a test tells it to, and runs of agents that have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from google.adk.agents import BaseAgent, LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import Field, PrivateAttr

from agentllm.core import Caller, Event, Finished, Message, Swap, Text, Turn
from agentllm.hotswap.in_force import IN_FORCE, InForce
from agentllm.runtimes.adk import AdkRuntime

Step = Sequence[types.Part] | str | Exception | LlmResponse
E = TypeVar("E")


def called(name: str, **arguments: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(name=name, args=arguments))


def thought(text: str) -> types.Part:
    return types.Part(text=text, thought=True)


class Spoken(BaseLlm):
    """Says `steps`, one a call; texts come in words where it is streamed. `hangs` after what it has said in pieces."""

    model: str = "spoken"
    steps: list[Any] = Field(default_factory=list)
    hangs: bool = False
    _asked: list[LlmRequest] = PrivateAttr(default_factory=list)
    _closed: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    @property
    def asked(self) -> list[LlmRequest]:
        return self._asked

    @property
    def closed(self) -> asyncio.Event:
        return self._closed

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        self._asked.append(llm_request.model_copy(deep=True))
        step = self.steps.pop(0) if self.steps else "ok"
        if isinstance(step, Exception):
            raise step
        if isinstance(step, LlmResponse):
            yield step
            return
        parts = [types.Part(text=step)] if isinstance(step, str) else list(step)
        try:
            for part in parts if stream else ():
                for word in (part.text or "").split(" "):
                    if word:
                        piece = types.Part(text=word, thought=part.thought)
                        yield LlmResponse(partial=True, content=types.Content(role="model", parts=[piece]))
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self._closed.set()
        whole = [p.model_copy(update={"text": p.text.replace(" ", "")}) if p.text and stream else p for p in parts]
        yield LlmResponse(
            content=types.Content(role="model", parts=whole),
            finish_reason=types.FinishReason.STOP,
            usage_metadata=tokens(10, 2),
        )


def tokens(prompt: int, completion: int, thoughts: int = 0) -> types.GenerateContentResponseUsageMetadata:
    return types.GenerateContentResponseUsageMetadata(
        prompt_token_count=prompt,
        candidates_token_count=completion,
        thoughts_token_count=thoughts or None,
        total_token_count=prompt + completion + thoughts,
    )


def speaking(*steps: Step, name: str = "spoken", hangs: bool = False) -> Spoken:
    return Spoken(model=name, steps=list(steps), hangs=hangs)


def agent(model: BaseLlm, name: str = "agent", **more: Any) -> LlmAgent:
    return LlmAgent(name=name, model=model, **more)


def turn(*said: Message | str, **more: Any) -> Turn:
    messages = tuple(Message("user", one) if isinstance(one, str) else one for one in said or ("hi",))
    return replace(Turn("turn-id", "agent", Caller("key"), messages), **more)


async def run(
    runs: BaseAgent | AdkRuntime, asked: Turn | None = None, *, in_force: InForce | None = None
) -> list[Event]:
    """All events of a turn."""
    runtime = runs if isinstance(runs, AdkRuntime) else AdkRuntime(runs)
    IN_FORCE.set(in_force)
    async with aclosing(runtime.run(asked or turn())) as events:
        return [event async for event in events]


def of(kind: type[E], events: Sequence[Event]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in of(Text, events))


def finished(events: Sequence[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def swapped(model: str | None = None, prompt: str | None = None) -> InForce:
    return InForce(Swap(model, prompt), lambda model: None)
