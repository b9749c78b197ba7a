"""The home loop, reached from threads and from other loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import aclosing

import pytest

from agentllm.gateway.bridge import HomeLoop

SECOND = 30.0
"""Bounds of waits that take no time when all is well."""


class Recorder:
    """A generator of numbers that notes where it runs and when it is closed."""

    def __init__(self, *, items: int = 3, error: Exception | None = None, go: threading.Event | None = None) -> None:
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.closed = threading.Event()
        self._items, self._error, self._go = items, error, go

    async def numbers(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self._items):
                self.loops.add(asyncio.get_running_loop())
                if number and self._go is not None:
                    await asyncio.to_thread(self._go.wait, SECOND)
                yield number
            if self._error is not None:
                raise self._error
        finally:
            self.loops.add(asyncio.get_running_loop())
            self.closed.set()


async def here() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def fail() -> None:
    raise LookupError("no")


def test_coroutines_of_all_callers_run_on_one_loop(home: HomeLoop) -> None:
    async def elsewhere() -> asyncio.AbstractEventLoop:
        assert await home.arun(here()) is not asyncio.get_running_loop()
        return await home.arun(here())

    assert {home.run(here()), home.run(here()), asyncio.run(elsewhere()), asyncio.run(elsewhere())} == {
        home.run(here())
    }


def test_threads_that_start_at_once_meet_on_one_loop() -> None:
    home, met, ready = HomeLoop(), set(), threading.Barrier(8)

    def meet() -> None:
        ready.wait(SECOND)
        met.add(home.run(here()))

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECOND)
    assert len(met) == 1


def test_errors_come_back(home: HomeLoop) -> None:
    with pytest.raises(LookupError):
        home.run(fail())
    with pytest.raises(LookupError):
        asyncio.run(home.arun(fail()))


async def test_on_the_home_loop_itself_nothing_is_handed_over() -> None:
    home, recorder = HomeLoop(asyncio.get_running_loop()), Recorder()
    assert await home.arun(here()) is asyncio.get_running_loop()
    assert [number async for number in home.astream(recorder.numbers())] == [0, 1, 2]
    assert recorder.loops == {asyncio.get_running_loop()}


def test_a_synchronous_reader_gets_each_item_while_the_generator_still_works(home: HomeLoop) -> None:
    go = threading.Event()
    stream = home.stream(Recorder(go=go).numbers())
    assert next(stream) == 0
    go.set()
    assert list(stream) == [1, 2]


def test_a_reader_on_another_loop_gets_each_item_while_the_generator_still_works(home: HomeLoop) -> None:
    go, recorder = threading.Event(), Recorder()
    recorder = Recorder(go=go)

    async def read() -> list[int]:
        stream = home.astream(recorder.numbers())
        first = await anext(stream)
        go.set()
        return [first, *[number async for number in stream]]

    assert asyncio.run(read()) == [0, 1, 2]
    assert recorder.loops == {home.run(here())}


def test_closing_a_synchronous_stream_closes_the_generator_on_its_loop(home: HomeLoop) -> None:
    recorder = Recorder()
    stream = home.stream(recorder.numbers())
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert recorder.closed.is_set()
    assert recorder.loops == {home.run(here())}


def test_closing_a_stream_on_another_loop_closes_the_generator_on_its_own(home: HomeLoop) -> None:
    recorder = Recorder()

    async def read_one() -> None:
        async with aclosing(home.astream(recorder.numbers())) as stream:
            await anext(stream)

    asyncio.run(read_one())
    assert recorder.closed.is_set()
    assert recorder.loops == {home.run(here())}


def test_the_error_of_a_generator_comes_after_its_items(home: HomeLoop) -> None:
    stream = home.stream(Recorder(error=LookupError()).numbers())
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError):
        next(stream)


def test_the_error_of_a_generator_comes_to_another_loop_after_its_items(home: HomeLoop) -> None:
    async def read() -> list[int]:
        stream = home.astream(Recorder(error=LookupError()).numbers())
        seen = [await anext(stream) for _ in range(3)]
        with pytest.raises(LookupError):
            await anext(stream)
        return seen

    assert asyncio.run(read()) == [0, 1, 2]


class Hanging:
    """Something that waits until it is cancelled, and notes both; closing it takes some steps of its loop."""

    def __init__(self, *, steps: int = 0) -> None:
        self.started, self.stopped = threading.Event(), threading.Event()
        self._steps = steps

    async def hang(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(self._steps):
                await asyncio.sleep(0)
            self.stopped.set()

    async def items(self) -> AsyncGenerator[int, None]:
        yield 0
        await self.hang()


def test_cancelling_a_caller_on_another_loop_cancels_what_it_waits_for(home: HomeLoop) -> None:
    hanging = Hanging()

    async def leave() -> None:
        task = asyncio.create_task(home.arun(hanging.hang()))
        assert await asyncio.to_thread(hanging.started.wait, SECOND)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert hanging.stopped.wait(SECOND)


@pytest.mark.parametrize("steps", [0, 3])
def test_cancelling_a_reader_on_another_loop_stops_the_generator(steps: int, home: HomeLoop) -> None:
    hanging = Hanging(steps=steps)

    async def leave() -> None:
        stream = home.astream(hanging.items())
        await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        assert await asyncio.to_thread(hanging.started.wait, SECOND)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert hanging.stopped.wait(SECOND)


def test_an_interrupted_caller_stops_what_it_waits_for(home: HomeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C does, which reaches a thread that waits for a result as an exception there."""
    hanging = Hanging()

    def interrupted(self: Future[object], timeout: float | None = None) -> object:
        assert hanging.started.wait(SECOND)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        home.run(hanging.hang())
    assert hanging.stopped.wait(SECOND)


def test_an_interrupted_reader_stops_the_generator(home: HomeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging()
    stream = home.stream(hanging.items())
    next(stream)
    wait = Future.result

    def interrupted(self: Future[object], timeout: float | None = None) -> object:
        monkeypatch.setattr(Future, "result", wait)
        assert hanging.started.wait(SECOND)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert hanging.stopped.wait(SECOND)
