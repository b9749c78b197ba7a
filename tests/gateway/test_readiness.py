"""When the proxy says that it is ready."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agentllm.gateway import readiness
from agentllm.gateway.readiness import PATH, Rehearsed

SECOND = 30.0


async def _answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("healthy")


def _client(rehearsal: asyncio.Task[None]) -> httpx.AsyncClient:
    app = Starlette(routes=[Route(PATH, _answer), Route("/other", _answer)])
    app.router.routes.insert(0, Rehearsed(app.router, rehearsal))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.invalid")


async def test_it_is_ready_when_the_rehearsal_is_over_and_answers_all_else_meanwhile() -> None:
    over = asyncio.Event()

    async def rehearse() -> None:
        await over.wait()

    rehearsal = asyncio.create_task(rehearse())
    async with _client(rehearsal) as client:
        asked = asyncio.create_task(client.get(PATH))
        assert (await client.get("/other")).text == "healthy"
        assert not asked.done()
        over.set()
        assert (await asyncio.wait_for(asked, SECOND)).text == "healthy"
        assert (await client.get(PATH)).text == "healthy"


async def test_a_rehearsal_that_failed_is_not_waited_for() -> None:
    async def fail() -> None:
        raise ValueError("no model")

    rehearsal = asyncio.create_task(fail())
    async with _client(rehearsal) as client:
        assert (await asyncio.wait_for(client.get(PATH), SECOND)).text == "healthy"
    with pytest.raises(ValueError, match="no model"):
        await rehearsal


async def test_one_that_takes_long_is_waited_for_no_longer_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LONGEST", 0.05)
    rehearsal = asyncio.create_task(asyncio.sleep(SECOND))
    async with _client(rehearsal) as client:
        assert (await asyncio.wait_for(client.get(PATH), SECOND / 2)).text == "healthy"
    rehearsal.cancel()
