"""From events to LiteLLM's chunks and answers, read as LiteLLM reads them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import litellm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.types.utils import ModelResponse, ModelResponseStream

from agentllm.core import Event, Finished, FinishReason, Link, Media, Reasoning, Shown, Text, Usage
from agentllm.gateway.chunks import Answer, litellm_usage, of_openai, whole_answer

HI = [{"role": "user", "content": "hi"}]


async def events_of(events: Sequence[Event]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


@pytest.fixture(autouse=True)
def agno_is_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "_custom_providers", ["agno"])


def read_by_litellm(events: Sequence[Event], *, model: str = "demo") -> list[ModelResponseStream]:
    """What LiteLLM gives out for the chunks of `events`, usage included."""

    async def read() -> list[ModelResponseStream]:
        call_id = str(uuid.uuid4())
        logging = Logging(model, HI, True, "acompletion", datetime.now(UTC), call_id, call_id)
        logging.model_call_details["litellm_params"] = {}
        logging.stream_options = {"include_usage": True}
        wrapper: Any = litellm.CustomStreamWrapper(
            completion_stream=Answer(model, "chatcmpl-1").chunks(events_of(events)),
            model=model,
            logging_obj=logging,
            custom_llm_provider="agno",
            stream_options={"include_usage": True},
        )
        return [chunk async for chunk in of_openai(wrapper)]

    return asyncio.run(read())


@dataclass
class Read:
    """What a client makes of the chunks."""

    text: str
    reasoning: str
    finishes: list[str]
    usages: list[tuple[int, int]]
    ids: set[str]
    times: set[int]


def read(events: Sequence[Event]) -> Read:
    chunks = read_by_litellm(events)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return Read(
        text="".join(delta.content or "" for delta in deltas),
        reasoning="".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas),
        finishes=[c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason],
        usages=[
            (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            for chunk in chunks
            if getattr(chunk, "usage", None) is not None
        ],
        ids={chunk.id for chunk in chunks},
        times={chunk.created for chunk in chunks},
    )


pieces = st.text(min_size=1, max_size=6) | st.sampled_from([" ", "\n", "data: ", "[DONE]", "{", "\x00", "\u2028", "🐘"])
usages = st.builds(Usage, st.integers(0, 9_999), st.integers(0, 9_999), st.integers(0, 99), st.integers(0, 99))
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "content_filter"])
said = st.lists(st.one_of(pieces.map(Text), pieces.map(Reasoning), usages), max_size=12)


def summed(events: Sequence[Event]) -> list[Event]:
    """`events` with usage as runtimes tell it: each the sum so far."""
    total = Usage()
    told: list[Event] = []
    for event in events:
        if isinstance(event, Usage):
            event = total = total + event
        told.append(event)
    return told


turns = st.tuples(said, usages, reasons).map(lambda turn: summed([*turn[0], turn[1], Finished(turn[2])]))


@settings(deadline=None)
@given(turns)
def test_whatever_an_agent_says_the_stream_is_one_answer_with_one_end(events: list[Event]) -> None:
    got = read(events)
    last_usage = [event for event in events if isinstance(event, Usage)][-1]
    finish = events[-1]
    assert isinstance(finish, Finished)
    assert got.text == "".join(event.text for event in events if isinstance(event, Text))
    assert got.reasoning == "".join(event.text for event in events if isinstance(event, Reasoning))
    assert got.finishes == [finish.reason]
    assert got.usages == [(last_usage.prompt_tokens, last_usage.completion_tokens)]
    assert len(got.ids) == 1
    assert len(got.times) == 1


@settings(deadline=None)
@given(turns)
def test_a_whole_answer_says_the_same(events: list[Event]) -> None:
    answer: Any = asyncio.run(whole_answer(events_of(events), ModelResponse(), Answer("demo", "chatcmpl-1")))
    last_usage = [event for event in events if isinstance(event, Usage)][-1]
    finish = events[-1]
    assert isinstance(finish, Finished)
    (choice,) = answer.choices
    assert choice.message.content == "".join(event.text for event in events if isinstance(event, Text))
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    assert getattr(choice.message, "reasoning_content", None) == (reasoning or None)
    assert choice.finish_reason == finish.reason
    assert answer.usage.prompt_tokens == last_usage.prompt_tokens
    assert answer.usage.total_tokens == last_usage.prompt_tokens + last_usage.completion_tokens
    assert (answer.model, answer.id[:9]) == ("demo", "chatcmpl-")


@pytest.mark.parametrize("pattern", [["spam "], ["spam ", "egg "], ["spam ", "spam ", "egg "]])
def test_an_answer_that_repeats_itself_is_sent_whole(pattern: list[str]) -> None:
    texts = pattern * 150
    got = read([*map(Text, texts), Usage(1, 1), Finished("stop")])
    assert got.text == "".join(texts)
    assert len(got.ids) == 1


def test_the_role_is_told_once_at_the_start_or_everywhere() -> None:
    chunks = read_by_litellm([Text("a"), Text("b"), Usage(), Finished("stop")])
    assert chunks[0].choices[0].delta.role == "assistant"


def test_pictures_are_images_in_order_whether_they_are_here_or_elsewhere() -> None:
    shown: list[Event] = [
        Shown(Media("image", "image/png", b"x")),
        Shown(Link("image", "https://example.org/a.png")),
        Shown(Media("audio", "audio/wav", b"y"), "ding"),
        Shown(Media("image", "image/gif", b"z")),
    ]
    urls = ["data:image/png;base64,eA==", "https://example.org/a.png", "data:image/gif;base64,eg=="]
    wanted = [{"type": "image_url", "image_url": {"url": url}, "index": index} for index, url in enumerate(urls)]
    ending: list[Event] = [Usage(1, 1), Finished("stop")]
    deltas: list[Any] = [chunk.choices[0].delta for chunk in read_by_litellm([*shown, *ending]) if chunk.choices]
    assert [image for delta in deltas for image in getattr(delta, "images", None) or ()] == wanted
    answer: Any = asyncio.run(whole_answer(events_of([*shown, *ending]), ModelResponse(), Answer("demo", "chatcmpl-1")))
    assert answer.choices[0].message.images == wanted
    assert answer.choices[0].message.audio.transcript == "ding"


def test_usage_has_the_details_that_there_are() -> None:
    usage = litellm_usage(Usage(10, 5, 3, 4))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 5, 15)
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 3
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 4


def test_details_that_are_unknown_are_left_out() -> None:
    assert litellm_usage(Usage(10, 5)).prompt_tokens_details is None
