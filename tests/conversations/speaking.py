"""Runtimes for the tests: they say what a function makes of each turn, and keep the turns they were given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from agentllm.core import Event, Finished, Memory, Message, Text, ToolCall, Turn, Usage
from agentllm.errors import AgentFailed, MalformedAnswer

Script = Callable[[Turn], AsyncGenerator[Event, None]]


async def echo(turn: Turn) -> AsyncGenerator[Event, None]:
    """Repeats the last message in capitals, in two pieces, and counts its turns in its state."""
    answer = turn.messages[-1].content.upper()
    yield Text(answer[:1])
    yield Text(answer[1:])
    yield Usage(1, 1)
    yield Finished("stop", (Message("assistant", answer),), counted(turn))


async def work(turn: Turn) -> AsyncGenerator[Event, None]:
    """As `echo`, after a call of a tool that no client sees."""
    said = turn.messages[-1].content
    yield Text(said.upper())
    yield Finished("stop", worked(said, said.upper()), counted(turn))


async def fail(turn: Turn) -> AsyncGenerator[Event, None]:
    """Fails before it says anything."""
    for event in list[Event]():
        yield event
    raise AgentFailed("no")


async def break_off(turn: Turn) -> AsyncGenerator[Event, None]:
    """Says half of an answer and fails."""
    yield Text("half an ans")
    raise AgentFailed("no")


async def misspeak(turn: Turn) -> AsyncGenerator[Event, None]:
    """Says an answer that is not in the form that was asked for."""
    yield Text('{"size": "big"}')
    raise MalformedAnswer("no")


def answering(*texts: str) -> Script:
    """Says each of `texts` in its turn."""
    left = list(texts)

    async def script(turn: Turn) -> AsyncGenerator[Event, None]:
        answer = left.pop(0)
        yield Text(answer)
        yield Finished("stop", (Message("assistant", answer),), counted(turn))

    return script


def worked(said: str, answer: str) -> tuple[Message, ...]:
    """What `work` adds to a conversation."""
    call = ToolCall(f"call for {said}", "look_up", "{}")
    return (
        Message("assistant", tool_calls=(call,)),
        Message("tool", f"found for {said}", tool_call_id=call.id, name=call.name),
        Message("assistant", answer),
    )


def counted(turn: Turn) -> dict[str, int]:
    """The state of `turn` with one turn more in it."""
    count = (turn.state or {}).get("count", 0)
    assert isinstance(count, int)
    return {"count": count + 1}


@dataclass
class Speaking:
    """Implements `agentllm.core.Runtime`."""

    script: Script = echo
    memory: Memory = Memory()  # noqa: RUF009 - it cannot change
    name: str | None = "speaking"
    description: str | None = None
    turns: list[Turn] = field(default_factory=list)
    closed: int = 0
    takes_front_end_tools: bool = False

    async def warm_up(self) -> None:
        """There is nothing to load."""

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        self.turns.append(turn)
        try:
            async for event in self.script(turn):
                yield event
        finally:
            self.closed += 1
