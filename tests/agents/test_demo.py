"""The demo, offline: tools, memory and streaming."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest
from agno.models.message import Message
from agno.run.agent import RunContentEvent
from hypothesis import given
from hypothesis import strategies as st

from agentllm.agents.demo import demo, roll_dice
from agentllm.llm.offline import NOTICE
from agentllm.settings import load_settings


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AGENTLLM_MODEL", "offline")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("What time is it in Tokyo?", "date_and_time"),
        ("What is 6 * 7?", "calculate"),
        ("Roll two dice!", "roll_dice"),
        ("roll a 20-sided die", "roll_dice"),
    ],
)
async def test_it_shows_its_tools(text: str, tool: str) -> None:
    run = await demo().arun(text)
    assert [(called.tool_name, called.tool_call_error) for called in run.tools or ()] == [(tool, False)]
    assert f"`{tool}` says: {(run.tools or [])[0].result}" in str(run.content)


async def test_it_remembers_what_was_said() -> None:
    agent = demo()
    first = await agent.arun([Message(role="user", content="Hello, my name is Ada.")])
    said = [message for message in first.messages or () if message.role != "system"]
    second = await agent.arun([*said, Message(role="user", content="What is my name?")])
    assert second.content == "Your name is Ada."


async def test_it_streams() -> None:
    events = demo().arun("hello", stream=True, stream_events=True)
    pieces = [event.content async for event in events if isinstance(event, RunContentEvent)]
    assert len(pieces) > 10
    assert NOTICE in "".join(map(str, pieces))


async def test_it_says_what_it_can_do_when_it_is_greeted() -> None:
    run = await demo().arun("hello")
    assert not run.tools
    assert all(f"`{tool}`" in str(run.content) for tool in ("date_and_time", "calculate", "roll_dice"))


def test_it_is_named_and_described_and_stores_nothing_itself() -> None:
    agent = demo()
    assert agent.name == "demo"
    assert agent.db is None
    assert agent.telemetry is False
    assert inspect.getdoc(demo)


@given(st.integers(1, 100), st.integers(2, 1_000))
def test_dice_show_one_of_their_sides_and_are_added_up(count: int, sides: int) -> None:
    *rolled, total = map(int, re.findall(r"\d+", roll_dice(count, sides)))
    shown = rolled or [total]
    assert len(shown) == count
    assert all(1 <= side <= sides for side in shown)
    assert sum(shown) == total


@pytest.mark.parametrize(("count", "sides"), [(0, 6), (-1, 6), (101, 6), (1, 1), (1, 1_001)])
def test_other_dice_are_not_there(count: int, sides: int) -> None:
    assert roll_dice(count, sides).startswith("I have ")
