"""Work in one database: what comes together is done together, what fails fails alone, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from agentllm.conversations import database as module
from agentllm.conversations.database import MOST_TOGETHER, Database, make_engine
from agentllm.errors import StoreUnavailable
from tests.conversations.disk import change, full_disk, locked, rows, sqlite_url
from tests.postgres import Postgres

SECOND = 30.0
"""Bounds of waits that take no time when all is well."""


@pytest.fixture
def database(url: sa.URL) -> Iterator[Database]:
    change(url, "CREATE TABLE notes (text VARCHAR(9) PRIMARY KEY)")
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def impatient_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)


def note(text: str) -> Callable[[sa.Connection], str]:
    def work(connection: sa.Connection) -> str:
        connection.execute(sa.text("INSERT INTO notes VALUES (:text)"), {"text": text})
        return text

    return work


def notes(url: sa.URL) -> list[object]:
    return [text for (text,) in rows(url, "SELECT text FROM notes ORDER BY text")]


def waits_for_the_disk(connection: sa.Connection) -> bool:
    """Whether SQLite's commit of this transaction will."""
    return connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


class Holding:
    """A piece of work that keeps the database's thread until it is let go."""

    def __init__(self, database: Database) -> None:
        self._begun, self._end = threading.Event(), threading.Event()
        self._task = asyncio.create_task(database.run(self._work, patience=0))

    async def __aenter__(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, SECOND)

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await self._task

    def _work(self, connection: sa.Connection) -> None:
        self._begun.set()
        assert self._end.wait(SECOND)


async def together(database: Database, works: list[Callable[[sa.Connection], str]]) -> list[str | BaseException]:
    """Have all of `works` asked for before one of them is begun."""
    async with Holding(database):
        tasks = [asyncio.create_task(database.run(work, patience=0)) for work in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


class TestTogether:
    async def test_what_is_done_is_on_disk_and_its_result_is_given(self, database: Database, url: sa.URL) -> None:
        assert await database.run(note("a"), patience=0) == "a"
        assert notes(url) == ["a"]

    async def test_what_comes_together_is_one_transaction(self, database: Database) -> None:
        transactions: list[object] = []

        def work(connection: sa.Connection) -> str:
            transactions.append(connection.get_transaction())
            return "done"

        assert await together(database, [work] * MOST_TOGETHER) == ["done"] * MOST_TOGETHER
        assert len(transactions) == MOST_TOGETHER
        assert len(set(transactions)) == 1

    async def test_what_is_more_is_another(self, database: Database, url: sa.URL) -> None:
        texts = [str(number) for number in range(MOST_TOGETHER * 2 + 1)]
        assert await together(database, [note(text) for text in texts]) == texts
        assert notes(url) == sorted(texts)

    @pytest.mark.parametrize("place", [0, 5, 9])
    async def test_what_fails_fails_alone(self, place: int, database: Database, url: sa.URL) -> None:
        def poisoned(connection: sa.Connection) -> str:
            note("poison")(connection)
            raise ZeroDivisionError

        works = [note(str(number)) for number in range(10)]
        works[place] = poisoned
        results = await together(database, works)
        assert isinstance(results.pop(place), ZeroDivisionError)
        assert results == [str(number) for number in range(10) if number != place]
        assert notes(url) == results

    async def test_so_does_what_the_database_refuses(self, database: Database, url: sa.URL) -> None:
        results = await together(database, [note("a"), note("b"), note("a")])
        assert isinstance(results.pop(), StoreUnavailable)
        assert notes(url) == results == ["a", "b"]

    async def test_what_a_database_refuses_for_good_is_not_tried_again(self, database: Database) -> None:
        tried: list[str] = []

        def work(connection: sa.Connection) -> None:
            tried.append("once")
            raise IntegrityError("", {}, Exception("refused"))

        with pytest.raises(StoreUnavailable):
            await database.run(work, patience=60)
        assert tried == ["once"]

    async def test_several_event_loops_share_it(self, database: Database, url: sa.URL) -> None:
        async def use(label: str) -> list[str]:
            return await asyncio.gather(*(database.run(note(f"{label}{i}"), patience=0) for i in range(20)))

        def in_a_loop_of_its_own(label: str) -> list[str]:
            return asyncio.run(use(label))

        with ThreadPoolExecutor(3) as pool:
            done = await asyncio.gather(
                *(asyncio.get_running_loop().run_in_executor(pool, in_a_loop_of_its_own, label) for label in "xyz")
            )
        assert notes(url) == sorted(text for texts in done for text in texts)
        assert len(notes(url)) == 60

    async def test_what_was_asked_for_is_done_also_if_its_caller_goes_away(
        self, database: Database, url: sa.URL
    ) -> None:
        async with Holding(database):
            task = asyncio.create_task(database.run(note("a"), patience=0))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await database.run(note("b"), patience=0) == "b"
        assert notes(url) == ["a", "b"]

    async def test_and_if_its_caller_s_loop_is_closed(self, database: Database, url: sa.URL) -> None:
        async def leave() -> None:
            left = asyncio.ensure_future(database.run(note("a"), patience=0))
            await asyncio.sleep(0)
            left.cancel()

        async with Holding(database):
            await asyncio.to_thread(asyncio.run, leave())
        assert await database.run(note("b"), patience=0) == "b"
        assert notes(url) == ["a", "b"]


class TestSoon:
    async def test_what_nobody_waits_for_is_done_by_itself(self, database: Database, url: sa.URL) -> None:
        done = threading.Event()
        database.run_soon(lambda connection: done.set())
        assert await asyncio.to_thread(done.wait, SECOND)

    async def test_it_is_done_before_what_is_asked_for_after_it(self, database: Database, url: sa.URL) -> None:
        database.run_soon(note("a"))
        assert await database.run(lambda connection: connection.scalar(sa.text("SELECT text FROM notes")), patience=0)

    async def test_if_it_fails_nobody_is_told_and_all_goes_on(self, database: Database, url: sa.URL) -> None:
        for text in ("a", "a", "b"):
            database.run_soon(note(text))
        assert await database.run(note("c"), patience=0) == "c"
        assert notes(url) == ["a", "b", "c"]


class TestClosing:
    def test_what_was_asked_for_is_done_first(self, database: Database, url: sa.URL) -> None:
        for number in range(MOST_TOGETHER + 5):
            database.run_soon(note(str(number)))
        database.close()
        assert len(notes(url)) == MOST_TOGETHER + 5

    async def test_it_can_be_used_again(self, database: Database, url: sa.URL) -> None:
        for text in "ab":
            await database.run(note(text), patience=0)
            database.close()
            database.close()
        assert notes(url) == ["a", "b"]

    async def test_what_is_asked_for_meanwhile_is_done_too(self, tmp_path: Path) -> None:
        database = Database(sqlite_url(tmp_path))

        def close_often() -> None:
            for _ in range(100):
                database.close()

        closing = asyncio.create_task(asyncio.to_thread(close_often))
        async with asyncio.timeout(SECOND):
            while not closing.done():
                assert await database.run(lambda connection: 1, patience=0) == 1
        database.close()

    def test_no_thread_stays(self, database: Database) -> None:
        asyncio.run(database.run(note("a"), patience=0))
        database.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "agentllm-store"]


