"""Locks that processes share: real processes, a real file, a real PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from agentllm.conversations import advisory_locks
from agentllm.conversations.locks import AdvisoryLocks, FileLocks, Locks, ProcessLocks
from agentllm.errors import ConfigurationError, StoreUnavailable
from tests.conversations.disk import read_only_folder
from tests.conversations.other_process import SECONDS, TIMES, OtherProcess, shared_locks
from tests.postgres import Postgres

NAME = "5e" * 32


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new file or a new database."""
    if request.param == "file":
        return str(tmp_path / "locks")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def shared(where: str) -> Iterator[ProcessLocks]:
    locks = shared_locks(where)
    yield locks
    locks.close()


async def free(shared: ProcessLocks, name: str = NAME) -> bool:
    """Whether nobody has the lock."""
    if await shared.try_lock(name):
        shared.unlock(name)
        return True
    return False


async def soon(shared: ProcessLocks, name: str = NAME, *, is_free: bool = True) -> None:
    """Wait until the lock is free, or until it is not."""
    async with asyncio.timeout(SECONDS):
        while await free(shared, name) != is_free:  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(0.01)


async def test_a_name_is_held_once(shared: ProcessLocks) -> None:
    assert await shared.try_lock(NAME)
    assert not await shared.try_lock(NAME)
    assert await shared.try_lock("another")
    shared.unlock(NAME)
    assert await shared.try_lock(NAME)


async def test_giving_back_what_is_not_held_does_nothing(shared: ProcessLocks) -> None:
    shared.unlock(NAME)
    assert await free(shared)


async def test_what_another_process_has_is_had_after_it(where: str, shared: ProcessLocks) -> None:
    locks = Locks(shared)
    async with OtherProcess(where, "hold", NAME) as other:
        assert await other.says() == "held"
        assert not await shared.try_lock(NAME)
        assert await free(shared, "another")
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(other.give_back())
            async with locks.hold(NAME):
                pass
    assert await free(shared)


async def test_what_this_process_has_another_has_after_it(where: str, shared: ProcessLocks) -> None:
    async with AsyncExitStack() as mine:
        await mine.enter_async_context(Locks(shared).hold(NAME))
        async with OtherProcess(where, "hold", NAME) as other:
            await soon(shared, f"gate of {NAME}", is_free=False)
            await mine.aclose()
            assert await other.says() == "held"
            await other.give_back()
    assert await free(shared)


async def test_two_processes_never_have_it_at_once(where: str, tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    async with (
        OtherProcess(where, "count", NAME, str(number)) as one,
        OtherProcess(where, "count", NAME, str(number)) as other,
    ):
        assert [await one.says(), await other.says()] == ["counted", "counted"]
    assert number.read_text() == str(2 * TIMES)


async def test_a_process_with_a_long_queue_lets_others_in(where: str, shared: ProcessLocks) -> None:
    locks, log = Locks(shared), list[int]()

    async def visit(number: int) -> None:
        async with locks.hold(NAME):
            log.append(number)

    async with asyncio.TaskGroup() as visits, AsyncExitStack() as mine:
        await mine.enter_async_context(locks.hold(NAME))
        for number in range(3):
            visits.create_task(visit(number))
        async with OtherProcess(where, "hold", NAME) as other:
            await soon(shared, f"gate of {NAME}", is_free=False)
            await mine.aclose()
            assert await other.says() == "held"
            assert log == []
            await other.give_back()
    assert log == [0, 1, 2]


async def test_what_a_killed_process_had_is_free(where: str, shared: ProcessLocks) -> None:
    async with OtherProcess(where, "hold", NAME) as other:
        assert await other.says() == "held"
        await other.kill()
        await soon(shared)


async def test_one_who_is_cancelled_while_he_waits_leaves_nothing(where: str, shared: ProcessLocks) -> None:
    locks = Locks(shared)
    async with OtherProcess(where, "hold", NAME) as other:
        assert await other.says() == "held"
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005), locks.hold(NAME):
                    pytest.fail("it was held")
        assert len(locks) == 0
        await other.give_back()
    assert await free(shared)
    assert await free(shared, f"gate of {NAME}")


async def test_one_who_is_cancelled_as_he_asks_leaves_nothing(shared: ProcessLocks) -> None:
    locks = Locks(shared)

    async def visit() -> None:
        async with locks.hold(NAME):
            await asyncio.sleep(SECONDS)

    for turns in range(30):
        task = asyncio.create_task(visit())
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await free(shared)


def test_event_loops_of_several_threads_share_it(shared: ProcessLocks) -> None:
    locks, total = Locks(shared), [0]

    async def add() -> None:
        for _ in range(5):
            async with locks.hold(NAME):
                seen = total[0]
                await asyncio.sleep(0)
                total[0] = seen + 1

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(asyncio.run, add()) for _ in range(3)]:
            done.result(SECONDS)
    assert total == [15]


