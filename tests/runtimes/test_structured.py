"""Answers held to the form that a request asks for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import (
    Caller,
    ClientCalls,
    Event,
    Finished,
    FinishReason,
    Memory,
    Message,
    OutputFormat,
    Question,
    Questions,
    Reasoning,
    Runtime,
    Text,
    ToolCall,
    Turn,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, MalformedAnswer
from agentllm.runtimes.structured import structured
from tests.runtimes.told import Told

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["name", "size"],
}
ULM = '{"name": "Ulm", "size": 3}'
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
STARTED = Work("1", "tool", "add", "started")


def turn(form: OutputFormat | None, *, stream: bool) -> Turn:
    return Turn("t", "cities", Caller("k"), (Message("user", "?"),), stream=stream, output_format=form)


async def answered(
    *said: Event | str, form: OutputFormat | None, stream: bool, reason: FinishReason = "stop"
) -> list[Event]:
    events = [Text(one) if isinstance(one, str) else one for one in said]
    runtime = structured(Told([*events, Finished(reason)]))
    return [event async for event in runtime.run(turn(form, stream=stream))]


async def refused(*said: Event | str, form: OutputFormat, stream: bool) -> tuple[MalformedAnswer, list[Event]]:
    """The error, and what came before it."""
    events = [Text(one) if isinstance(one, str) else one for one in said]
    seen: list[Event] = []

    async def listen() -> None:
        async for event in structured(Told([*events, Finished("stop")])).run(turn(form, stream=stream)):
            seen.append(event)  # noqa: PERF401 - a comprehension would lose what came before the error

    with pytest.raises(MalformedAnswer) as raised:
        await listen()
    return raised.value, seen


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


async def test_it_is_the_runtime_that_it_holds_to_a_form() -> None:
    told = Told([])
    held: Runtime = structured(told)
    assert (held.name, held.description, held.memory) == ("told", "Tells.", Memory(turns=7))
    assert held.takes_front_end_tools
    await held.warm_up()
    assert told.is_warm


@STREAM
async def test_without_a_form_everything_passes_as_it_is(stream: bool) -> None:
    said: list[Event] = [Text("prose"), STARTED, Text(" and more"), Usage(1, 2)]
    assert await answered(*said, form=None, stream=stream) == [*said, Finished("stop")]


@STREAM
@pytest.mark.parametrize("form", [OutputFormat(CITY), OutputFormat()], ids=["schema", "object"])
async def test_an_answer_in_the_form_passes(form: OutputFormat, stream: bool) -> None:
    events = await answered('{"name": ', '"Ulm", ', '"size": 3}', form=form, stream=stream)
    assert text_of(events) == ULM
    assert events[-1] == Finished("stop")


async def test_a_streamed_one_passes_piece_by_piece() -> None:
    events = await answered(" \n", ' {"name": ', '"Ulm", ', '"size": 3}', form=OutputFormat(CITY), stream=True)
    assert events[:-1] == [Text('{"name": '), Text('"Ulm", '), Text('"size": 3}')]


async def test_a_plain_one_passes_whole() -> None:
    events = await answered('{"name": ', '"Ulm", ', '"size": 3}', form=OutputFormat(CITY), stream=False)
    assert events == [Text(ULM), Finished("stop")]


@STREAM
@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array"}, "[1]"),
        ({"type": "string"}, '"a"'),
        ({"type": "number"}, "-1.5"),
        ({"enum": [None, True]}, "true"),
        ({}, "null"),
    ],
)
async def test_a_schema_may_ask_for_something_else_than_an_object(schema: Any, text: str, stream: bool) -> None:
    assert text_of(await answered(text, form=OutputFormat(schema), stream=stream)) == text


MALFORMED = {
    "prose": "Ulm has 3 people.",
    "nothing": "",
    "a code fence": f"```json\n{ULM}\n```",
    "text before": f"Here it is: {ULM}",
    "text behind": f"{ULM} There you are.",
    "two values": f"{ULM}{ULM}",
    "half a value": '{"name": "Ulm", "si',
    "no JSON number": '{"name": "Ulm", "size": NaN}',
    "a number without end": '{"name": "Ulm", "size": ' + "9" * 5_000 + "}",
    "too deep": '{"a":' * 100_000,
    "another type": "[]",
    "a broken rule": '{"name": "Ulm", "size": "Ulm"}',
    "a lack": '{"name": "Ulm"}',
}


@STREAM
@pytest.mark.parametrize("kind", MALFORMED)
async def test_another_answer_is_an_error_that_quotes_nothing_of_it(kind: str, stream: bool) -> None:
    error, _ = await refused(MALFORMED[kind], form=OutputFormat(CITY), stream=stream)
    assert error.status == 502
    assert "'cities'" in error.message
    assert "Ulm" not in error.message


@STREAM
@pytest.mark.parametrize("text", ["[1]", '"a"', "prose", '{"a": 1'])
async def test_any_object_is_not_any_json(text: str, stream: bool) -> None:
    await refused(text, form=OutputFormat(), stream=stream)


@STREAM
async def test_prose_does_not_go_out_before_the_error(stream: bool) -> None:
    _, seen = await refused("Ulm has ", "3 people.", Usage(1, 2), form=OutputFormat(CITY), stream=stream)
    assert seen == [Usage(1, 2)]


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls"])
@STREAM
async def test_an_answer_that_was_cut_passes_unchecked(reason: FinishReason, stream: bool) -> None:
    for text in ('{"name": "Ul', "I cannot"):
        events = await answered(text, form=OutputFormat(CITY), stream=stream, reason=reason)
        assert events == [Text(text), Finished(reason)]


@STREAM
async def test_what_is_said_before_a_tool_is_called_is_reasoning(stream: bool) -> None:
    done = Work("1", "tool", "add", "finished")
    events = await answered("Adding", ".", STARTED, done, "\n\n", ULM, form=OutputFormat(CITY), stream=stream)
    assert events == [Reasoning("Adding."), STARTED, done, Text(ULM), Finished("stop")]


async def test_a_tool_of_a_member_is_no_end_of_what_is_said() -> None:
    of_member = Work("1", "tool", "add", "started", by="member")
    _, seen = await refused("Adding.", of_member, ULM, form=OutputFormat(CITY), stream=True)
    assert not any(isinstance(event, Reasoning) for event in seen)


@STREAM
@pytest.mark.parametrize(
    "end",
    [ClientCalls((ToolCall("1", "f", "{}"),)), Questions((Question("1", "confirmation", "f", {}),))],
    ids=["calls", "questions"],
)
async def test_a_turn_that_ends_in_calls_or_questions_has_no_answer_to_check(end: Event, stream: bool) -> None:
    events = await answered("Let me ask.", end, form=OutputFormat(CITY), stream=stream)
    assert events == [Reasoning("Let me ask."), end, Finished("stop")]


async def test_leaving_closes_the_run() -> None:
    told = Told([Text("{"), Text("}"), Finished("stop")])
    events = structured(told).run(turn(OutputFormat(), stream=True))
    await anext(events)
    await events.aclose()
    assert told.is_closed


async def test_errors_of_the_agent_pass() -> None:
    class Failing(Told):
        async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
            yield Text("{")
            raise AgentFailed("no")

    with pytest.raises(AgentFailed, match="no"):
        _ = [event async for event in structured(Failing([])).run(turn(OutputFormat(), stream=True))]


json_objects = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))


@given(json_objects, st.lists(st.integers(0, 200), max_size=6), st.booleans())
async def test_an_object_cut_into_any_pieces_comes_out_as_it_is(
    value: dict[str, Any], cuts: list[int], stream: bool
) -> None:
    text = json.dumps(value)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert text_of(await answered(*pieces, form=OutputFormat(), stream=stream)) == text