class TestSqliteThatFails:
    async def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "notes").write_text("somebody's notes, " * 100)
        database = Database(sqlite_url(tmp_path).set(database=str(tmp_path / "notes")))
        with pytest.raises(StoreUnavailable):
            await database.run(note("a"), patience=60)
        database.close()

    async def test_a_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        database = Database(sqlite_url(tmp_path / "nowhere"))
        with pytest.raises(StoreUnavailable):
            await database.run(note("a"), patience=0.1)
        database.close()

    async def test_one_that_can_be_opened_before_patience_ends(self, tmp_path: Path) -> None:
        database = Database(sqlite_url(tmp_path / "later"))
        asking = asyncio.create_task(database.run(lambda connection: 1, patience=SECOND))
        await asyncio.wait([asking], timeout=0.1)
        (tmp_path / "later").mkdir()
        assert await asking == 1
        database.close()

    @pytest.mark.usefixtures("impatient_sqlite")
    async def test_while_another_writes_all_wait_together_and_fail_together(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path)
        change(url, "CREATE TABLE notes (text VARCHAR(9))")
        database = Database(url)
        await database.run(note("before"), patience=0)
        with locked(url):
            async with asyncio.timeout(MOST_TOGETHER * 0.2 / 2):
                works = (database.run(note(str(number)), patience=0) for number in range(MOST_TOGETHER))
                results = await asyncio.gather(*works, return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailable}
        assert notes(url) == ["before"]
        database.close()

    @pytest.mark.usefixtures("impatient_sqlite")
    async def test_one_with_more_patience_is_done_when_the_other_has_written(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path)
        change(url, "CREATE TABLE notes (text VARCHAR(9))")
        database = Database(url)
        await database.run(note("before"), patience=0)
        with locked(url):
            patient = asyncio.create_task(database.run(note("patient"), patience=SECOND))
            with pytest.raises(StoreUnavailable):
                await database.run(note("other"), patience=0)
            assert not patient.done()
        assert await patient == "patient"
        assert notes(url) == ["before", "patient"]
        database.close()

    async def test_a_full_disk(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path)
        change(url, "CREATE TABLE notes (text TEXT)")
        database = Database(url)
        with full_disk(), pytest.raises(StoreUnavailable):
            await database.run(note("x" * 100_000), patience=0)
        assert await database.run(note("after"), patience=0) == "after"
        assert notes(url) == ["after"]
        database.close()


async def test_a_server_that_was_away_is_used_again(postgres: Postgres) -> None:
    url = sa.make_url(postgres.new_database())
    change(url, "CREATE TABLE notes (text VARCHAR(9))")
    database = Database(url)
    await database.run(note("before"), patience=0)
    postgres.stop()
    try:
        with pytest.raises(StoreUnavailable):
            await database.run(note("meanwhile"), patience=0.1)
        patient = asyncio.create_task(database.run(note("patient"), patience=60))
        await asyncio.wait([patient], timeout=0.2)
        assert not patient.done()
    finally:
        await asyncio.to_thread(postgres.start)
    assert await patient == "patient"
    assert notes(url) == ["before", "patient"]
    database.close()


async def test_sqlite_waits_for_the_disk_where_one_of_the_works_is_durable(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path))
    assert await database.run(waits_for_the_disk, patience=0)
    assert not await database.run(waits_for_the_disk, patience=0, durable=False)
    for durable in (True, False):
        async with Holding(database):
            works = [database.run(waits_for_the_disk, patience=0, durable=each) for each in (False, durable)]
            tasks = [asyncio.create_task(work) for work in works]
            await asyncio.sleep(0)
        assert await asyncio.gather(*tasks) == [durable] * 2
    database.close()


async def test_errors_never_hold_what_is_stored(url: sa.URL) -> None:
    engine = make_engine(url)
    with engine.connect() as connection, pytest.raises(sa.exc.SQLAlchemyError) as caught:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:text)"), {"text": "hunter2"})
    assert "hunter2" not in str(caught.value)
    engine.dispose()
