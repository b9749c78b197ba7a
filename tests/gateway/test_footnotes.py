"""What clients are told at the end of an answer, beside what LiteLLM passes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import ModelResponseStream, Usage

from agentllm.gateway.footnotes import MOST, Footnotes


def chunk(*, usage: bool) -> ModelResponseStream:
    made = ModelResponseStream(id="c", model="m", choices=[])
    if usage:
        made.usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cost=0.0)
    return made


async def stream_of(*chunks: Any) -> AsyncIterator[Any]:
    for one in chunks:
        yield one


async def told(footnotes: Footnotes, *chunks: Any) -> list[Any]:
    return [one async for one in footnotes.telling("call", stream_of(*chunks))]


async def test_the_usage_of_a_stream_tells_the_last_cost() -> None:
    footnotes, given = Footnotes(), chunk(usage=True)
    counted = given.usage
    footnotes.of("call").cost = 0.5
    footnotes.of("call").cost = 0.75
    _, last = await told(footnotes, chunk(usage=False), given)
    assert last.usage.cost == 0.75
    assert counted.cost == 0.0


async def test_a_cost_that_is_not_known_is_left_out() -> None:
    footnotes = Footnotes()
    footnotes.of("call").cost = None
    (last,) = await told(footnotes, chunk(usage=True))
    assert "cost" not in last.usage.model_dump(exclude_none=True)


async def test_an_answer_of_another_model_is_left_as_it_is() -> None:
    (last,) = await told(Footnotes(), chunk(usage=True))
    assert last.usage.cost == 0.0


async def test_events_of_messages_tell_it() -> None:
    footnotes = Footnotes()
    footnotes.of("call").cost = 0.5
    delta = b'event: message_delta\ndata: {"type": "message_delta", "usage": {"output_tokens": 2}}\n\n'
    first, found = await told(footnotes, b"event: ping\ndata: {}\n\n", delta + b"event: message_stop\ndata: {}\n\n")
    assert first == b"event: ping\ndata: {}\n\n"
    lines = found.decode().splitlines()
    assert json.loads(lines[1].removeprefix("data: "))["usage"] == {"output_tokens": 2, "cost": 0.5}
    assert lines[3] == "event: message_stop"


@pytest.mark.parametrize("data", [b"event: message_delta\ndata: {", b"data: [DONE]\n\n", b""])
async def test_what_has_no_whole_event_is_left_as_it_is(data: bytes) -> None:
    footnotes = Footnotes()
    footnotes.of("call").cost = 0.5
    assert await told(footnotes, data) == [data]


async def test_a_whole_message_tells_it_once() -> None:
    footnotes = Footnotes()
    footnotes.of("call").cost = 0.5
    answer: dict[str, Any] = {"usage": {"output_tokens": 2}}
    footnotes.tell("call", answer)
    assert answer["usage"]["cost"] == 0.5
    again: dict[str, Any] = {"usage": {"output_tokens": 2}}
    footnotes.tell("call", again)
    assert "cost" not in again["usage"]


@pytest.mark.parametrize("whole", [True, False])
async def test_an_answer_of_responses_names_the_model_in_its_metadata(whole: bool) -> None:
    footnotes = Footnotes()
    footnotes.of("call").model = "openai/gpt"
    answer = ResponsesAPIResponse(id="r", created_at=0, output=[], metadata={"mine": "1"})
    if whole:
        footnotes.tell("call", answer)
    else:
        await told(footnotes, SimpleNamespace(response=answer))
    assert answer.metadata == {"mine": "1", "agentllm_model": "openai/gpt"}


async def test_a_message_names_the_model_beside_its_usage() -> None:
    footnotes = Footnotes()
    footnotes.of("call").model = "openai/gpt"
    delta = b'event: message_delta\ndata: {"type": "message_delta", "usage": {}}\n\n'
    (found,) = await told(footnotes, delta)
    assert json.loads(found.decode().splitlines()[1].removeprefix("data: "))["agentllm_model"] == "openai/gpt"
    footnotes.of("call").model = "openai/gpt"
    answer: dict[str, Any] = {"usage": {}}
    footnotes.tell("call", answer)
    assert answer["agentllm_model"] == "openai/gpt"


def test_a_request_without_an_id_is_noted_for_nobody() -> None:
    footnotes = Footnotes()
    footnotes.of(None).model = "openai/gpt"
    assert footnotes.of(None).model is None


async def test_only_the_newest_are_remembered() -> None:
    footnotes = Footnotes()
    for number in range(MOST + 1):
        footnotes.of(str(number)).cost = 1.0
    oldest: dict[str, Any] = {"usage": {}}
    footnotes.tell("0", oldest)
    assert oldest == {"usage": {}}
