"""Events as JSON: what is read is what was written, for everything that a client gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import (
    Choice,
    ClientCalls,
    Event,
    Field,
    Finished,
    FinishReason,
    Link,
    Media,
    Message,
    Question,
    Questions,
    Reasoning,
    Shown,
    Text,
    ToolCall,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, ConversationBusy, InvalidRequest, ModelFailed, RunTimedOut
from agentllm.idempotency.events import error_from_json, error_to_json, from_json, joined, to_json

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.text(), plain, max_size=3)
maybe = st.none() | st.text()
counts = st.integers(0, 10**9)
kinds = st.sampled_from(("image", "audio", "file"))
media = st.builds(Media, kinds, st.text(), st.binary(max_size=40), maybe)
links = st.builds(Link, st.sampled_from(("image", "audio")), st.text())
calls = st.builds(ToolCall, st.text(), st.text(), st.text(), st.none() | objects)
fields = st.builds(Field, st.text(), st.text(), st.text(), plain)
options = st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple)
choices = st.builds(Choice, st.text(), st.text(), options, st.booleans())
questions = st.builds(
    Question,
    st.text(),
    st.sampled_from(("confirmation", "values", "choices")),
    st.text(),
    objects,
    st.lists(fields, max_size=2).map(tuple),
    st.lists(choices, max_size=2).map(tuple),
)
work_kinds = st.sampled_from(("tool", "member", "step"))
states = st.sampled_from(("started", "finished", "failed"))
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Text, st.text()),
    st.builds(Reasoning, st.text()),
    st.builds(Shown, media | links, st.text()),
    st.builds(Work, st.text(), work_kinds, st.text(), states, objects, st.text(), maybe),
    st.builds(Usage, counts, counts, counts, counts),
    st.builds(ClientCalls, st.lists(calls, max_size=2).map(tuple)),
    st.builds(Questions, st.lists(questions, max_size=2).map(tuple)),
    st.builds(Finished, st.sampled_from(get_args(FinishReason)), model=maybe, asked=maybe),
)


def text_of(told: Sequence[Event], kind: type[Text] | type[Reasoning]) -> str:
    return "".join(event.text for event in told if isinstance(event, kind))


@given(st.lists(events, max_size=6))
def test_what_is_read_is_what_was_written(told: list[Event]) -> None:
    assert from_json(to_json(told)) == list(joined(told))


@given(st.lists(events, max_size=6))
def test_reading_and_writing_again_changes_nothing(told: list[Event]) -> None:
    once = to_json(told)
    assert to_json(from_json(once)) == once


@given(st.lists(events, max_size=6))
def test_it_is_ascii_that_any_database_takes(told: list[Event]) -> None:
    text = to_json(told)
    assert text.isascii()
    assert "\0" not in text


@given(st.lists(events, max_size=8))
def test_neighbouring_pieces_are_joined_and_nothing_else_changes(told: list[Event]) -> None:
    pieces = list(joined(told))
    assert all(
        type(one) is not type(other) or not isinstance(one, (Text, Reasoning)) for one, other in pairwise(pieces)
    )
    for kind in (Text, Reasoning):
        assert text_of(pieces, kind) == text_of(told, kind)
    others = [event for event in told if not isinstance(event, (Text, Reasoning))]
    assert [event for event in pieces if not isinstance(event, (Text, Reasoning))] == others


def test_every_kind_of_event_is_covered() -> None:
    drawn = {Text, Reasoning, Shown, Work, Usage, ClientCalls, Questions, Finished}
    assert set(get_args(Event)) == drawn


def test_of_the_end_only_the_reason_is_kept() -> None:
    end = Finished("stop", (Message("assistant", "canary"),), {"state": "canary"}, {"pending": "canary"})
    assert "canary" not in to_json([end])
    assert from_json(to_json([end])) == [replace(end, messages=(), state=None, pending=None)]


@pytest.mark.parametrize(
    "error",
    [
        AgentFailed("no"),
        ModelFailed("no", status=429),
        RunTimedOut("late"),
        ConversationBusy(3, retry_after=5),
        InvalidRequest("no", param="stop"),
    ],
)
def test_an_error_keeps_what_a_client_is_told(error: AgentFailed | InvalidRequest) -> None:
    again = error_from_json(error_to_json(error))
    told = (error.message, error.status, error.type, error.retry_after)
    assert (again.message, again.status, again.type, again.retry_after) == told
    assert isinstance(again, InvalidRequest) == isinstance(error, InvalidRequest)
    if isinstance(error, InvalidRequest):
        assert isinstance(again, InvalidRequest)
        assert again.param == error.param


def test_an_error_that_is_not_ours_tells_nothing_of_itself() -> None:
    assert "canary" not in error_to_json(ValueError("canary"))
    assert json.loads(error_to_json(ValueError("canary")))["status"] == 500
