"""When the proxy's process collects garbage.

Before Python 3.12 a collection begins in the middle of any allocation, also one by `ContextVar.set`, which
crashes where a finalizer sets a context variable then (python/cpython#148891). LiteLLM's streams have such
finalizers. So there the event loop collects, between its steps.
"""

from __future__ import annotations

import asyncio
import gc
import sys

EVERY = 0.02
"""Seconds between two looks at what there is to collect."""

THRESHOLDS = (20_000, 10, 5)
"""After how many new objects the youngest are collected, and after how many collections of one generation the next.

Streams leave hardly any garbage: with Python's (700, 10, 10), looking for it took a twentieth of a busy proxy's time.
"""

COLLECTS_ANYWHERE = sys.version_info < (3, 12)


def spare() -> None:
    """Leave what is loaded by now out of garbage collection, and what came since for longer.

    A full collection over all that LiteLLM loads stops every stream for half a second, and one over
    what a hundred open streams hold for a tenth, which Python's own threshold of 10 makes every second.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def collect_between_steps() -> None:
    """Collect garbage on the running loop until this is cancelled, where Python itself would do it anywhere.

    What is collected is what Python would, by the same thresholds.
    """
    if not COLLECTS_ANYWHERE:
        return
    gc.disable()
    new = Growth()
    try:
        while True:
            await asyncio.sleep(EVERY)
            if (generation := new.generation(gc.get_count()[0], gc.get_threshold())) is not None:
                gc.collect(generation)
    finally:
        gc.enable()


class Growth:
    """The objects that became more since each generation was collected last."""

    def __init__(self) -> None:
        self._middle = 0
        self._old = 0

    def generation(self, young: int, thresholds: tuple[int, int, int]) -> int | None:
        """The generation to collect, by the `young` objects that became more since the last one; None for none."""
        few, some, many = thresholds[0], thresholds[0] * thresholds[1], thresholds[0] * thresholds[1] * thresholds[2]
        if young <= few:
            return None
        self._middle += young
        if self._middle <= some:
            return 0
        self._old, self._middle = self._old + self._middle, 0
        if self._old <= many:
            return 1
        self._old = 0
        return 2
