"""Collecting garbage where nothing can crash of it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import pytest

from agentllm.gateway import garbage
from agentllm.gateway.garbage import Growth, collect_between_steps

THRESHOLDS = (700, 10, 50)

FINALIZERS_THAT_SET_CONTEXT_VARIABLES = """
import asyncio, contextvars, gc
from agentllm.gateway.garbage import collect_between_steps

VARIABLES = [contextvars.ContextVar(f"v{i}") for i in range(20)]
finalized = 0

class Cycle:
    def __init__(self):
        self.me = self

    def __del__(self):
        global finalized
        finalized += 1
        for variable in VARIABLES:
            variable.set(object())
        self.left = [(i,) * size for size in range(2, 40) for i in range(30)]

async def main():
    collecting = asyncio.create_task(collect_between_steps())
    await asyncio.sleep(0)
    for number in range(5_000):
        gc.set_threshold(3 + number % 41, 10, 10)
        Cycle()
        for variable in VARIABLES:
            variable.set(number)
        if number % 500 == 0:
            await asyncio.sleep(0.05)
    collecting.cancel()

asyncio.run(main())
print(finalized)
"""


def test_finalizers_that_set_context_variables_do_not_crash_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FINALIZERS_THAT_SET_CONTEXT_VARIABLES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


async def test_a_newer_python_collects_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "COLLECTS_ANYWHERE", False)
    await asyncio.wait_for(collect_between_steps(), 1)
    assert gc.isenabled()


def test_what_is_collected_is_what_python_would_collect() -> None:
    growth = Growth()
    assert growth.generation(700, THRESHOLDS) is None
    assert [growth.generation(701, THRESHOLDS) for _ in range(10)] == [0] * 9 + [1]


def test_a_full_collection_comes_after_so_many_of_the_middle_one() -> None:
    growth = Growth()
    found = [growth.generation(7_001, THRESHOLDS) for _ in range(50)]
    assert found == [1] * 49 + [2]
    assert growth.generation(7_001, THRESHOLDS) == 1
