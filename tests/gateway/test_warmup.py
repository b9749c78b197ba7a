"""What the proxy goes through before its first client asks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from litellm.proxy import proxy_server
from litellm.router import Router

from agentllm.catalog import Catalog
from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from agentllm.core import Agent, Event, Finished, Memory, Turn, Usage
from agentllm.errors import StoreUnavailable
from agentllm.gateway import auth
from agentllm.gateway.bridge import HomeLoop
from agentllm.gateway.registration import register
from agentllm.gateway.warmup import ask_once, rehearse
from tests.conversations.disk import sqlite_url
from tests.gateway.conftest import Serve


class Counting:
    """A runtime that counts what is asked of it."""

    name = description = None
    memory = Memory()
    takes_front_end_tools = False

    def __init__(self) -> None:
        self.warmed = self.ran = 0
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def warm_up(self) -> None:
        self.warmed += 1
        self.loops.add(asyncio.get_running_loop())

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        self.ran += 1
        for event in (Usage(), Finished("stop")):
            yield event


@pytest.fixture
def runtime(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    counting = Counting()
    serve(demo=counting)
    monkeypatch.setattr(proxy_server, "llm_router", Router(model_list=[]))
    monkeypatch.setattr(proxy_server, "master_key", "sk-right")
    monkeypatch.setattr(proxy_server, "user_custom_auth", auth.custom_auth)
    yield counting
    gc.unfreeze()


@pytest.fixture
def catalog(runtime: Counting) -> Catalog:
    return Catalog({"demo": Agent("demo", "", runtime)})


@pytest.fixture
def conversations(tmp_path: Path) -> Conversations:
    store = Store(sqlite_url(tmp_path))
    store.create()
    return Conversations(store, b"a secret of a test", Locks(), history_turns=20)


async def test_a_rehearsal_warms_each_runtime_on_a_loop_of_its_own_and_runs_none(
    runtime: Counting, catalog: Catalog, conversations: Conversations
) -> None:
    rehearse(catalog, conversations)
    assert (runtime.warmed, runtime.ran) == (1, 0)
    assert asyncio.get_running_loop() not in runtime.loops


async def test_the_proxy_is_asked_plain_and_streamed_and_no_agent_is_run(
    runtime: Counting, catalog: Catalog, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proxy_server.llm_router is not None
    register(proxy_server.llm_router, catalog)
    asked: list[tuple[str, str]] = []
    app: Any = proxy_server.app

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                asked.append((scope["path"], str(message["status"])))
            await send(message)

        await app(scope, receive, sent)

    monkeypatch.setattr(proxy_server, "app", listening)
    await ask_once(catalog, conversations)
    conversations.close()
    assert asked == [("/v1/chat/completions", "200")] * 2
    assert runtime.ran == 0


async def test_without_agents_nothing_is_asked(
    runtime: Counting, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_server, "app", None)
    await ask_once(Catalog({}), conversations)
    conversations.close()


async def test_a_proxy_that_refuses_is_left_to_its_clients(
    runtime: Counting, catalog: Catalog, conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_server, "master_key", None)
    await ask_once(catalog, conversations)
    conversations.close()
    assert runtime.ran == 0


def test_a_store_that_cannot_be_read_is_told_at_the_start(home: HomeLoop, catalog: Catalog, tmp_path: Path) -> None:
    never_made = Conversations(
        Store(sqlite_url(tmp_path / "nowhere")), b"a secret of a test", Locks(), history_turns=20
    )
    with pytest.raises(StoreUnavailable):
        home.run(ask_once(catalog, never_made))
    never_made.close()
