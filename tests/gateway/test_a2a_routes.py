"""The agents' A2A routes on the proxy's application: there with the extra, and nothing of it without."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from litellm.proxy import proxy_server

from agentllm.catalog import Catalog
from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from agentllm.core import Agent
from agentllm.gateway.a2a_routes import CARD_PATH, PATH, _as_chat, serve_a2a
from tests.conversations.disk import sqlite_url
from tests.conversations.speaking import Speaking
from tests.gateway.conftest import Serve

CATALOG = Catalog({"demo": Agent("demo", "A demo.", Speaking())})


@pytest.fixture
def conversations(tmp_path: Any) -> Iterator[Conversations]:
    store = Store(sqlite_url(tmp_path))
    store.create()
    yield Conversations(store, b"0" * 32, Locks(), history_turns=20)
    store.close()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """In the place of the proxy's own."""
    made = FastAPI()
    monkeypatch.setattr(proxy_server, "app", made)
    return made


def paths(app: FastAPI) -> list[str]:
    return [route.path for route in app.routes if getattr(route, "path", "").startswith(PATH)]  # type: ignore[attr-defined]


async def test_the_routes_stand_before_those_of_the_proxy(
    app: FastAPI, conversations: Conversations, serve: Serve
) -> None:
    serve_a2a(CATALOG, conversations, serve()).close()
    assert len(paths(app)) == 3
    assert app.routes[0].path.startswith(PATH)  # type: ignore[attr-defined]


async def test_without_the_extra_there_are_none(
    app: FastAPI, conversations: Conversations, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    await serve_a2a(CATALOG, conversations, serve())
    assert paths(app) == []


@pytest.mark.parametrize("public", [None, "https://agents.example.org/ai/"])
async def test_a_card_names_the_configured_address_else_that_of_the_request(
    app: FastAPI, conversations: Conversations, serve: Serve, monkeypatch: pytest.MonkeyPatch, public: str | None
) -> None:
    if public:
        monkeypatch.setenv("AGENTLLM_PUBLIC_URL", public)
    serve_a2a(CATALOG, conversations, serve()).close()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.invalid:1") as client:
        card = (await client.get(f"{PATH}/demo{CARD_PATH}")).json()
        missing = await client.get(f"{PATH}/nobody{CARD_PATH}")
    assert card["url"] == f"{(public or 'http://proxy.invalid:1').rstrip('/')}{PATH}/demo"
    assert missing.status_code == 404


@pytest.mark.parametrize(("agent", "body"), [("demo", {"model": "agno/demo", "messages": []}), ("nobody", {})])
async def test_a_request_is_authenticated_as_a_chat_with_the_agent_s_model(agent: str, body: object) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"model": "agno/other"}', "more_body": False}

    headers = [(b"authorization", b"Bearer sk-1"), (b"content-length", b"23"), (b"content-type", b"text/plain")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"{PATH}/{agent}/tasks/1",
        "query_string": b"model=agno/other",
        "path_params": {"agent": agent, "rest": "tasks/1", "model": "agno/other"},
        "headers": headers,
    }
    request = Request(scope, receive)
    chat = _as_chat(request, CATALOG)
    assert (chat.method, chat.scope["path"], dict(chat.query_params)) == ("POST", "/v1/chat/completions", {})
    assert json.loads(await chat.body()) == body
    assert chat.headers["authorization"] == "Bearer sk-1"
    assert chat.headers["content-type"] == "application/json"
    chat.state.noted = True
    assert request.state.noted
    assert json.loads(await request.body()) == {"model": "agno/other"}
