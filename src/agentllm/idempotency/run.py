"""An answer that several requests read at once, each from its beginning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from agentllm.core import Event
from agentllm.idempotency.entry import Entry


class Run:
    """What comes of one key in this process: the events so far, and whoever reads them.

    `entry` is what is known of the answer; it does not change any more once `is_settled` is set. `task` is what
    tells the events.
    """

    task: asyncio.Task[None]

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.events: list[Event] = []
        self.readers = 0
        self.is_settled = asyncio.Event()
        self.is_stopped = False
        self._error: Exception | None = None
        self._is_over = False
        self._more = asyncio.Event()

    def tell(self, event: Event) -> None:
        """Give `event` to all who read."""
        self.events.append(event)
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """There is no more than `error`."""
        self._error, self._is_over = error, True
        self.is_settled.set()
        self._wake()

    async def read(self) -> AsyncGenerator[Event, None]:
        """All events, those that come as they come.

        Raises:
            Exception: what the run ended with, after all events.
        """
        at = 0
        while True:
            more = self._more
            while at < len(self.events):
                yield self.events[at]
                at += 1
            if self._is_over:
                break
            if self._more is more:
                await more.wait()
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """End the task, whose readers are gone, and wait until it has cleaned up."""
        self.is_stopped = True
        self.task.cancel()
        await asyncio.wait({self.task})

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
