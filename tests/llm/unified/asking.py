"""Agents to ask, and their answers, plain and streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentllm import UnifiedAgent
from agentllm.core import JsonObject
from agentllm.llm.unified import Answer, UnifiedEvent

OPENAI, SPARE = "openai/gpt-4o", "openai/gpt-4o-mini"
SECOND = 30.0

either_way = pytest.mark.parametrize("stream", [False, True])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


WEATHER: JsonObject = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def answer_of(agent: UnifiedAgent, prompt: Any = "hi", *, stream: bool) -> Answer:
    if not stream:
        return await agent.run(prompt)
    *_, last = await events_of(agent, prompt)
    assert isinstance(last, Answer)
    return last


async def events_of(agent: UnifiedAgent, prompt: Any = "hi") -> Sequence[UnifiedEvent]:
    return [event async for event in agent.stream(prompt)]
