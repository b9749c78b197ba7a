"""Rests in reading a model's answer."""

from __future__ import annotations

import asyncio

from agentllm.rests import rest, rest_with


async def test_there_is_no_rest_where_nobody_says_so() -> None:
    await asyncio.wait_for(rest(), timeout=30)


async def test_a_reader_waits_as_whoever_sends_its_answer_says() -> None:
    goes_on = asyncio.Event()

    async def send() -> asyncio.Task[None]:
        rest_with(goes_on.wait)
        return asyncio.create_task(rest())

    reader = await asyncio.create_task(send())
    await asyncio.sleep(0)
    assert not reader.done()
    goes_on.set()
    await asyncio.wait_for(reader, timeout=30)


async def test_the_rest_is_that_of_one_answer_and_not_of_others() -> None:
    async def send() -> None:
        rest_with(asyncio.Event().wait)

    await asyncio.create_task(send())
    await asyncio.wait_for(rest(), timeout=30)
