"""A runtime for the tests: it says what a function makes of each turn, and keeps the turns it was given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from agentllm.core import Event, Finished, Message, Text, Turn, Usage

Script = Callable[[Turn], AsyncGenerator[Event, None]]


async def echo(turn: Turn) -> AsyncGenerator[Event, None]:
    """Repeats the last message in capitals, in two pieces, and counts its turns in its state."""
    answer = turn.messages[-1].content.upper()
    yield Text(answer[:1])
    yield Text(answer[1:])
    yield Usage(1, 1)
    count = (turn.state or {}).get("count", 0)
    assert isinstance(count, int)
    yield Finished("stop", (Message("assistant", answer),), {"count": count + 1})


@dataclass
class Speaking:
    """Implements `agentllm.core.Runtime`."""

    script: Script = echo
    name: str | None = "speaking"
    description: str | None = None
    turns: list[Turn] = field(default_factory=list)
    closed: int = 0

    async def warm_up(self) -> None:
        """There is nothing to load."""

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        self.turns.append(turn)
        try:
            async for event in self.script(turn):
                yield event
        finally:
            self.closed += 1
