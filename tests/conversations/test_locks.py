"""One at a time, in the order they came, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from agentllm.conversations.locks import LAST_PAUSE, QUEUE, Locks
from agentllm.errors import ConversationBusy, StoreUnavailable
from tests.virtual_time import run


async def all_wait() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _visit_at_once(locks: Locks, name: str) -> None:
    async with locks.hold(name):
        pass


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
        async with asyncio.timeout(30), locks.hold("a"):
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


def test_more_than_may_wait_are_told_to_come_again() -> None:
    async def main() -> None:
        locks, log = Locks(queue=2), list[str]()
        visitors = [Visitor(locks, "a", log, label) for label in "123"]
        await all_wait()
        with pytest.raises(ConversationBusy) as busy:
            async with locks.hold("a"):
                pytest.fail("it was held")
        assert "2" in busy.value.message
        assert isinstance(busy.value.retry_after, int)
        assert busy.value.retry_after > 0
        async with locks.hold("b"):
            pass
        for visitor in visitors:
            visitor.leave.set()
        await asyncio.gather(*(visitor.task for visitor in visitors))
        assert log[-1] == "3 out"
        assert len(locks) == 0

    run(main())


def test_one_who_stops_waiting_makes_room_for_another() -> None:
    async def main() -> None:
        locks, log = Locks(queue=1), list[str]()
        first, second = (Visitor(locks, "a", log, label) for label in "12")
        await all_wait()
        second.task.cancel()
        await all_wait()
        third = Visitor(locks, "a", log, "3")
        await all_wait()
        for visitor in (first, third):
            visitor.leave.set()
            await visitor.task
        assert log == ["1 in", "1 out", "3 in", "3 out"]

    run(main())


def test_sixteen_may_wait_unless_said_otherwise() -> None:
    async def main() -> None:
        locks, log = Locks(), list[str]()
        visitors = [Visitor(locks, "a", log, str(number)) for number in range(1 + QUEUE + 1)]
        await all_wait()
        for visitor in visitors:
            visitor.leave.set()
        ends = await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)
        assert QUEUE == 16
        assert [type(end) for end in ends] == [*[type(None)] * 17, ConversationBusy]

    run(main())


def test_one_who_is_called_and_cancelled_at_once_calls_the_next() -> None:
    async def main() -> None:
        locks, log = Locks(), list[str]()
        first, second, third = (Visitor(locks, "a", log, label) for label in "123")
        await all_wait()
        third.leave.set()
        first.task.add_done_callback(lambda _: second.task.cancel())
        first.leave.set()
        await asyncio.wait([first.task, second.task, third.task])
        assert log == ["1 in", "1 out", "3 in", "3 out"]
        assert len(locks) == 0

    run(main())


def test_event_loops_of_several_threads_wait_for_each_other() -> None:
    locks, total = Locks(), [0]

    async def add() -> None:
        for _ in range(200):
            async with locks.hold("a"):
                seen = total[0]
                await asyncio.sleep(0)
                total[0] = seen + 1

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(asyncio.run, add()) for _ in range(4)]:
            done.result(60)
    assert total == [800]
    assert len(locks) == 0


def test_one_whose_event_loop_is_closed_keeps_nobody_waiting() -> None:
    locks, log = Locks(), list[str]()

    async def main() -> None:
        async with locks.hold("a"):
            gone = asyncio.new_event_loop()
            waiter = gone.create_task(_visit_at_once(locks, "a"))
            await asyncio.to_thread(gone.run_until_complete, all_wait())
            gone.close()
            following = Visitor(locks, "a", log, "2")
            following.leave.set()
            await all_wait()
        await asyncio.wait_for(following.task, 10)
        waiter.get_coro().close()

    asyncio.run(main())
    assert log == ["2 in", "2 out"]


class Elsewhere:
    """Implements `ProcessLocks`: another process that has what is in `taken`."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.held: set[str] = set()
        self.tries: list[float] = []
        self.error: Exception | None = None

    async def try_lock(self, name: str) -> bool:
        self.tries.append(asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        if name in self.taken | self.held:
            return False
        self.held.add(name)
        return True

    def unlock(self, name: str) -> None:
        self.held.discard(name)

    def close(self) -> None:
        self.held.clear()


class TestAcrossProcesses:
    def test_what_is_free_is_asked_for_once(self) -> None:
        async def main() -> None:
            elsewhere = Elsewhere()
            async with Locks(elsewhere).hold("a"):
                assert elsewhere.held == {"a"}
            assert elsewhere.held == set()
            assert elsewhere.tries == [0.0]

        run(main())

    def test_what_another_process_has_is_looked_at_ever_less_often(self) -> None:
        async def main() -> None:
            elsewhere, log = Elsewhere(), list[str]()
            elsewhere.taken.add("a")
            visitor = Visitor(Locks(elsewhere), "a", log, "1")
            visitor.leave.set()
            await asyncio.sleep(1)
            assert log == []
            pauses = [later - sooner for sooner, later in pairwise(elsewhere.tries[2:])]
            assert pauses[:4] == pytest.approx([0.01, 0.02, 0.04, 0.08])
            assert pauses[4:] == pytest.approx([LAST_PAUSE] * (len(pauses) - 4))
            elsewhere.taken.clear()
            await visitor.task
            assert elsewhere.held == set()

        run(main())

    def test_one_who_is_cancelled_while_another_process_has_it_leaves_nothing(self) -> None:
        async def main() -> None:
            elsewhere, log = Elsewhere(), list[str]()
            elsewhere.taken.add("a")
            locks = Locks(elsewhere)
            visitor = Visitor(locks, "a", log, "1")
            await asyncio.sleep(0.5)
            visitor.task.cancel()
            await asyncio.wait([visitor.task])
            assert elsewhere.held == set()
            assert len(locks) == 0

        run(main())

    def test_a_store_that_is_down_is_told_to_all_who_wait_and_leaves_nothing(self) -> None:
        async def main() -> None:
            elsewhere, log = Elsewhere(), list[str]()
            elsewhere.error = StoreUnavailable("no")
            locks = Locks(elsewhere)
            visitors = [Visitor(locks, "a", log, label) for label in "12"]
            ends = await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)
            assert [type(end) for end in ends] == [StoreUnavailable, StoreUnavailable]
            assert log == []
            assert len(locks) == 0

        run(main())
