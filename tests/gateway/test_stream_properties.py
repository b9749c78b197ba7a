"""Whatever a runtime legally yields goes out as one valid stream, behind the router and the proxy's own generator."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.proxy_server import async_data_generator
from litellm.router import Router

from agentllm.core import (
    ClientCalls,
    Event,
    Finished,
    FinishReason,
    Media,
    Memory,
    Reasoning,
    Shown,
    Text,
    ToolCall,
    Turn,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, ConversationBusy, InvalidRequest, ModelFailed, RunTimedOut, StoreUnavailable
from agentllm.gateway.chunks import of_openai
from agentllm.gateway.work import WORK, work_fields
from tests.gateway.conftest import Serve
from tests.gateway.sse import Stream, read_sse

MODEL = "agno/said"
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "store": False}


@dataclass
class Saying:
    """A runtime that yields `events`, and then fails if there is an `error`."""

    events: Sequence[Event] = ()
    error: Exception | None = None
    name: str | None = None
    description: str | None = None
    memory: Memory = field(default_factory=Memory)
    takes_front_end_tools: bool = False

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        for number, event in enumerate(self.events):
            if number % 3 == 0:
                await asyncio.sleep(0)
            yield event
        if self.error is not None:
            raise self.error


@dataclass
class Said:
    """A runtime as it is served, and how to hear it."""

    runtime: Saying
    router: Router

    def hear(self, events: Sequence[Event], error: Exception | None = None, *, include_usage: bool = True) -> Stream:
        """What a client of the proxy gets of a turn."""
        self.runtime.events, self.runtime.error = events, error
        return read_sse(asyncio.run(self._frames(include_usage)))

    async def _frames(self, include_usage: bool) -> list[str]:
        options = {"stream_options": {"include_usage": True}} if include_usage else {}
        request_data = {**ASKED, "stream": True, **options}
        response: Any = await self.router.acompletion(**request_data)
        frames = async_data_generator(of_openai(response), UserAPIKeyAuth(), request_data)
        return [frame.decode() if isinstance(frame, bytes) else frame async for frame in frames]


class Hastening:
    """A clock on which a second has passed whenever it is looked at."""

    def __init__(self) -> None:
        self._now = itertools.count(1_800_000_000.0)

    def time(self) -> float:
        return next(self._now)


@pytest.fixture
def said(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    monkeypatch.setattr("litellm.types.utils.time", Hastening())
    runtime = Saying()
    serve(said=runtime)
    router = Router([{"model_name": MODEL, "litellm_params": {"model": MODEL, "num_retries": 0, "cooldown_time": 0}}])
    yield Said(runtime, router)
    router.discard()  # type: ignore[no-untyped-call]


spoken = st.text(min_size=1, max_size=6)
hostile = st.sampled_from(
    [" ", "\n", "\n\n", "\r", "data: ", "data: [DONE]\n\n", "{", "\x00", "\u2028", "🐘", "<s>", "None"]
)
pieces = spoken | hostile
counts = st.builds(Usage, st.integers(0, 9_999), st.integers(0, 9_999), st.integers(0, 99), st.integers(0, 99))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | pieces,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(pieces, inner, max_size=2),
    max_leaves=4,
)
work = st.builds(
    Work,
    id=st.sampled_from(["1", "2"]),
    kind=st.sampled_from(["tool", "member", "step"]),
    name=pieces,
    status=st.sampled_from(["started", "finished", "failed"]),
    arguments=st.dictionaries(pieces, json_values, max_size=2),
    result=pieces | st.just(""),
    by=st.none() | pieces,
)
images = st.builds(lambda data: Shown(Media("image", "image/png", data)), st.binary(max_size=8))
sounds = st.builds(lambda data, words: Shown(Media("audio", "audio/wav", data), words), st.binary(max_size=8), pieces)
calls = st.lists(st.tuples(pieces, json_values.map(repr)), min_size=1, max_size=3).map(
    lambda given: ClientCalls(tuple(ToolCall(f"call_{i}", name, text) for i, (name, text) in enumerate(given)))
)
told: st.SearchStrategy[list[Event]] = st.lists(
    st.one_of(pieces.map(Text), pieces.map(Text), pieces.map(Reasoning), counts, work, images, sounds), max_size=12
)
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "content_filter"])
errors = st.sampled_from(
    [
        AgentFailed("The agent failed."),
        ModelFailed("The model failed.", status=429),
        ModelFailed("The model failed.", status=401),
        ModelFailed("The model failed.", status=503),
        RunTimedOut("Too long."),
        InvalidRequest("Not so.", param="messages"),
        StoreUnavailable("The store is gone."),
        ConversationBusy(9, retry_after=2),
        RuntimeError("secret of the code"),
    ]
)


def summed(events: Sequence[Event]) -> list[Event]:
    """`events` with usage as runtimes tell it: each the sum so far."""
    total = Usage()
    made: list[Event] = []
    for event in events:
        if isinstance(event, Usage):
            event = total = total + event
        made.append(event)
    return made


@st.composite
def whole_turns(draw: st.DrawFn) -> list[Event]:
    """Any turn that goes well."""
    events = [*draw(told), draw(counts)]
    if draw(st.booleans()):
        return summed([*events, draw(calls), Finished("tool_calls")])
    return summed([*events, Finished(draw(reasons))])


LEISURELY = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def of(kind: type[Any], events: Sequence[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def check_what_was_told(stream: Stream, events: Sequence[Event]) -> None:
    """All that `events` tell is in the stream, in order, under one id, one time and one role."""
    assert stream.text == "".join(event.text for event in of(Text, events))
    assert stream.reasoning == "".join(event.text for event in of(Reasoning, events))
    fields = [found[WORK] for found in stream.fields("provider_specific_fields") if found.get(WORK)]
    assert fields == [work_fields(event) for event in of(Work, events)]
    shown = [media.media for media in of(Shown, events)]
    urls = [image["image_url"]["url"] for found in stream.fields("images") for image in found]
    data = [base64.b64encode(media.data).decode() for media in shown if media.kind == "image"]
    assert urls == [f"data:image/png;base64,{picture}" for picture in data]
    assert [image["index"] for found in stream.fields("images") for image in found] == list(range(len(data)))
    sounds = [base64.b64encode(media.data).decode() for media in shown if media.kind == "audio"]
    assert [audio["data"] for audio in stream.fields("audio")] == sounds
    assert len({chunk.id for chunk in stream.chunks}) <= 1
    assert len({chunk.created for chunk in stream.chunks}) <= 1
    assert {chunk.model for chunk in stream.chunks} <= {MODEL}
    roles = [delta.role for delta in stream.deltas]
    assert roles[:1] in ([], ["assistant"], [None])
    assert set(roles[1:]) <= {None}
    if events and not isinstance(events[0], Usage | Finished):
        assert roles[0] == "assistant"


@LEISURELY
@given(events=whole_turns(), include_usage=st.booleans())
def test_a_turn_that_goes_well_is_one_answer_with_one_end(said: Said, events: list[Event], include_usage: bool) -> None:
    stream = said.hear(events, include_usage=include_usage)
    check_what_was_told(stream, events)
    finish = cast("Finished", events[-1])
    assert stream.is_done
    assert stream.finishes == [finish.reason]
    made = [call for event in of(ClientCalls, events) for call in event.calls]
    assert stream.tool_calls == [(call.id, call.name, call.arguments) for call in made]
    last: Usage = of(Usage, events)[-1]
    assert stream.usages == ([(last.prompt_tokens, last.completion_tokens)] if include_usage else [])
    check_nothing_stands_behind_the_finish(stream)


def check_nothing_stands_behind_the_finish(stream: Stream) -> None:
    """Behind the finish reason there is only the usage."""
    ends = [index for index, chunk in enumerate(stream.chunks) if chunk.choices and chunk.choices[0].finish_reason]
    for chunk in stream.chunks[ends[0] + 1 :]:
        assert chunk.usage is not None
        assert all(not choice.delta.model_dump(exclude_none=True) for choice in chunk.choices)


@LEISURELY
@given(events=told.map(summed), error=errors)
def test_a_turn_that_fails_ends_in_its_error_and_nothing_behind_it(
    said: Said, events: list[Event], error: Exception
) -> None:
    stream = said.hear(events, error)
    check_what_was_told(stream, events)
    assert stream.error is not None
    assert not stream.is_done
    assert stream.finishes == []
    assert "secret" not in str(stream.error)
    assert "Traceback" not in str(stream.error)


@pytest.mark.parametrize("pattern", [["spam "], ["spam ", "egg "]])
def test_an_answer_that_repeats_itself_is_sent_whole(said: Said, pattern: list[str]) -> None:
    work = Work("1", "tool", "t", "started")
    events = [event for text in pattern * 120 for event in (Text(text), replace(work, id=text))]
    stream = said.hear([*events, Usage(1, 1), Finished("stop")])
    assert stream.text == "".join(pattern * 120)
    assert stream.is_done
