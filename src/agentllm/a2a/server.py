"""The agents of a catalog as A2A agents: for each an ASGI application, behind whatever authenticates its callers."""

from __future__ import annotations

import asyncio
import logging

from a2a.auth.user import User
from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import ServerCallContextBuilder, create_jsonrpc_routes, create_rest_routes
from starlette.requests import Request
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

from agentllm.a2a.asker import ASKER
from agentllm.a2a.cards import card_of
from agentllm.a2a.executor import Executor, Reading
from agentllm.a2a.logs import hide_quotes
from agentllm.a2a.tasks import Tasks
from agentllm.conversations import Conversations
from agentllm.core import Agent
from agentllm.errors import AgentLLMError

log = logging.getLogger("agentllm.a2a")

PARKED_SECONDS = 60.0
"""After which a task that waits for its client is kept in the database alone."""

FORGET_EVERY = 3600.0
"""Seconds between two looks for tasks that no conversation holds."""


class Server:
    """The A2A agents of one process; to be used on one event loop.

    A request's scope has its `Asker` under `ASKER`.
    """

    def __init__(self, conversations: Conversations) -> None:
        hide_quotes()
        self._tasks = Tasks(conversations)
        self._apps: dict[str, ASGIApp] = {}

    async def open(self) -> None:
        """End the tasks that other processes left, in a store that is made ready for tasks.

        Raises:
            StoreUnavailable: it cannot be read or written.
        """
        await self._tasks.open()

    async def keep_up(self) -> None:
        """Delete what no conversation holds, for ever."""
        while True:
            try:
                await self._tasks.forget()
            except AgentLLMError as error:
                log.error("tasks that are too old could not be deleted: %s", error.message)
            await asyncio.sleep(FORGET_EVERY)

    def app(self, agent: Agent) -> ASGIApp:
        """JSON-RPC at the root and REST below it, both in 1.0 and in 0.3."""
        if agent.name not in self._apps:
            self._apps[agent.name] = self._make(agent)
        return self._apps[agent.name]

    def _make(self, agent: Agent) -> ASGIApp:
        handler = DefaultRequestHandler(
            agent_executor=Executor(),
            task_store=self._tasks,
            agent_card=card_of(agent, "/"),
            request_context_builder=Reading(self._tasks),
            interrupted_task_timeout=PARKED_SECONDS,
        )
        contexts = _Contexts()
        rpc = create_jsonrpc_routes(handler, "/", context_builder=contexts, enable_v0_3_compat=True)
        rest = create_rest_routes(handler, context_builder=contexts, enable_v0_3_compat=True)
        # The SDK's mount of tenants would take any first segment of a path for one.
        return Router([*rpc, *(route for route in rest if not isinstance(route, Mount))])


class _Contexts(ServerCallContextBuilder):
    def build(self, request: Request) -> ServerCallContext:
        """The SDK's context of a request, with its caller in it."""
        asker = request.scope[ASKER]
        return ServerCallContext(
            user=_Caller(asker.agent),
            state={ASKER: asker, "headers": dict(request.headers)},
            requested_extensions=get_requested_extensions(request.headers.getlist(HTTP_EXTENSION_HEADER)),
        )


class _Caller(User):
    """Who is asking, for the SDK, which uses it for nothing here: tasks know their owners by the `Asker`."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._name
