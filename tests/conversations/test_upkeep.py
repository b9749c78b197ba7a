"""Turns of a killed process are ended, and what is too old is deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from agentllm.conversations import open_conversations, upkeep
from agentllm.conversations.archive import Archive, Deleted
from agentllm.conversations.schema import KEPT_SECONDS
from agentllm.conversations.store import Store
from agentllm.conversations.upkeep import apply_retention, keep_answers, keep_up, recover
from agentllm.conversations.urls import process_locks
from agentllm.errors import StoreUnavailable
from agentllm.settings import Settings
from tests.conversations.disk import change, find_the_table, lose_the_table, rows
from tests.conversations.speaker import ANSWER, SAID, a_turn, settings, speaking
from tests.conversations.speaking import Speaking
from tests.conversations.talk import assistant, user
from tests.conversations.telling import age, begin, left, tell

SECONDS = 30.0
STATUSES = "SELECT status FROM turns ORDER BY id"


async def until(condition: Callable[[], bool]) -> None:
    """Wait, for `SECONDS` at most, for what another thread or process does."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def kept_up(kept: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(keep_up(kept))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def recover_one(url: sa.URL) -> None:
    """A server may notice a moment late that its client is gone, whose lock it keeps until then."""
    deadline = time.monotonic() + SECONDS
    while await recover(url, process_locks(url)) == 0:
        assert time.monotonic() < deadline, "nothing can be ended"
        await asyncio.sleep(0.01)


class TestRecovery:
    async def test_the_turn_of_a_killed_process_is_ended_with_what_it_said(
        self, store: Store, url: sa.URL, tmp_path: Path
    ) -> None:
        kept = settings(url, tmp_path)
        with speaking(url, tmp_path) as process:
            await until(lambda: rows(url, "SELECT answer FROM turns") == [(ANSWER,)])
            assert await recover(url, process_locks(url)) == 0
            assert rows(url, STATUSES) == [("running",)]
            process.kill()
            process.wait(SECONDS)
        await recover_one(url)
        assert rows(url, STATUSES) == [("interrupted",)]
        assert await recover(url, process_locks(url)) == 0
        conversations = open_conversations(kept)
        runtime = Speaking()
        async for _ in conversations.run(runtime, a_turn("and?")):
            pass
        conversations.close()
        assert runtime.turns[0].messages == (user(SAID), assistant(ANSWER), user("and?"))

    async def test_its_place_is_found_by_what_the_client_was_shown(self, store: Store, url: sa.URL) -> None:
        lost = await begin(store, "c", "hello")
        store.keep(lost, "half")
        await store.warm_up()
        await recover(url, process_locks(url))
        with Archive(url) as archive:
            (found,) = archive.turns("c")
        assert found.turn.digest is not None
        assert await store.conversation_with([found.turn.digest]) == "c"

    async def test_a_turn_of_this_process_is_left_alone(self, store: Store, url: sa.URL) -> None:
        locks = process_locks(url)
        assert await locks.try_lock("c")
        await begin(store, "c", "hello")
        await begin(store, "d", "hello")
        assert await recover(url, process_locks(url)) == 1
        assert rows(url, "SELECT conversation, status FROM turns ORDER BY conversation") == [
            ("c", "running"),
            ("d", "interrupted"),
        ]
        locks.unlock("c")
        locks.close()

    async def test_many_are_ended_in_one_go(self, store: Store, url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "BATCH", 2)
        for number in range(5):
            await begin(store, f"c{number}", "hello")
        assert await recover(url, process_locks(url)) == 5

    async def test_the_locks_are_given_back(self, store: Store, url: sa.URL) -> None:
        await begin(store, "c", "hello")
        await recover(url, process_locks(url))
        locks = process_locks(url)
        assert await locks.try_lock("c")
        locks.close()


