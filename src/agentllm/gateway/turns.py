"""Whose turn it is: streams share the event loop so that none of them, and no new request, waits for all others.

A new request takes some tens of steps of the event loop before its model is asked. If each step
let every stream go on that has something to say, a hundred streams would make each of those steps
take a tenth of a second. So only some go on in each step, in the order they asked; what the others
have to say gathers meanwhile, and costs no more for being longer. A stream that has waited long goes
on beside them, so that none pauses for all the requests that may come.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

AT_ONCE = 1
"""Streams that go on in one step of the loop, at about half a millisecond each."""

LONGEST_WAIT = 0.1
"""Seconds after which a stream goes on whatever else there is to do."""

SLICE = 0.0005
"""Seconds that a stream goes on at a stretch, while other tasks of the loop wait."""

T = TypeVar("T")


class Turns:
    """The turns of one event loop, which they do not keep alive.

    A turn is always granted in a later step of the loop than the one that asked for it.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._granting = False

    async def next(self) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append((loop.time(), turn))
        if not self._granting:
            self._granting = True
            loop.call_soon(self._grant)
        await turn

    def _grant(self) -> None:
        loop, granted = asyncio.get_running_loop(), 0
        overdue = loop.time() - LONGEST_WAIT
        while self._waiting and (granted < self._at_once or self._waiting[0][0] <= overdue):
            _, turn = self._waiting.popleft()
            if not turn.done():  # a stream that was closed waits no longer
                turn.set_result(None)
                granted += 1
        self._granting = bool(self._waiting)
        if self._granting:
            loop.call_soon(self._grant)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """The turns of the running event loop."""
    loop = asyncio.get_running_loop()
    if (found := _turns.get(loop)) is None:
        found = _turns[loop] = Turns()
    return found


class Share:
    """One stream's share of the running event loop."""

    def __init__(self) -> None:
        self._turns = turns()
        self._went_on_at = 0.0

    async def wait_for(self, step: Awaitable[T]) -> T:
        """What `step` gives: at once if it can, else after a turn, so that more of it gathers meanwhile.

        The first step, and one after `SLICE` seconds without waiting, begins with a turn.
        """
        if time.perf_counter() - self._went_on_at > SLICE:
            await self._turns.next()
            self._went_on_at = time.perf_counter()
        waiting = _AfterTurn(step, self._turns)
        result = await waiting
        if waiting.has_waited:
            self._went_on_at = time.perf_counter()
        return result


class _AfterTurn(Awaitable[T]):
    """Awaits `step`, with a turn before what it first waits for; a cancellation reaches it as ever."""

    def __init__(self, step: Awaitable[T], shared: Turns) -> None:
        self._step = step
        self._shared = shared
        self.has_waited = False

    def __await__(self) -> Generator[Any, Any, T]:
        running = self._step.__await__()
        try:
            wanted = next(running)
            self.has_waited = True
            try:
                yield from self._shared.next().__await__()
            except asyncio.CancelledError as cancelled:
                if wanted is None or not wanted.cancel():
                    wanted = running.throw(cancelled)
            while True:
                try:
                    given = yield wanted
                except BaseException as error:
                    wanted = running.throw(error)
                else:
                    wanted = running.send(given)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's end is typed as anything
