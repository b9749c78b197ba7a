"""Readiness: the proxy says that it is ready once its first request is as quick as any other."""

from __future__ import annotations

import asyncio
import time

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/health/readiness"

LONGEST = 5.0
"""Seconds after which LiteLLM's own answer is no longer waited with."""


def be_ready_after(rehearsal: asyncio.Task[None]) -> None:
    """Have the proxy of this process say that it is ready after `rehearsal`, by a route before LiteLLM's."""
    from litellm.proxy import proxy_server

    proxy_server.app.router.routes.insert(0, Rehearsed(proxy_server.app.router, rehearsal))


class Rehearsed(BaseRoute):
    """A route for readiness that waits for `rehearsal`, no longer than `LONGEST`, and leaves the answer to `routes`."""

    def __init__(self, routes: ASGIApp, rehearsal: asyncio.Task[None]) -> None:
        self._routes = routes
        self._rehearsal = rehearsal
        self._until = time.monotonic() + LONGEST

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether `scope` asks for readiness while it is to be waited with."""
        waits = not self._rehearsal.done() and time.monotonic() < self._until
        asks = scope["type"] == "http" and scope["path"].endswith(PATH)
        return Match.FULL if waits and asks else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await asyncio.wait({self._rehearsal}, timeout=self._until - time.monotonic())
        await self._routes(scope, receive, send)
