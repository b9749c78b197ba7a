"""The locks of PostgreSQL, for processes that share a database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import sqlalchemy as sa

from agentllm.conversations.line import hang_up
from agentllm.conversations.process_locks import UNAVAILABLE, lock_key
from agentllm.errors import StoreUnavailable

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger("agentllm.locks")

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_SECONDS = 10.0
"""How long PostgreSQL may take to say whether a lock is free."""

LATER_SECONDS = 0.25
"""How long it may take while the one before still waits in vain, so that those in a line are told soon."""

CLOSE_SECONDS = 2.0
"""How long `close` waits for what is under way."""


class AdvisoryLocks:
    """Implements `ProcessLocks` for all processes that use one PostgreSQL database, with its advisory locks.

    They belong to one connection, opened at the first use and kept open, in a thread of its own. If
    it is lost, so are they: the next use opens another one and takes again what nobody else took
    meanwhile. A pooler between them must keep sessions, not transactions.

    Args:
        url: SQLAlchemy's, of any driver; its options are libpq's. psycopg is installed where it came from `store_url`.
    """

    _unanswered: Future[None] | None

    def __init__(self, url: sa.URL | str) -> None:
        self._url = sa.make_url(url)
        self._start()

    async def try_lock(self, name: str) -> bool:
        if self._is_forked():
            self._start()
        session, key = self._session, lock_key(name)
        attempt = session.submit(session.try_lock, key)
        try:
            async with asyncio.timeout(LATER_SECONDS if self._is_waiting() else ANSWER_SECONDS):
                return await asyncio.wrap_future(attempt)
        except asyncio.CancelledError:
            session.submit(session.take_back, attempt, key)
            raise
        except TimeoutError:
            self._unanswered = session.submit(session.take_back, attempt, key)
            log.error("PostgreSQL did not say in time whether a lock is free")
            raise StoreUnavailable(UNAVAILABLE) from None

    def unlock(self, name: str) -> None:
        if not self._is_forked():
            with contextlib.suppress(RuntimeError):
                self._session.submit(self._session.unlock, lock_key(name))

    def close(self) -> None:
        if not self._is_forked():
            self._session.close()

    def _start(self) -> None:
        self._session = _Session(self._url)
        self._unanswered = None
        self._process = os.getpid()

    def _is_waiting(self) -> bool:
        """Whether what took too long before still waits."""
        return self._unanswered is not None and not self._unanswered.done()

    def _is_forked(self) -> bool:
        """Whether the session is another process's: its thread and its connection stayed there."""
        return self._process != os.getpid()


class _Session:
    """A connection to PostgreSQL, the locks that it holds, and the thread that alone uses them."""

    def __init__(self, url: sa.URL) -> None:
        self._parameters = _parameters(url)
        self._connection: psycopg.Connection[tuple[bool]] | None = None
        self._held: set[int] = set()
        self._thread = ThreadPoolExecutor(1, "agentllm-locks")

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do `work` after what was submitted before."""
        return self._thread.submit(work, *args, **kwargs)

    def try_lock(self, key: int) -> bool:
        from psycopg import Error

        if key in self._held:
            return False
        if self._connection is not None:
            try:
                return self._take(self._connection, key)
            except Error as error:
                self._lose(error)
        try:
            return self._take(self._connected(), key)
        except Error as error:
            self._lose(error)
            raise StoreUnavailable(UNAVAILABLE) from None

    def unlock(self, key: int) -> None:
        from psycopg import Error

        if key not in self._held:
            return
        self._held.remove(key)
        if self._connection is not None:
            try:
                self._connection.execute("SELECT pg_advisory_unlock(%s::bigint)", [key])
            except Error as error:
                self._lose(error)

    def take_back(self, attempt: Future[bool], key: int) -> None:
        """Undo a `try_lock` whose caller is gone."""
        if not attempt.cancelled() and attempt.exception() is None and attempt.result():
            self.unlock(key)

    def close(self) -> None:
        """Waits a moment for the server to answer, and no longer."""
        try:
            closed = self._thread.submit(self._disconnect)
        except RuntimeError:
            return  # closed before
        self._thread.shutdown(wait=False)
        if wait([closed], CLOSE_SECONDS).not_done and (connection := self._connection):
            hang_up(connection)

    def _take(self, connection: psycopg.Connection[tuple[bool]], key: int) -> bool:
        row = connection.execute("SELECT pg_try_advisory_lock(%s::bigint)", [key]).fetchone()
        is_ours = row is not None and row[0]
        if is_ours:
            self._held.add(key)
        return is_ours

    def _connected(self) -> psycopg.Connection[tuple[bool]]:
        import psycopg

        connection = self._connection = psycopg.connect(**self._parameters)
        lost = {key for key in self._held if not self._take(connection, key)}
        self._held -= lost
        if lost:
            log.error("%d conversations are held by another process before they were given back", len(lost))
        return connection

    def _lose(self, error: Exception) -> None:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        log.error("locks in PostgreSQL cannot be had, and %d are lost: %s", len(self._held), reason)
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _parameters(url: sa.URL) -> dict[str, Any]:
    """What libpq connects with; a server that cannot be reached any more is given up within 20 s."""
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    _, given = PGDialect_psycopg().create_connect_args(url)  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
    return {
        "autocommit": True,
        "application_name": "agentllm locks",
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        **given,
    }
