"""One turn at a time in each conversation, in this process and in all that share its store."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentllm.conversations.advisory_locks import AdvisoryLocks
from agentllm.conversations.process_locks import FileLocks, ProcessLocks
from agentllm.errors import ConversationBusy

__all__ = ["QUEUE", "AdvisoryLocks", "FileLocks", "Locks", "ProcessLocks"]

QUEUE = 16
"""How many turns of one process may wait for a conversation, beside the one that has it or is next."""

RETRY_AFTER = 5
"""Seconds after which a client that found the queue full may try again."""

FIRST_PAUSE = 0.01
LAST_PAUSE = 0.1
"""Seconds between two looks at a lock that another process has; they double from the first to the last."""


class Locks:
    """A lock for each name, kept only while someone holds it or waits for it.

    May be used from several event loops at once. Of the processes that share `across`, one
    holds a name at a time; where several wait for it, they take turns.
    """

    def __init__(self, across: ProcessLocks | None = None, *, queue: int = QUEUE) -> None:
        self._across = across or _NoOtherProcess()
        self._queue = queue
        self._lines: dict[str, collections.deque[_Place]] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def across(self) -> ProcessLocks:
        """Those of the processes, for what has no line to wait in; of one alone, each lock is free."""
        return self._across

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Hold the lock of `name`; those of this process who wait get it in the order they came.

        Raises:
            ConversationBusy: as many wait as may.
            StoreUnavailable: it cannot be found out whether another process holds it.
        """
        waited = await self._enter(name)
        try:
            await self._lock(name, is_fresh=not waited)
            try:
                yield
            finally:
                self._across.unlock(name)
        finally:
            self._leave(name)

    def close(self) -> None:
        """Give back what is held across processes; nothing may be held or waited for any more."""
        self._across.close()

    async def _enter(self, name: str) -> bool:
        """Become the one of this process who may have `name`; whether that meant to wait."""
        with self._guard:
            line = self._lines.get(name)
            if line is None:
                self._lines[name] = collections.deque()
                return False
            if len(line) >= self._queue:
                raise ConversationBusy(len(line), retry_after=RETRY_AFTER)
            line.append(place := _Place())
        try:
            await place.called
        except asyncio.CancelledError:
            if not self._withdraw(name, place):
                self._leave(name)
            raise
        return True

    def _withdraw(self, name: str, place: _Place) -> bool:
        """Whether `place` still waited, and does no longer."""
        with self._guard:
            with contextlib.suppress(ValueError):
                self._lines[name].remove(place)
                return True
            return False

    def _leave(self, name: str) -> None:
        with self._guard:
            line = self._lines[name]
            while line:
                if line.popleft().call():
                    return
            del self._lines[name]

    async def _lock(self, name: str, *, is_fresh: bool) -> None:
        """Take `name` from the other processes.

        Whoever has to wait waits at the gate first, as does one who follows another of its own
        process: so a process with a long queue does not keep the others out.
        """
        if is_fresh and await self._across.try_lock(name):
            return
        gate = f"gate of {name}"
        await self._poll(gate)
        try:
            await self._poll(name)
        finally:
            self._across.unlock(gate)

    async def _poll(self, name: str) -> None:
        pause = FIRST_PAUSE
        while not await self._across.try_lock(name):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)


class _Place:
    """A place in a line, and how its owner is called on the event loop where it waits."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.called: asyncio.Future[None] = self._loop.create_future()

    def call(self) -> bool:
        """Call the owner; False where its event loop is closed and there is nobody to call."""
        try:
            self._loop.call_soon_threadsafe(self._come)
        except RuntimeError:
            return False
        return True

    def _come(self) -> None:
        if not self.called.done():
            self.called.set_result(None)


class _NoOtherProcess:
    """Implements `ProcessLocks` for a process that is alone."""

    async def try_lock(self, name: str) -> bool:
        return True

    def unlock(self, name: str) -> None:
        pass

    def close(self) -> None:
        pass
