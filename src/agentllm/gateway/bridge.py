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
from typing import Any, Generic, TypeVar

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
        steps = _Steps(generator)
        step: Future[T] | None = None
        try:
            while True:
                step = self._submit(steps.next())
                try:
                    item = step.result()
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if step is not None:
                step.cancel()
            self._submit(steps.close()).result()

    async def astream(self, generator: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The items of `generator`; closing this closes it."""
        here = self._is_here()
        steps = _Steps(generator)
        try:
            while True:
                try:
                    step = steps.next()
                    item = await (step if here else asyncio.wrap_future(self._submit(step)))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            close = steps.close()
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


class _Steps(Generic[T]):
    """The steps of a generator, one after another: it is closed after the step that is being cancelled."""

    def __init__(self, generator: AsyncGenerator[T, None]) -> None:
        self._generator = generator
        self._turn = asyncio.Lock()

    async def next(self) -> T:
        async with self._turn:
            return await anext(self._generator)

    async def close(self) -> None:
        async with self._turn:
            await self._generator.aclose()
