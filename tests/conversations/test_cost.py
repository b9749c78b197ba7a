"""What a turn costs does not depend on how many came before it: counted in statements, steps of SQLite and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.position import Asked
from agentllm.conversations.store import Store
from agentllm.core import Caller, Message, Place, Turn
from tests.conversations.conftest import SECRET
from tests.conversations.disk import rows, sqlite_url
from tests.conversations.speaking import Speaking, work
from tests.conversations.talk import assistant, user

FEW, MANY = 25, 1_000


@dataclass
class Cost:
    """Statements that were executed, and how many instructions SQLite needed: some for each row that it looks at."""

    statements: int = 0
    steps: int = 0

    def step(self) -> None:
        self.steps += 1


@contextmanager
def counted() -> Iterator[Cost]:
    cost = Cost()

    def executes(connection: Any, cursor: Any, *_: object) -> None:
        cost.statements += 1
        cursor.connection.set_progress_handler(cost.step, 1)

    def executed(connection: Any, cursor: Any, *_: object) -> None:
        cursor.connection.set_progress_handler(None, 1)

    hooks = ("before_cursor_execute", executes), ("after_cursor_execute", executed)
    for event, hook in hooks:
        sa.event.listen(sa.Engine, event, hook)
    yield cost
    for event, hook in hooks:
        sa.event.remove(sa.Engine, event, hook)


class Client:
    """A client of one conversation, whose messages all have the same length."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.conversations = Conversations(store, SECRET, Locks(), history_turns=20)
        self.runtime = Speaking(work)
        self.said: list[Message] = []

    async def talk(self, turns: int) -> None:
        """Go on until there are so many turns, each of which has an id."""
        while (number := len(self.said) // 2) < turns:
            await self.ask(f"what is {number:06}?", Place("s", f"A{number + 1}", f"A{number}" if number else ""))
            self.said += [user(f"what is {number:06}?"), assistant(f"WHAT IS {number:06}?")]

    async def ask(self, text: str, place: Place, *, transcript: bool = False) -> None:
        said = (*(self.said if transcript else ()), user(text))
        async for _ in self.conversations.run(self.runtime, Turn("t", "demo", Caller("k"), said, place=place)):
            pass

    async def costs(self) -> list[Cost]:
        """What the next turn costs in each way of asking for it, and the look for a conversation by its transcript."""
        last = len(self.said) // 2
        with counted() as new_message:
            await self.ask("what is a session?", Place("s"))
        with counted() as ids:
            await self.ask("what is an id?", Place("s", "X", f"A{last}"))
        with counted() as transcript:
            await self.ask("what is a branch?", Place("s"), transcript=True)
        with counted() as both:
            await self.ask("what are both?", Place("s", "Y", f"A{last}"), transcript=True)
        conversation = str(self.runtime.turns[-1].conversation)
        digests = list(Asked(conversation, tuple(self.said)).digests())
        with counted() as look:
            assert await self.store.conversation_with(digests) == conversation
        return [new_message, ids, transcript, both, look]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(sqlite_url(tmp_path))
    made.create()
    yield made
    made.close()


async def test_turn_one_thousand_costs_what_turn_twenty_five_does(store: Store) -> None:
    client = Client(store)
    await client.talk(FEW)
    few = await client.costs()
    await client.talk(MANY)
    assert await client.costs() == few
    assert all(cost.statements and cost.steps for cost in few)
    assert all(len(turn.messages) == 20 * 4 + 1 for turn in client.runtime.turns[-4:])


async def test_what_is_stored_of_a_turn_does_not_grow(store: Store) -> None:
    client = Client(store)
    await client.talk(100)
    columns = (f"coalesce(length({name}), 0)" for name in ("asked", "digest", "input", "output", "answer"))
    assert len(rows(store.url, f"SELECT DISTINCT {' + '.join(columns)} FROM turns")) == 1