class TestRetention:
    async def test_what_is_older_is_deleted_in_small_steps_and_only_counted_in_the_log(
        self, store: Store, url: sa.URL, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "BATCH", 2)
        for number in range(5):
            await tell(store, f"canary{number}", "canary", "canary")
            age(url, f"canary{number}", days=40)
        await tell(store, "new", "hi")
        with caplog.at_level(logging.INFO, "agentllm"):
            assert await apply_retention(url, timedelta(days=30)) == Deleted(5, 10)
        assert left(url) == ["new"]
        assert "canary" not in caplog.text
        assert "5 conversations" in caplog.text
        caplog.clear()
        with caplog.at_level(logging.INFO, "agentllm"):
            assert await apply_retention(url, timedelta(days=30)) == Deleted()
        assert caplog.text == ""

    async def test_two_may_do_it_at_once(self, store: Store, url: sa.URL) -> None:
        for number in range(30):
            await tell(store, f"c{number}", "hi")
            age(url, f"c{number}", days=40)
        done = await asyncio.gather(*(apply_retention(url, timedelta(days=30)) for _ in range(3)))
        assert sum(deleted.conversations for deleted in done) == 30
        assert left(url) == []

    async def test_turns_go_on_meanwhile(self, store: Store, url: sa.URL) -> None:
        for number in range(30):
            await tell(store, f"c{number}", "hi")
            age(url, f"c{number}", days=40)
        deleting = asyncio.create_task(apply_retention(url, timedelta(days=30)))
        for number in range(30):
            await tell(store, "new", str(number))
        await deleting
        assert left(url) == ["new"]
        assert rows(url, "SELECT count(*) FROM turns") == [(30,)]


class TestKeepingUp:
    async def test_turns_are_ended_first_and_then_it_looks_again_and_again(
        self, store: Store, url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upkeep, "EVERY", 0.05)
        await begin(store, "lost", "hi")
        age(url, "lost", days=3)
        await tell(store, "c", "hi")
        async with kept_up(settings(url, tmp_path, retention_days=2)):
            await until(lambda: left(url) == ["c"])
            age(url, "c", days=3)
            await until(lambda: left(url) == [])

    async def test_without_a_limit_nothing_is_deleted(self, store: Store, url: sa.URL, tmp_path: Path) -> None:
        await tell(store, "c", "hi")
        age(url, "c", days=30_000)
        await begin(store, "lost", "hi")
        await asyncio.wait_for(keep_up(settings(url, tmp_path)), SECONDS)
        assert left(url) == ["c", "lost"]
        assert rows(url, STATUSES) == [("complete",), ("interrupted",)]

    async def test_a_store_that_fails_is_tried_again(
        self, store: Store, url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(upkeep, "AGAIN", 0.05)
        await tell(store, "c", "hi")
        age(url, "c", days=3)
        lose_the_table(url)
        async with kept_up(settings(url, tmp_path, retention_days=2)):
            await until(lambda: caplog.text.count("could not be deleted") > 1)
            assert "could not be marked" in caplog.text
            find_the_table(url)
            await until(lambda: left(url) == [])

    async def test_locks_that_cannot_be_had_end_nothing(
        self, store: Store, url: sa.URL, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        await begin(store, "c", "hi")
        monkeypatch.setattr(upkeep, "process_locks", lambda _: Broken())
        await asyncio.wait_for(keep_up(settings(url, tmp_path)), SECONDS)
        assert "could not be marked" in caplog.text
        assert rows(url, STATUSES) == [("running",)]


class TestAnswers:
    """Those that are kept for a repeated request."""

    async def test_they_are_deleted_after_a_day_and_looked_for_again_when_the_store_failed(
        self, store: Store, url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("agentllm.conversations.archive.PATIENCE", 0.1)
        monkeypatch.setattr(upkeep, "AGAIN", 0.05)
        monkeypatch.setattr(upkeep, "BATCH", 2)
        now = int(time.time())
        for number, created in enumerate([*[now - KEPT_SECONDS - 60] * 5, now - KEPT_SECONDS + 60]):
            change(url, f"INSERT INTO answers (key, asked, answer_id, created, status) VALUES "
                        f"('{number}', '', '', {created}, 'complete')")  # fmt: skip
        change(url, "ALTER TABLE answers RENAME TO lost")
        task = asyncio.create_task(keep_answers(settings(url, tmp_path)))
        await until(lambda: caplog.text.count("could not be deleted") > 1)
        change(url, "ALTER TABLE lost RENAME TO answers")
        await until(lambda: rows(url, "SELECT key FROM answers") == [("5",)])
        task.cancel()
        await asyncio.wait({task})


class Broken:
    """Implements `ProcessLocks` with a server that is away."""

    async def try_lock(self, name: str) -> bool:
        raise StoreUnavailable("away")

    def unlock(self, name: str) -> None: ...

    def close(self) -> None: ...
