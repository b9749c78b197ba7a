"""One at a time, in the order they came, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agentllm.conversations.locks import Locks
from tests.virtual_time import run


async def all_wait() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


class Visitor:
    """Holds a lock until it is told to leave."""

    def __init__(self, locks: Locks, name: str, log: list[str], label: str) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(locks, name, log, label))

    async def _visit(self, locks: Locks, name: str, log: list[str], label: str) -> None:
        async with locks.hold(name):
            log.append(f"{label} in")
            await self.leave.wait()
            log.append(f"{label} out")


def test_those_who_wait_get_it_in_the_order_they_came() -> None:
    async def main() -> list[str]:
        locks, log = Locks(), list[str]()
        visitors = [Visitor(locks, "a", log, label) for label in "123"]
        for visitor in reversed(visitors):
            visitor.leave.set()
        await asyncio.gather(*(visitor.task for visitor in visitors))
        return log

    assert run(main()) == ["1 in", "1 out", "2 in", "2 out", "3 in", "3 out"]


def test_one_waits_until_the_other_has_left() -> None:
    async def main() -> None:
        locks, log = Locks(), list[str]()
        first, second = (Visitor(locks, "a", log, label) for label in "12")
        await all_wait()
        assert log == ["1 in"]
        first.leave.set()
        await all_wait()
        assert log == ["1 in", "1 out", "2 in"]
        second.leave.set()
        await second.task

    run(main())


def test_other_names_are_other_locks() -> None:
    async def main() -> None:
        locks, log = Locks(), list[str]()
        visitors = [Visitor(locks, name, log, name) for name in "ab"]
        await all_wait()
        assert log == ["a in", "b in"]
        assert len(locks) == 2
        for visitor in visitors:
            visitor.leave.set()
            await visitor.task

    run(main())


def test_a_lock_is_kept_only_while_it_is_held_or_waited_for() -> None:
    async def main() -> None:
        locks, log = Locks(), list[str]()
        first, second = (Visitor(locks, "a", log, label) for label in "12")
        await all_wait()
        assert len(locks) == 1
        first.leave.set()
        await first.task
        await all_wait()
        assert len(locks) == 1
        second.leave.set()
        await second.task
        assert len(locks) == 0

    run(main())


def test_an_error_inside_gives_it_back() -> None:
    async def main() -> None:
        locks = Locks()
        with pytest.raises(ZeroDivisionError):
            async with locks.hold("a"):
                raise ZeroDivisionError
        assert len(locks) == 0
        async with asyncio.timeout(1), locks.hold("a"):
            pass

    run(main())


@pytest.mark.parametrize("whom", [lambda first, second: first, lambda first, second: second], ids=["holder", "waiter"])
def test_one_who_is_cancelled_keeps_nobody_waiting(whom: Callable[[Visitor, Visitor], Visitor]) -> None:
    async def main() -> None:
        locks, log = Locks(), list[str]()
        first, second, third = (Visitor(locks, "a", log, label) for label in "123")
        await all_wait()
        cancelled = whom(first, second)
        cancelled.task.cancel()
        for visitor in (first, second, third):
            visitor.leave.set()
        done = await asyncio.gather(first.task, second.task, third.task, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in done] == [
            visitor is cancelled for visitor in (first, second, third)
        ]
        assert log[-2:] == ["3 in", "3 out"]
        assert len(locks) == 0

    run(main())
