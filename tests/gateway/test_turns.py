"""Turns of one event loop."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from agentllm.gateway.turns import Turns, turns
from tests.virtual_time import run


async def steps_until(task: asyncio.Task[None]) -> int:
    """How many steps of the loop `task` takes."""
    steps = 0
    while not task.done():
        steps += 1
        await asyncio.sleep(0)
    return steps


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