def test_a_fork_holds_nothing_and_takes_nothing_away(where: str) -> None:
    """In a process of its own, as pytest's has threads."""
    script = f"""
import asyncio, os
from tests.conversations.other_process import shared_locks

shared = shared_locks({where!r})
assert asyncio.run(shared.try_lock("a"))
child = os.fork()
if not child:
    assert not asyncio.run(shared.try_lock("a"))
    shared.unlock("a")
    assert asyncio.run(shared.try_lock("b"))
    shared.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
other = shared_locks({where!r})
assert not asyncio.run(other.try_lock("a"))
other.close()
shared.close()
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class TestFileLocks:
    async def test_all_of_one_path_are_one(self, tmp_path: Path) -> None:
        one, same = FileLocks(tmp_path / "locks"), FileLocks(tmp_path / "." / "locks")
        assert await one.try_lock(NAME)
        assert not await same.try_lock(NAME)
        same.close()
        async with OtherProcess(str(tmp_path / "locks"), "hold", "another") as other:
            assert await other.says() == "held"
            assert not await one.try_lock("another")
        one.close()

    async def test_closing_gives_back(self, tmp_path: Path) -> None:
        first = FileLocks(tmp_path / "locks")
        assert await first.try_lock(NAME)
        first.close()
        first.unlock(NAME)
        second = FileLocks(tmp_path / "locks")
        assert await second.try_lock(NAME)
        second.close()

    def test_the_file_is_the_owner_s_alone(self, tmp_path: Path) -> None:
        locks = FileLocks(tmp_path / "new" / "locks")
        assert stat.S_IMODE((tmp_path / "new" / "locks").stat().st_mode) == 0o600
        locks.close()

    def test_a_file_that_cannot_be_made_stops_the_start(self) -> None:
        with read_only_folder() as folder, pytest.raises(ConfigurationError, match=folder.name):
            FileLocks(folder / "locks")


@pytest.mark.postgres
class TestAdvisoryLocks:
    @pytest.fixture
    def url(self, postgres: Postgres) -> str:
        return postgres.new_database()

    @pytest.fixture
    def advisory(self, url: str) -> Iterator[AdvisoryLocks]:
        locks = AdvisoryLocks(url)
        yield locks
        locks.close()

    async def test_a_restart_of_the_server_is_survived_and_told(
        self, postgres: Postgres, advisory: AdvisoryLocks, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert await advisory.try_lock(NAME)
        postgres.stop()
        try:
            with pytest.raises(StoreUnavailable):
                await advisory.try_lock("another")
        finally:
            postgres.start()
        assert {record.levelno for record in caplog.records} == {logging.ERROR}
        assert await advisory.try_lock("another")
        advisory.unlock("another")
        advisory.unlock(NAME)
        assert await free(advisory)

    async def test_what_is_held_is_taken_again_after_a_restart(
        self, postgres: Postgres, url: str, advisory: AdvisoryLocks
    ) -> None:
        assert await advisory.try_lock(NAME)
        postgres.kill()
        postgres.start()
        assert await free(advisory, "another")
        other = AdvisoryLocks(url)
        assert not await other.try_lock(NAME)
        advisory.unlock(NAME)
        await soon(other)
        other.close()

    async def test_what_another_process_took_meanwhile_stays_with_it(
        self, postgres: Postgres, url: str, advisory: AdvisoryLocks, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert await advisory.try_lock(NAME)
        postgres.kill()
        postgres.start()
        other = AdvisoryLocks(url)
        assert await other.try_lock(NAME)
        assert await free(advisory, "another")
        assert "held by another process" in caplog.text
        advisory.unlock(NAME)
        assert not await advisory.try_lock(NAME)
        other.close()

    async def test_a_server_that_does_not_answer_is_given_up(
        self, url: str, advisory: AdvisoryLocks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(advisory_locks, "ANSWER_SECONDS", 0.2)
        monkeypatch.setattr(advisory_locks, "CLOSE_SECONDS", 0.2)
        assert await free(advisory)
        pid = lock_holder(url)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable):
                await advisory.try_lock(NAME)
        finally:
            os.kill(pid, signal.SIGCONT)
        await soon(advisory)

    async def test_a_server_that_does_not_answer_does_not_keep_the_process(
        self, url: str, advisory: AdvisoryLocks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(advisory_locks, "CLOSE_SECONDS", 0.2)
        assert await free(advisory)
        pid = lock_holder(url)
        os.kill(pid, signal.SIGSTOP)
        try:
            attempt = asyncio.create_task(advisory.try_lock(NAME))
            await asyncio.sleep(0)
            advisory.close()
            async with asyncio.timeout(10):
                await asyncio.wait([attempt])
        finally:
            os.kill(pid, signal.SIGCONT)

    async def test_a_server_that_is_not_there_is_an_unavailable_store(self, postgres: Postgres) -> None:
        locks = AdvisoryLocks(postgres.url("nothing"))
        with pytest.raises(StoreUnavailable):
            await locks.try_lock(NAME)
        locks.close()

    async def test_giving_back_after_the_end_does_nothing(self, advisory: AdvisoryLocks) -> None:
        assert await advisory.try_lock(NAME)
        advisory.close()
        advisory.unlock(NAME)


def lock_holder(url: str) -> int:
    """The server's process that holds the locks of the tests' process."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        ours = "application_name = 'agentllm locks' AND datname = current_database()"
        query = f"SELECT pid FROM pg_stat_activity WHERE {ours}"
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])
