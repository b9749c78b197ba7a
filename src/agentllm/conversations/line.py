"""The connection of a thread to PostgreSQL, which another thread cuts where the server does not answer.

A server that is stopped, or whose machine is, refuses nothing: what waits for its answer waits for
ever, and the network below goes on well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import sqlalchemy as sa


class Connected(Protocol):
    """A connection of psycopg."""

    def fileno(self) -> int: ...


def hang_up(connection: Connected) -> None:
    """End what another thread waits for on `connection`, as if the server had."""
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


class Line:
    """What one thread does with the connection of its engine, and since when."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._connection: Connected | None = None
        self._since: float | None = None

    def follow(self, engine: sa.Engine) -> None:
        """Learn of the connections of `engine`, which is PostgreSQL's, from before their first query."""

        def connect(dialect: sa.Dialect, _record: object, args: list[Any], options: dict[str, Any]) -> Connected:
            connection: Any = dialect.connect(*args, **options)
            self._connection = connection
            return connection  # type: ignore[no-any-return]  # psycopg's, of which the base dialect does not know

        sa.event.listen(engine, "do_connect", connect)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """An attempt of the thread to do something; it is for one at a time."""
        with self._guard:
            self._since = time.monotonic()
        try:
            yield
        finally:
            with self._guard:
                self._since = None

    def cut(self, *, after: float) -> None:
        """End an attempt that takes more than `after` seconds; it then fails as if the server had left."""
        with self._guard:
            if self._since is not None and time.monotonic() - self._since >= after and self._connection is not None:
                hang_up(self._connection)
