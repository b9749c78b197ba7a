"""What clients are told of costs, beside what LiteLLM counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litellm.types.utils import ModelResponseStream, Usage

from agentllm.gateway.costs import MOST, Costs


def chunk(*, usage: bool) -> ModelResponseStream:
    made = ModelResponseStream(id="c", model="m", choices=[])
    if usage:
        made.usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cost=0.0)
    return made


async def stream_of(*chunks: Any) -> AsyncIterator[Any]:
    for one in chunks:
        yield one


async def told(costs: Costs, *chunks: Any) -> list[Any]:
    return [one async for one in costs.telling("call", stream_of(*chunks))]


async def test_the_usage_of_a_stream_tells_the_last_cost() -> None:
    costs, given = Costs(), chunk(usage=True)
    counted = given.usage
    costs.note("call", 0.5)
    costs.note("call", 0.75)
    _, last = await told(costs, chunk(usage=False), given)
    assert last.usage.cost == 0.75
    assert counted.cost == 0.0


async def test_a_cost_that_is_not_known_is_left_out() -> None:
    costs = Costs()
    costs.note("call", None)
    (last,) = await told(costs, chunk(usage=True))
    assert "cost" not in last.usage.model_dump(exclude_none=True)


async def test_an_answer_of_another_model_is_left_as_it_is() -> None:
    (last,) = await told(Costs(), chunk(usage=True))
    assert last.usage.cost == 0.0


async def test_events_of_messages_tell_it() -> None:
    costs = Costs()
    costs.note("call", 0.5)
    delta = b'event: message_delta\ndata: {"type": "message_delta", "usage": {"output_tokens": 2}}\n\n'
    first, found = await told(costs, b"event: ping\ndata: {}\n\n", delta + b"event: message_stop\ndata: {}\n\n")
    assert first == b"event: ping\ndata: {}\n\n"
    lines = found.decode().splitlines()
    assert json.loads(lines[1].removeprefix("data: "))["usage"] == {"output_tokens": 2, "cost": 0.5}
    assert lines[3] == "event: message_stop"


@pytest.mark.parametrize("data", [b"event: message_delta\ndata: {", b"data: [DONE]\n\n", b""])
async def test_what_has_no_whole_event_is_left_as_it_is(data: bytes) -> None:
    costs = Costs()
    costs.note("call", 0.5)
    assert await told(costs, data) == [data]


async def test_a_whole_message_tells_it_once() -> None:
    costs = Costs()
    costs.note("call", 0.5)
    answer: dict[str, Any] = {"usage": {"output_tokens": 2}}
    costs.tell("call", answer)
    assert answer["usage"]["cost"] == 0.5
    again: dict[str, Any] = {"usage": {"output_tokens": 2}}
    costs.tell("call", again)
    assert "cost" not in again["usage"]


async def test_only_the_newest_are_remembered() -> None:
    costs = Costs()
    for number in range(MOST + 1):
        costs.note(str(number), 1.0)
    oldest: dict[str, Any] = {"usage": {}}
    costs.tell("0", oldest)
    assert oldest == {"usage": {}}
