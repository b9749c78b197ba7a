"""The home loop: the one event loop that agents run on, reached from wherever a caller is.

Models and stores keep connections that belong to the loop that opened them. In the proxy the
home loop is the proxy's own; elsewhere it is a thread of this module, so that synchronous
callers stream and callers of several loops meet the same connections.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class HomeLoop:
    """Runs coroutines and reads generators on one event loop, from any thread and any loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._starting = threading.Lock()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end and wait for it; for callers without a running loop."""
        future = self._submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def arun(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end; cancelling this cancels it."""
        if self._is_here():
            return await coroutine
        return await asyncio.wrap_future(self._submit(coroutine))

    def stream(self, generator: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items of `generator`, each as soon as it is there; closing this closes it."""
        try:
            while True:
                try:
                    yield self._submit(_next(generator)).result()
                except StopAsyncIteration:
                    return
        finally:
            self._submit(_close(generator)).result()

    async def astream(self, generator: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The items of `generator`; closing this closes it."""
        here = self._is_here()
        try:
            while True:
                try:
                    step = _next(generator)
                    yield await (step if here else asyncio.wrap_future(self._submit(step)))
                except StopAsyncIteration:
                    return
        finally:
            close = _close(generator)
            await (close if here else asyncio.wrap_future(self._submit(close)))

    def _is_here(self) -> bool:
        return asyncio.get_running_loop() is self._loop

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="agentllm", daemon=True).start()
            return self._loop


async def _next(generator: AsyncGenerator[T, None]) -> T:
    return await anext(generator)


async def _close(generator: AsyncGenerator[T, None]) -> None:
    await generator.aclose()
