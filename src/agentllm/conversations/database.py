"""One connection to the database in a thread of its own, which does what comes together in one transaction.

A commit waits for the disk, and a hop between threads costs more than a small query: so a turn
is read and begun in one piece of work, and pieces of many turns share a commit.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import sqlite3
import threading
import time
from contextlib import nullcontext
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from agentllm.conversations.job import LOOK, UNAVAILABLE, Job, Work
from agentllm.conversations.line import Line
from agentllm.errors import StoreUnavailable

log = logging.getLogger("agentllm.store")

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long SQLite waits for another process to finish writing."""

CONNECT_SECONDS = 5
"""How long PostgreSQL may take to let a connection in, at each of its addresses."""

ANSWER_SECONDS = 8.0
"""How long PostgreSQL may take for what is asked of it, before it counts as one that cannot be reached."""

MOST_TOGETHER = 64
"""Pieces of work in one transaction."""

SOON = 0.25
"""Seconds within which work that no one waits for is done, where nothing else is said."""

_PAUSE = 0.05


class Database:
    """May be used from several event loops at once. What is asked for is done even if its caller goes away."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._jobs: collections.deque[Job[Any]] = collections.deque()
        self._wakes = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._line = None if _is_sqlite(url) else Line()

    async def run(self, work: Work[T], *, patience: float, durable: bool = True) -> T:
        """Do `work` in a transaction. It may be called more than once, and sees what was undone in between.

        What it wrote outlives this process. Where it is not `durable`, SQLite may lose it with the power, unless
        something durable was written after it.

        A database that cannot be reached or is locked is tried again for `patience` seconds. A server that
        does not answer cannot be reached; that is known after `ANSWER_SECONDS`.

        Raises:
            StoreUnavailable: it still cannot be; nothing of `work` is in the database.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        job = Job(work, patience, durable=durable, loop=loop, future=done)
        self._add(job)
        watch = None if self._line is None else loop.call_later(LOOK, job.watch, self._line, ANSWER_SECONDS)
        try:
            return await done
        finally:
            if watch is not None:
                watch.cancel()

    def run_soon(self, work: Work[object], *, within: float = SOON, patience: float = 0.0) -> None:
        """Do `work` within so many seconds, if the database can be reached; only the log says if it cannot.

        It is tried again for `patience` seconds, in which other work waits as well.
        """
        self._add(Job(work, patience, within=within))

    def close(self) -> None:
        """Do what is still asked for, and let go of the database; waits at most a few seconds."""
        with self._wakes:
            thread = self._thread
            self._closing = True
            self._wakes.notify()
        if thread is not None:
            thread.join(BUSY_SECONDS)

    def _add(self, job: Job[Any]) -> None:
        with self._wakes:
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._serve, name="agentllm-store", daemon=True)
                self._thread.start()
            self._jobs.append(job)
            if job.due_at <= min(other.due_at for other in self._jobs):
                self._wakes.notify()

    def _serve(self) -> None:
        engine = make_engine(self._url)
        if self._line is not None:
            self._line.follow(engine)
        while jobs := self._take():
            _do(engine, jobs, self._line)
        engine.dispose()

    def _take(self) -> list[Job[Any]]:
        """The next pieces of work; none where the thread is to end, which takes no more from then on."""
        with self._wakes:
            while not self._is_urgent():
                waited = self._due_at() - time.monotonic() if self._jobs else None
                self._wakes.wait(waited)
            jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_TOGETHER))]
            if not jobs:
                self._thread = None
            return jobs

    def _is_urgent(self) -> bool:
        return self._closing or (bool(self._jobs) and time.monotonic() >= self._due_at())

    def _due_at(self) -> float:
        return min(job.due_at for job in self._jobs)


def make_engine(url: sa.URL) -> sa.Engine:
    """An engine for SQLite or PostgreSQL that never shows what is stored in an error.

    Every transaction of SQLite begins by taking the right to write: one that reads first and finds
    another process writing would otherwise fail at once. Connections with the option `only_reads` do not.
    A commit waits for the disk, except with the option `synchronous` of "NORMAL".
    """
    is_sqlite = _is_sqlite(url)
    options = {"timeout": BUSY_SECONDS} if is_sqlite else {"connect_timeout": CONNECT_SECONDS}
    engine = sa.create_engine(url, connect_args=options, pool_size=1, max_overflow=0, hide_parameters=True)
    if is_sqlite:
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def reason(error: Exception) -> str:
    """What went wrong, in a line without SQL and its parameters, which hold what people said."""
    cause = getattr(error, "orig", None) or error
    return (str(getattr(cause, "strerror", None) or cause).splitlines() or [type(error).__name__])[0]


def _is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    raw: Any = connection.connection.driver_connection
    raw.execute(f"PRAGMA synchronous={options.get('synchronous', 'FULL')}")
    connection.exec_driver_sql("BEGIN" if options.get("only_reads", False) else "BEGIN IMMEDIATE")


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # which SQLite's busy timeout does not wait for
            break
        except sqlite3.Error as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
    for pragma in ("foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _do(engine: sa.Engine, jobs: list[Job[Any]], line: Line | None) -> None:
    """Do `jobs` in one transaction, one by one where one of them spoils it, and again while one has patience."""
    while jobs := [job for job in jobs if not job.is_withdrawn]:
        begun: list[Job[Any]] = []
        synced = engine.execution_options(synchronous="FULL" if any(job.durable for job in jobs) else "NORMAL")
        try:
            with line.attempt() if line else nullcontext(), synced.begin() as connection:
                begun = [job for job in jobs if job.begin()]
                results = [job.work(connection) for job in begun]
        except Exception as error:
            for job in begun:
                job.wait()
            if len(begun) > 1 and not getattr(error, "connection_invalidated", False):
                log.debug("the work of %d turns is done one by one after %s", len(begun), type(error).__name__)
                for job in begun:
                    _do(engine, [job], line)
                return
            jobs = _those_with_patience(jobs, error)
            if jobs:
                time.sleep(_PAUSE)
        else:
            for job, result in zip(begun, results, strict=True):
                job.succeed(result)
            return


def _those_with_patience(jobs: list[Job[Any]], error: Exception) -> list[Job[Any]]:
    """The jobs that are worth another try after `error`; the others have failed."""
    can_pass, now = isinstance(error, (OperationalError, InterfaceError)), time.monotonic()
    failed = [job for job in jobs if not can_pass or now - job.asked_at >= job.patience]
    if failed and isinstance(error, (SQLAlchemyError, TypeError, ValueError)):
        log.error("the store of conversations failed: %s", reason(error))
        error = StoreUnavailable(UNAVAILABLE)
    for job in failed:
        job.fail(error)
    return [job for job in jobs if job not in failed]
