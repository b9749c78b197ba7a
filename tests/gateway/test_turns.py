"""Turns of one event loop."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest

from agentllm.gateway import turns as turns_module
from agentllm.gateway.turns import LONGEST_WAIT, SLICE, Share, Turns, turns
from tests.virtual_time import run


@pytest.fixture(autouse=True)
def _no_stretch_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is."""
    monkeypatch.setattr(turns_module, "SLICE", 60.0)


async def steps_until(task: asyncio.Task[Any]) -> int:
    """How many steps of the loop `task` takes."""
    steps = 0
    while not task.done():
        steps += 1
        await asyncio.sleep(0)
    return steps


async def ready(value: int) -> int:
    """A step that need not wait."""
    return value


def test_turns_are_granted_in_the_order_they_were_asked_for() -> None:
    async def main() -> list[int]:
        shared, order = Turns(), []

        async def stream(number: int) -> None:
            await shared.next()
            order.append(number)

        await asyncio.gather(*map(stream, range(20)))
        return order

    assert run(main()) == list(range(20))


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_streams_go_on_in_one_step_than_may(at_once: int) -> None:
    async def main() -> list[int]:
        shared, gone, by_step = Turns(at_once), 0, []

        async def stream() -> None:
            nonlocal gone
            await shared.next()
            gone += 1

        all_of_them = asyncio.gather(*(stream() for _ in range(9)))
        while not all_of_them.done():
            before = gone
            await asyncio.sleep(0)
            by_step.append(gone - before)
        return by_step

    granted = run(main())
    assert sum(granted) == 9
    assert max(granted) == at_once


def test_streams_that_waited_too_long_all_go_on_in_one_step() -> None:
    async def main() -> int:
        shared = Turns()
        streams = [asyncio.create_task(shared.next()) for _ in range(9)]
        await asyncio.sleep(0)
        time.sleep(LONGEST_WAIT + 0.01)  # noqa: ASYNC251 - other work that holds up the loop
        return await steps_until(asyncio.ensure_future(asyncio.gather(*streams)))

    assert asyncio.run(main()) <= 5


def test_a_lone_stream_waits_a_step_and_no_longer() -> None:
    async def main() -> int:
        return await steps_until(asyncio.create_task(Turns().next()))

    assert run(main()) <= 3


def test_a_stream_that_was_closed_does_not_use_up_a_turn() -> None:
    async def main() -> int:
        shared = Turns()
        gone = [asyncio.create_task(shared.next()) for _ in range(10)]
        last = asyncio.create_task(shared.next())
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        return await steps_until(last)

    assert run(main()) <= 3


def test_after_a_pause_turns_are_granted_again() -> None:
    async def main() -> None:
        shared = Turns()
        for _ in range(3):
            await shared.next()
            await asyncio.sleep(1)

    run(main())


async def test_all_streams_of_a_loop_share_its_turns() -> None:
    assert turns() is turns()


def test_loops_have_turns_of_their_own() -> None:
    async def mine() -> Turns:
        return turns()

    assert run(mine()) is not run(mine())


def test_a_loop_that_was_closed_is_forgotten() -> None:
    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        turns()
        return weakref.ref(asyncio.get_running_loop())

    gone = asyncio.run(main())
    gc.collect()
    assert gone() is None


def test_a_step_that_need_not_wait_takes_no_turn() -> None:
    async def main() -> int:
        share = Share()
        await share.wait_for(ready(0))
        task = asyncio.create_task(share.wait_for(ready(1)))
        return await steps_until(task)

    assert run(main()) == 1


def test_the_first_step_begins_with_a_turn() -> None:
    async def main() -> int:
        return await steps_until(asyncio.create_task(Share().wait_for(ready(1))))

    assert run(main()) > 1


def test_a_step_that_waits_goes_on_after_the_turns_of_all_who_asked_before() -> None:
    async def main() -> list[str]:
        share, order = Share(), []
        await share.wait_for(ready(0))

        async def other(name: str) -> None:
            await turns().next()
            order.append(name)

        async def waiting() -> None:
            await asyncio.sleep(0)
            order.append("step")

        others = [asyncio.create_task(other(name)) for name in "abc"]
        await asyncio.sleep(0)
        await asyncio.gather(share.wait_for(waiting()), *others)
        return order

    assert run(main()) == ["a", "b", "c", "step"]


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_step_gives_its_result_whether_it_is_there_before_the_turn_or_after(seconds: float) -> None:
    async def main() -> str:
        share = Share()
        await share.wait_for(ready(0))
        return await share.wait_for(asyncio.sleep(seconds, "said"))

    assert run(main()) == "said"


@pytest.mark.parametrize("wait", [False, True])
def test_a_step_s_error_is_raised(wait: bool) -> None:
    async def failing() -> None:
        if wait:
            await asyncio.sleep(1)
        raise LookupError("nothing")

    async def main() -> None:
        await Share().wait_for(failing())

    with pytest.raises(LookupError, match="nothing"):
        run(main())


@pytest.mark.parametrize("steps", range(6))
def test_a_cancelled_step_is_cancelled_where_it_waits_and_so_is_what_it_waits_for(steps: int) -> None:
    async def main() -> None:
        share = Share()
        await share.wait_for(ready(0))
        background = asyncio.create_task(asyncio.sleep(60))
        cleaned_up = asyncio.Event()

        async def waiting() -> None:
            try:
                await background
            finally:
                cleaned_up.set()

        task = asyncio.create_task(share.wait_for(waiting()))
        for _ in range(1 + steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned_up.is_set()
        assert background.cancelled()

    run(main())


def test_a_step_that_was_done_waiting_when_it_was_cancelled_is_cancelled() -> None:
    async def main() -> None:
        share = Share()
        await share.wait_for(ready(0))
        loop = asyncio.get_running_loop()
        there = loop.create_future()

        async def waiting() -> None:
            await there
            raise AssertionError("it went on")

        task = asyncio.create_task(share.wait_for(waiting()))
        await asyncio.sleep(0)
        there.set_result(None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_step_may_end_instead_of_being_cancelled() -> None:
    async def main() -> str:
        share = Share()
        await share.wait_for(ready(0))

        async def stubborn() -> str:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return "ended"

        task = asyncio.create_task(share.wait_for(stubborn()))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert run(main()) == "ended"


def test_streams_that_never_wait_take_turns_after_their_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "SLICE", SLICE)

    async def main() -> int:
        other_ran = 0

        async def never_waits() -> None:
            share = Share()
            for number in range(5):
                await share.wait_for(working(number))

        async def working(number: int) -> int:
            until = time.perf_counter() + 2 * SLICE
            while time.perf_counter() < until:
                pass
            return number

        task = asyncio.create_task(never_waits())
        while not task.done():
            await asyncio.sleep(0)
            other_ran += 1
        return other_ran

    assert run(main()) >= 5
