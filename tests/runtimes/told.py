"""A runtime that says what a test gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from agentllm.core import Event, Memory, Turn


@dataclass
class Told:
    """A runtime that yields what it was given."""

    events: Sequence[Event]
    name: str | None = "told"
    description: str | None = "Tells."
    memory: Memory = field(default_factory=lambda: Memory(turns=7))
    takes_front_end_tools: bool = True
    is_warm: bool = False
    is_closed: bool = False

    async def warm_up(self) -> None:
        self.is_warm = True

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        try:
            for event in self.events:
                yield event
        finally:
            self.is_closed = True
