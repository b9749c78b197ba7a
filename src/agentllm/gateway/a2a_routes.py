"""The agents over A2A, on the proxy's own application and behind its authentication.

They are under a path of ours: `/a2a/<name>` is LiteLLM's, for agents that its configuration names, and drops the
context of a message and who sent it on its way to a provider.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentllm.catalog import Catalog
from agentllm.conversations import Conversations
from agentllm.errors import AgentLLMError
from agentllm.gateway.a2a_asker import ProxyAsker
from agentllm.gateway.fetch import Fetcher
from agentllm.gateway.garbage import spare
from agentllm.gateway.handler import AgentHandler
from agentllm.gateway.registration import router_of_proxy
from agentllm.settings import load_settings

if TYPE_CHECKING:
    from agentllm.a2a.server import Server

log = logging.getLogger("agentllm.gateway")

PATH = "/agentllm/a2a"
CARD_PATH = "/.well-known/agent-card.json"
CHAT_PATH = "/v1/chat/completions"

_OF_BODY = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")


def is_installed() -> bool:
    """Whether a2a-sdk is; it is not imported for that."""
    return importlib.util.find_spec("a2a") is not None


class A2ARoutes:
    """Serves the agents of `catalog`; opens `server` in time, or with the first request before that."""

    def __init__(self, catalog: Catalog, handler: AgentHandler, server: Server) -> None:
        self._catalog = catalog
        self._handler = handler
        self._server = server
        self._fetcher = Fetcher() if load_settings().fetch_urls else None
        self._opening = asyncio.Lock()
        self._is_open = False

    def routes(self) -> list[APIRoute]:
        """The cards, which anyone may read, and all else, which a key is needed for."""
        card = APIRoute(f"{PATH}/{{agent}}{CARD_PATH}", self._card, methods=["GET"], include_in_schema=False)
        root = APIRoute(f"{PATH}/{{agent}}", self._call(), methods=["POST"], include_in_schema=False)
        methods = ["GET", "POST", "DELETE"]
        below = APIRoute(f"{PATH}/{{agent}}/{{rest:path}}", self._call(), methods=methods, include_in_schema=False)
        return [card, root, below]

    async def keep_open(self) -> None:
        """Open as soon as the proxy has its router, which is when it is ready for requests; then keep the tasks."""
        await router_of_proxy()
        try:
            server = await self._opened()
        except AgentLLMError as error:
            log.error("agents are not served over A2A yet: %s", error.message)
            return
        spare()
        await server.keep_up()

    async def _card(self, request: Request, agent: str) -> Response:
        try:
            found = self._catalog.get(agent)
        except AgentLLMError as error:
            return _refusal(error)
        from agentllm.a2a.cards import as_json, card_of

        base = load_settings().public_url or str(request.base_url)
        return JSONResponse(as_json(card_of(found, f"{base.rstrip('/')}{PATH}/{found.name}")))

    def _call(self) -> Callable[..., Awaitable[Response]]:
        @functools.wraps(user_api_key_auth)
        async def authenticated(request: Request, **keys: Any) -> UserAPIKeyAuth:
            known: UserAPIKeyAuth = await user_api_key_auth(_as_chat(request, self._catalog), **keys)
            return known

        depends: Any = Depends(authenticated)

        async def call(request: Request, key: UserAPIKeyAuth = depends) -> Response:
            return await self._answer(request, key)

        return call

    async def _answer(self, request: Request, key: UserAPIKeyAuth) -> Response:
        try:
            served = self._catalog.get(request.path_params["agent"])
            asker = ProxyAsker(self._handler, served, key, dict(request.headers), self._fetcher)
            asker.check()
            server = await self._opened()
        except AgentLLMError as error:
            return _refusal(error)
        from agentllm.a2a.asker import ASKER

        path = f"/{request.path_params.get('rest', '')}"
        changed = {"path": path, "raw_path": path.encode(), "root_path": "", "path_params": {}, ASKER: asker}
        return _Within(server.app(served), changed)

    async def _opened(self) -> Server:
        async with self._opening:
            if not self._is_open:
                await self._server.open()
                self._is_open = True
            return self._server


class _Within(Response):
    """The answer of another application, to the same request with some of its scope changed."""

    def __init__(self, app: ASGIApp, changed: Mapping[str, Any]) -> None:
        super().__init__()
        self._app = app
        self._changed = changed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, **self._changed}, receive, send)


def serve_a2a(
    catalog: Catalog,
    conversations: Conversations,
    handler: AgentHandler,
) -> Coroutine[Any, Any, None]:
    """Have the proxy of this process serve the agents over A2A, where a2a-sdk is installed; what it returns is to be
    run beside the proxy.

    Loads a2a-sdk, which takes as long as some fifty requests, so before the first of them.
    """
    if not is_installed():
        return asyncio.sleep(0)
    from litellm.proxy import proxy_server

    from agentllm.a2a.server import Server

    served = A2ARoutes(catalog, handler, Server(conversations))
    proxy_server.app.router.routes[:0] = served.routes()
    return served.keep_open()


def _as_chat(request: Request, catalog: Catalog) -> Request:
    """The request for a chat with the agent by the same caller: who may have that may send the agent messages.

    LiteLLM's authentication would know neither our paths nor which model a message is for.
    """
    agent = catalog.agents.get(request.path_params["agent"])
    body = json.dumps({"model": agent.model, "messages": []} if agent is not None else {}).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(name, value) for name, value in request.scope["headers"] if name not in _OF_BODY]
    _ = request.state  # made here, so that the copy shares what LiteLLM notes there and tidies up after the request
    changed = {
        "method": "POST",
        "path": CHAT_PATH,
        "raw_path": CHAT_PATH.encode(),
        "query_string": b"",
        "path_params": {},
        "headers": [*headers, (b"content-type", b"application/json")],
    }
    return Request({**request.scope, **changed}, receive)


def _refusal(error: AgentLLMError) -> Response:
    body = {"message": error.message, "type": error.type, "param": None, "code": str(error.status)}
    return JSONResponse({"error": body}, status_code=error.status)
