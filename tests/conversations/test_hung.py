"""A PostgreSQL server that takes connections and answers nothing: turns fail in time, and nothing is half done."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from agentllm.conversations import Conversations, advisory_locks, database, open_conversations
from agentllm.conversations import store as store_module
from agentllm.conversations.database import Database
from agentllm.conversations.store import Store
from agentllm.core import Event, Finished, Text, Turn
from agentllm.errors import ConfigurationError, StoreUnavailable
from tests.conversations.disk import change, rows
from tests.conversations.speaker import a_turn, settings
from tests.conversations.speaking import Speaking
from tests.conversations.talk import assistant
from tests.postgres import Postgres

LIMIT = 1.0
"""What the limits are here, in seconds."""

SLACK = 4.0
"""How much longer it may take on a busy machine; a connection is given up after two seconds at the least."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(database, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(advisory_locks, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(store_module, "START_PATIENCE", 0.1)
    monkeypatch.setattr(store_module, "END_PATIENCE", LIMIT)


@pytest.fixture
def swallowing() -> Iterator[sa.URL]:
    """The URL of a server that reads all that it is sent and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines: list[socket.socket] = []

        def swallow(line: socket.socket) -> None:
            with suppress(OSError):
                while line.recv(4096):
                    pass

        def serve() -> None:
            with suppress(OSError):
                while True:
                    lines.append(server.accept()[0])
                    threading.Thread(target=swallow, args=[lines[-1]], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield sa.make_url(f"postgresql+psycopg://ada@127.0.0.1:{server.getsockname()[1]}/db")
        server.shutdown(socket.SHUT_RDWR)
        for line in lines:
            line.close()


@pytest.fixture
def url(postgres: Postgres) -> sa.URL:
    return sa.make_url(postgres.new_database())


@pytest.fixture
def conversations(url: sa.URL, tmp_path: Path) -> Iterator[Conversations]:
    made = open_conversations(settings(url, tmp_path))
    yield made
    made.close()


async def told(
    conversations: Conversations, runtime: Speaking, *said: str, events: list[Event] | None = None
) -> list[Event]:
    """Run a turn to its end; `events` is given what came also if it fails."""
    events = [] if events is None else events
    async for event in conversations.run(runtime, a_turn(*said)):
        events.append(event)
    return events


def answers(url: sa.URL) -> list[tuple[object, ...]]:
    return rows(url, "SELECT status, answer FROM turns ORDER BY id")


class TestAServerThatOnlySwallows:
    async def test_is_not_available(self, swallowing: sa.URL) -> None:
        store = Store(swallowing)
        async with asyncio.timeout(LIMIT + SLACK):
            with pytest.raises(StoreUnavailable):
                await store.warm_up()
        store.close()

    async def test_is_told_at_the_start(self, swallowing: sa.URL, tmp_path: Path) -> None:
        async with asyncio.timeout(2 + SLACK):
            with pytest.raises(ConfigurationError):
                await asyncio.to_thread(open_conversations, settings(swallowing, tmp_path))

    async def test_is_told_to_all_who_wait_at_the_same_time(self, swallowing: sa.URL) -> None:
        store = Store(swallowing)
        async with asyncio.timeout(LIMIT + SLACK):
            failed = await asyncio.gather(*(store.warm_up() for _ in range(100)), return_exceptions=True)
        assert {type(error) for error in failed} == {StoreUnavailable}
        store.close()


class TestAServerThatHangs:
    async def test_before_a_turn_nothing_is_run(self, postgres: Postgres, conversations: Conversations) -> None:
        runtime = Speaking()
        await told(conversations, runtime, "a")
        with postgres.hung():
            async with asyncio.timeout(LIMIT + SLACK):
                with pytest.raises(StoreUnavailable):
                    await told(conversations, runtime, "b")
        assert len(runtime.turns) == 1

    async def test_who_waits_behind_it_is_told_with_it(self, postgres: Postgres, conversations: Conversations) -> None:
        runtime = Speaking()
        await told(conversations, runtime, "a")
        with postgres.hung():
            async with asyncio.timeout(LIMIT + SLACK):
                turns = (told(conversations, runtime, "b") for _ in range(10))
                failed = await asyncio.gather(*turns, return_exceptions=True)
        assert {type(error) for error in failed} == {StoreUnavailable}
        async with asyncio.timeout(SLACK):
            await told(conversations, runtime, "c")
        assert [turn.messages[-1].content for turn in runtime.turns] == ["a", "c"]

    async def test_nor_is_it_without_a_lock_to_wait_for(self, postgres: Postgres, url: sa.URL) -> None:
        store = Store(url)
        store.create()
        await store.warm_up()
        with postgres.hung():
            async with asyncio.timeout(LIMIT + SLACK):
                with pytest.raises(StoreUnavailable):
                    await store.warm_up()
        async with asyncio.timeout(SLACK):
            await store.warm_up()
        store.close()

    async def test_in_a_turn_it_ends_as_no_success_and_nothing_is_half_done(
        self, postgres: Postgres, conversations: Conversations, url: sa.URL
    ) -> None:
        events = list[Event]()
        with ExitStack() as until_it_failed:

            async def script(turn: Turn) -> AsyncGenerator[Event, None]:
                yield Text("half")
                until_it_failed.enter_context(postgres.hung())
                yield Text(" an answer")
                yield Finished("stop", (assistant("half an answer"),))

            async with asyncio.timeout(2 * (LIMIT + SLACK)):
                with pytest.raises(StoreUnavailable):
                    await told(conversations, Speaking(script), "a", events=events)
        assert events == [Text("half"), Text(" an answer")]
        runtime = Speaking()
        async with asyncio.timeout(SLACK):
            await told(conversations, runtime, "b")
        assert runtime.turns[0].messages[0].content == "a"
        assert [status for status, _ in answers(url)] == ["interrupted", "complete"]

    async def test_that_answers_in_time_is_waited_for(
        self, postgres: Postgres, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "ANSWER_SECONDS", 60.0)
        monkeypatch.setattr(advisory_locks, "ANSWER_SECONDS", 60.0)
        runtime = Speaking()
        with postgres.hung():
            asked = asyncio.create_task(told(conversations, runtime, "a"))
            await asyncio.wait([asked], timeout=0.5)
            assert not asked.done()
        async with asyncio.timeout(10 + SLACK):
            assert isinstance((await asked)[-1], Finished)

    async def test_what_was_asked_for_and_given_up_is_never_done(self, postgres: Postgres, url: sa.URL) -> None:
        change(url, "CREATE TABLE notes (text TEXT)")
        notes = Database(url)

        def note(connection: sa.Connection) -> None:
            connection.execute(sa.text("INSERT INTO notes VALUES ('x')"))

        await notes.run(lambda connection: None, patience=0)
        with postgres.hung():
            async with asyncio.timeout(LIMIT + SLACK):
                asked = (notes.run(note, patience=0) for _ in range(200))
                failed = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(error) for error in failed} == {StoreUnavailable}
        await notes.run(lambda connection: None, patience=10)
        assert rows(url, "SELECT count(*) FROM notes") == [(0,)]
        notes.close()

    async def test_who_asks_later_is_told_as_soon(self, postgres: Postgres, url: sa.URL) -> None:
        notes = Database(url)
        await notes.run(lambda connection: None, patience=0)
        waited = list[float]()

        async def ask() -> None:
            asked = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await notes.run(lambda connection: connection.execute(sa.text("SELECT 1")), patience=0)
            waited.append(time.monotonic() - asked)

        with postgres.hung():
            async with asyncio.TaskGroup() as tasks:
                for _ in range(5):
                    tasks.create_task(ask())
                    await asyncio.sleep(LIMIT / 4)
        assert max(waited) < LIMIT + SLACK
        notes.close()
