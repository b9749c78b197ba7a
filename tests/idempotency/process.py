"""What stands for one process of several that share a store: its connections, its locks and its agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from agentllm.conversations.urls import process_locks
from agentllm.core import Caller, Event, Finished, Message, Place, Runtime, Text, Turn
from agentllm.errors import AgentLLMError
from agentllm.idempotency import Idempotency

SECRET = b"0" * 32
SECOND = 30.0
"""Bounds of waits that take no time when all is well."""

ADA = Caller("key-of-ada", user="ada")


def turn(number: int, said: str = "hi", **more: Any) -> Turn:
    """The request with this number; all of them ask for the same unless something is given."""
    given: dict[str, Any] = {"caller": ADA, "place": Place(session="s"), **more}
    return Turn(f"turn-{number}", "demo", messages=(Message("user", said),), **given)


@dataclass
class Gated:
    """A script that says "first " and, once `go` is set, "second"; `begun` is set when the first was said."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, turn: Turn) -> AsyncGenerator[Event, None]:
        yield Text("first ")
        self.begun.set()
        await self.go.wait()
        yield Text("second")
        yield Finished("stop", (Message("assistant", "first second"),))


@dataclass
class Answered:
    """What one request got."""

    id: str = ""
    created: int = 0
    text: str = ""
    is_finished: bool = False
    error: AgentLLMError | None = None
    has_some: asyncio.Event = field(default_factory=asyncio.Event)


class Process:
    """See the module. Requests that come with one key are asked of it with `ask`."""

    def __init__(self, url: sa.URL, runtime: Runtime) -> None:
        store = Store(url)
        store.create()
        self.conversations = Conversations(store, SECRET, Locks(process_locks(url)), history_turns=20)
        self._idempotency = Idempotency.beside(self.conversations)
        self._runtime = runtime

    def close(self) -> None:
        self.conversations.close()

    async def ask(
        self, asked: Turn, key: str = "k", *, patience: float = SECOND, into: Answered | None = None
    ) -> Answered:
        """What the request gets, put into `into` as it comes."""
        got = into or Answered()
        begin = partial(_run, self.conversations, asked)
        try:
            async with self._idempotency.join(key, asked, self._runtime, begin, patience=patience) as run:
                got.id, got.created = run.entry.answer_id, run.entry.created
                async for event in run.read():
                    got.text += event.text if isinstance(event, Text) else ""
                    got.is_finished |= isinstance(event, Finished)
                    got.has_some.set()
        except AgentLLMError as error:
            got.error = error
        return got

    def asking(
        self, asked: Turn, key: str = "k", *, patience: float = SECOND
    ) -> tuple[asyncio.Task[Answered], Answered]:
        """The same as a task, and what the request has so far."""
        got = Answered()
        return asyncio.create_task(self.ask(asked, key, patience=patience, into=got)), got


def _run(conversations: Conversations, asked: Turn, runtime: Runtime) -> AsyncGenerator[Event, None]:
    return conversations.run(runtime, asked)


async def soon(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), SECOND)


async def until(condition: Callable[[], object]) -> None:
    """Wait, for `SECOND` at most, for what another thread does."""
    deadline = time.monotonic() + SECOND
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


async def leave(task: asyncio.Task[Answered]) -> None:
    """Have the client of a request go away."""
    task.cancel()
    await asyncio.wait({task}, timeout=SECOND)
    assert task.cancelled()
