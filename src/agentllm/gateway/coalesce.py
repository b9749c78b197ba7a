"""Coalescing: text that gathers faster than the proxy can send it goes out in fewer, larger pieces.

LiteLLM spends a few tenths of a millisecond of CPU on every chunk, whatever its length, so a
chunk for each token makes the proxy the bottleneck.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from agentllm.core import Event, Reasoning, Text
from agentllm.gateway.turns import Share
from agentllm.rests import rest_with

HOLD = 0.020
"""Seconds that text may be held back after the piece before it, while no more than ten streams are sent."""

HOLD_FOR_EACH = 0.002
"""Seconds of it for each stream where there are more, so that together they send 500 pieces a second."""

LONGEST_HOLD = 0.125
"""Seconds that text is held back at most, however many streams there are."""

REST = 0.5
"""The part of a hold, where there are more, in which the model is not read: once is enough for each piece."""

MOST_GATHERED = 65_536
"""Characters that may gather before the agent is made to wait for its reader."""

_flowing: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()
"""How many streams of an event loop have text to send again and again."""

_readers: set[asyncio.Task[None]] = set()
"""Keeps readers that are still closing their agents; the event loop itself holds tasks weakly."""


async def coalesce(events: AsyncGenerator[Event, None], *, hold: float = HOLD) -> AsyncGenerator[Event, None]:
    """The events of `events`, in order, with neighbouring pieces of text (or of reasoning) joined.

    The first piece of a kind goes out at once; after that, what gathers within `hold` seconds
    of the piece before it goes out as one. With many streams that is longer, `LONGEST_HOLD` at
    most: else the proxy would be busy with sending alone; and their readers rest (`agentllm.rests`).
    Any other event, the end and an error are passed on at once, after all that came before them.
    Closing this closes `events`.

    Raises:
        Exception: whatever `events` raises, after everything that it yielded.
    """
    gathered = _Gathered(hold)
    reader = asyncio.create_task(_read(events, gathered))
    _readers.add(reader)
    reader.add_done_callback(_forget)
    try:
        while (event := await gathered.take()) is not None:
            yield event
        await reader
    finally:
        gathered.close()
        reader.cancel()
        # Not `await reader`: a server that cancels us again and again while we wait would pass that
        # on, and a second cancellation keeps the reader from closing its connection to the model.
        await asyncio.wait({reader})


def _forget(reader: asyncio.Task[None]) -> None:
    _readers.discard(reader)
    if not reader.cancelled():
        reader.exception()


async def _read(events: AsyncGenerator[Event, None], gathered: _Gathered) -> None:
    share = Share()
    rest_with(gathered.rest)
    try:
        async with contextlib.aclosing(events):
            event = await anext(events, None)
            while event is not None:
                gathered.put(event)
                await gathered.room()
                following = anext(events, None)
                event = await (share.wait_for(following) if isinstance(event, (Text, Reasoning)) else following)
    finally:
        gathered.end()


@dataclass(slots=True)
class _Pieces:
    """Neighbouring pieces of one kind."""

    kind: type[Text] | type[Reasoning]
    texts: list[str]


class _Gathered:
    """What was read and not yet taken; one task puts, another takes."""

    def __init__(self, hold: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._hold = hold
        self._waiting: deque[_Pieces | Event] = deque()
        self._characters = 0
        self._ended = False
        self._last_kind: type[Text] | type[Reasoning] | None = None
        self._held = False
        self._rests = False
        self._of_use = asyncio.Event()
        self._of_use.set()
        self._flows = False
        self._taker: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        if isinstance(event, (Text, Reasoning)):
            self._characters += len(event.text)
            last = self._waiting[-1] if self._waiting else None
            if isinstance(last, _Pieces) and last.kind is type(event):
                last.texts.append(event.text)
            else:
                self._waiting.append(_Pieces(type(event), [event.text]))
            if self._held and self._rests:
                self._of_use.clear()
        else:
            self._waiting.append(event)
        self._wake_taker()

    async def room(self) -> None:
        """Wait while too much has gathered."""
        while self._characters > MOST_GATHERED:
            self._putter = self._loop.create_future()
            await self._putter

    async def rest(self) -> None:
        """Wait while reading more would send nothing sooner."""
        await self._of_use.wait()

    def end(self) -> None:
        self._ended = True
        self._wake_taker()

    def close(self) -> None:
        """Nothing more will be taken."""
        self._waiting.clear()
        self._flow(False)

    async def take(self) -> Event | None:
        """The next event, None at the end."""
        while not self._ready():
            self._taker = self._loop.create_future()
            await self._taker
        return self._next() if self._waiting else None

    def _ready(self) -> bool:
        if self._ended or len(self._waiting) > 1:
            return True
        if not self._waiting:
            return False
        only = self._waiting[0]
        return not (self._held and isinstance(only, _Pieces) and only.kind is self._last_kind)

    def _wake_taker(self) -> None:
        if self._taker is not None and not self._taker.done() and self._ready():
            self._taker.set_result(None)

    def _flow(self, flows: bool) -> None:
        if flows is not self._flows:
            self._flows = flows
            _flowing[self._loop] = _flowing.get(self._loop, 0) + (1 if flows else -1)

    def _end_rest(self) -> None:
        if not self._waiting:
            self._of_use.set()

    def _release(self) -> None:
        self._held = False
        if not self._waiting:
            self._flow(False)
        if not self._waiting or self._taker is None or self._taker.done():
            self._of_use.set()
        self._wake_taker()

    def _next(self) -> Event:
        head = self._waiting.popleft()
        if not isinstance(head, _Pieces):
            return head
        self._last_kind = head.kind
        if not self._held:
            self._held = True
            self._flow(True)
            hold = max(self._hold, min(HOLD_FOR_EACH * _flowing[self._loop], LONGEST_HOLD))
            self._loop.call_later(hold, self._release)
            self._rests = hold > self._hold
            if self._rests:
                self._of_use.clear()
                self._loop.call_later(hold * REST, self._end_rest)
        text = "".join(head.texts)
        self._characters -= len(text)
        if self._putter is not None and not self._putter.done():
            self._putter.set_result(None)
        return head.kind(text)
