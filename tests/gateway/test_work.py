"""Work in its neutral form and in words, and what a client sends back of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import WORK_ID, Event, Finished, Message, Reasoning, Text, ToolCall, Work
from agentllm.gateway.work import (
    LONGEST_SHOWN,
    hiding_work,
    line,
    shortened,
    with_lines,
    without_work,
    work_fields,
)

STARTED = Work("work_1", "tool", "add", "started", {"a": 1})
DONE = Work("work_1", "tool", "add", "finished", {"a": 1}, "x" * 1_234)


class Events:
    """Events that know whether they were closed."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self.is_closed = False

    async def run(self) -> AsyncGenerator[Event, None]:
        try:
            for event in self._events:
                yield event
        finally:
            self.is_closed = True


def call(name: str, call_id: str) -> ToolCall:
    return ToolCall(call_id, name, "{}")


def test_work_is_told_whole_where_it_is_short() -> None:
    assert work_fields(Work("work_1", "tool", "add", "finished", {"a": 1, "b": ["é"]}, "3", by="adder")) == {
        "id": "work_1",
        "kind": "tool",
        "name": "add",
        "status": "finished",
        "arguments": {"a": 1, "b": ["é"]},
        "result": "3",
        "by": "adder",
    }


def test_no_id_of_work_can_be_that_of_a_client_s_call() -> None:
    assert work_fields(Work("call_1", "tool", "add", "started"))["id"].startswith(WORK_ID)


@given(st.text(max_size=2 * LONGEST_SHOWN).map(lambda text: text * 3))
def test_a_long_text_is_cut_and_says_how_long_it_was(text: str) -> None:
    shown = shortened(text)
    assert json.loads(json.dumps(shown).encode()) == shown
    shown.encode()
    if len(text) > LONGEST_SHOWN:
        assert f"{len(text):,}" in shown
        assert len(shown) < LONGEST_SHOWN + 100
    else:
        assert shown == text


def test_long_arguments_are_cut_one_by_one() -> None:
    fields = work_fields(Work("work_1", "tool", "write", "started", {"text": "x" * 5_000, "rows": [0] * 5_000, "n": 1}))
    assert fields["arguments"]["n"] == 1
    assert "5,000" in fields["arguments"]["text"]
    assert "15,000" in fields["arguments"]["rows"]
    assert len(json.dumps(fields)) < 3 * LONGEST_SHOWN


@pytest.mark.parametrize(
    ("work", "named"),
    [
        (STARTED, ["add", "a=1"]),
        (DONE, ["add", "1,234"]),
        (Work("work_1", "tool", "add", "failed", result="secret"), ["add"]),
        (Work("work_1", "member", "researcher", "started"), ["researcher"]),
        (Work("work_1", "step", "draft", "finished", result="x"), ["draft"]),
        (Work("work_1", "tool", "add", "started", {"text": "x\n" * 500}, by="researcher"), ["researcher", "add"]),
        (Work("work_1", "tool", "a\nb", "started"), ["a b"]),
    ],
)
def test_words_for_work_are_one_short_line(work: Work, named: list[str]) -> None:
    said = line(work)
    assert all(word in said for word in named)
    assert "secret" not in said
    assert len(said.splitlines()) == 1
    assert len(said) < 150
    said.encode()


async def test_lines_stand_behind_their_work_and_each_on_its_own() -> None:
    events = Events([Reasoning("I think"), STARTED, DONE, Reasoning("so\n"), STARTED, Text("hi"), Finished("stop")])
    got = [event async for event in with_lines(events.run())]
    assert [type(event) for event in got if not isinstance(event, Reasoning)] == [Work, Work, Work, Text, Finished]
    reasoning = "".join(event.text for event in got if isinstance(event, Reasoning))
    assert reasoning.splitlines() == ["I think", line(STARTED), line(DONE), "so", line(STARTED)]
    assert events.is_closed


async def test_work_can_be_left_out() -> None:
    events = Events([STARTED, DONE, Text("hi"), Finished("stop")])
    assert [type(event) async for event in hiding_work(events.run())] == [Text, Finished]
    assert events.is_closed


@pytest.mark.parametrize("through", [with_lines, hiding_work])
async def test_closing_what_is_read_closes_what_is_told(through: object) -> None:
    events = Events([Text("a"), Text("b")])
    assert callable(through)
    reading = through(events.run())
    await anext(reading)
    await reading.aclose()
    assert events.is_closed


# What clients send back

ASKED = Message("user", "hi")
RESULT = Message("tool", "3", tool_call_id="work_1")
AGAIN = Message("user", "and?")


def worked(text: str = "", *calls: ToolCall) -> Message:
    return Message("assistant", text, (call("add", "work_1"), *calls))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ([ASKED, worked("Let me."), RESULT, Message("assistant", "It is 3."), AGAIN], "Let me.\n\nIt is 3."),
        ([ASKED, worked("Let me. "), RESULT, Message("assistant", "It is 3."), AGAIN], "Let me. It is 3."),
        ([ASKED, worked("Let me."), RESULT, Message("assistant", "\n\nIt is 3."), AGAIN], "Let me.\n\nIt is 3."),
        ([ASKED, worked(), RESULT, Message("assistant", "It is 3."), AGAIN], "It is 3."),
        (
            [ASKED, worked("a"), RESULT, worked(), RESULT, worked("b"), RESULT, Message("assistant", "c"), AGAIN],
            "a\n\nb\n\nc",
        ),
        ([ASKED, worked("Let me."), RESULT, AGAIN], "Let me."),
    ],
)
def test_an_answer_that_was_shown_with_work_is_read_as_it_was_given(sent: list[Message], read: str) -> None:
    assert without_work(sent) == (ASKED, Message("assistant", read), AGAIN)


def test_an_answer_of_work_alone_is_left_out() -> None:
    assert without_work([ASKED, worked(), RESULT, AGAIN]) == (ASKED, AGAIN)


def test_calls_of_the_client_s_tools_stay() -> None:
    theirs, result = call("ask_user", "call_1"), Message("tool", "yes", tool_call_id="call_1")
    sent = [ASKED, worked("Let me."), RESULT, Message("assistant", "May I?", (theirs,)), result]
    assert without_work(sent) == (ASKED, Message("assistant", "Let me.\n\nMay I?", (theirs,)), result)
    mixed = [ASKED, worked("May I?", theirs), RESULT, result, Message("assistant", "Done.")]
    assert without_work(mixed) == (
        ASKED,
        Message("assistant", "May I?", (theirs,)),
        result,
        Message("assistant", "Done."),
    )


def test_a_conversation_without_work_is_as_it_was() -> None:
    calling = Message("assistant", "", (call("add", "call_1"),))
    sent: tuple[Message, ...] = (Message("system", "s"), ASKED, calling, Message("tool", "3", tool_call_id="call_1"))
    sent += (Message("assistant", "a"), Message("assistant", ""), Message("assistant", "b"), AGAIN)
    assert without_work(sent) == sent
