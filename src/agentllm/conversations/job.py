"""Pieces of work for the database, and who waits for them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import sqlalchemy as sa

from agentllm.conversations.line import Line
from agentllm.errors import StoreUnavailable

log = logging.getLogger("agentllm.store")

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

LOOK = 0.5
"""Seconds between two looks at work that is waited for."""

UNAVAILABLE = "The conversation could not be stored: its store is not available."


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """A piece of work for the database, to be done `within` seconds, and who waits for it.

    `asked_at` is by `time.monotonic`. What is done outlives this process; that of a `durable` piece its machine too.
    """

    work: Work[T]
    patience: float
    within: float = 0.0
    durable: bool = False
    asked_at: float = field(default_factory=time.monotonic)
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[T] | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _state: Literal["waiting", "under way", "withdrawn"] = "waiting"

    @property
    def due_at(self) -> float:
        return self.asked_at + self.within

    @property
    def is_withdrawn(self) -> bool:
        return self._state == "withdrawn"

    def begin(self) -> bool:
        """Whether its work is to be done; it can no longer be withdrawn then."""
        return self._become("under way")

    def withdraw(self) -> bool:
        """Whether its work is not done, and never will be."""
        return self._become("withdrawn")

    def wait(self) -> None:
        """Its work was undone."""
        with self._guard:
            self._state = "waiting"

    def _become(self, state: Literal["under way", "withdrawn"]) -> bool:
        with self._guard:
            if self._state != "waiting":
                return False
            self._state = state
            return True

    def watch(self, line: Line, limit: float) -> None:
        """See now and then, on the loop of who waits, that neither this nor what is done before takes too long."""
        future, loop = self.future, self.loop
        if future is None or loop is None or future.done():
            return
        line.cut(after=limit)
        longest = max(self.patience, limit)
        if time.monotonic() - self.asked_at >= longest and self.withdraw():
            log.error("the store of conversations did not answer within %g s", longest)
            future.set_exception(StoreUnavailable(UNAVAILABLE))
            return
        loop.call_later(LOOK, self.watch, line, limit)

    def succeed(self, result: T) -> None:
        self._tell(lambda future: future.set_result(result))

    def fail(self, error: Exception) -> None:
        self._tell(lambda future: future.set_exception(error))

    def _tell(self, tell: Callable[[asyncio.Future[T]], None]) -> None:
        future = self.future
        if self.loop is None or future is None:
            return

        def told() -> None:
            if not future.done():
                tell(future)

        try:
            self.loop.call_soon_threadsafe(told)
        except RuntimeError:
            log.debug("the event loop that waited for the store is closed")
