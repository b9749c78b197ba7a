"""Refuses what LiteLLM's authentication breaks on, which is before any hook of a plug-in.

LiteLLM 1.106 takes it for granted that a JSON body is an object, that `tools` can be iterated over, and on
/v1/completions that it can write into `metadata`; and it looks into Prisma, which is there with a database only, for
why it refuses a body. Anything else ends in a 500 without a word.
"""

from __future__ import annotations

import json
import re

from litellm.proxy._types import ProxyException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentllm.errors import InvalidRequest

ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/messages")
"""What the paths end with whose bodies are looked at, in whatever version or deployment they are."""

_LOOKED_AT = "agentllm.body"
_MAY_BREAK = re.compile(rb'"tools"\s*:\s*(?:true|-?\d)|"metadata"\s*:\s*[^\s{n]')


def check_bodies() -> None:
    """Have the proxy of this process refuse them, by a route before all others."""
    from litellm.proxy import proxy_server

    proxy_server.app.router.routes.insert(0, CheckedBodies(proxy_server.app.router))


class CheckedBodies(BaseRoute):
    """A route that reads the body of a request to an endpoint of models and leaves the rest to `routes`."""

    def __init__(self, routes: ASGIApp) -> None:
        self._routes = routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether `scope` is such a request, which was not looked at yet."""
        if scope["type"] != "http" or scope["method"] != "POST" or _LOOKED_AT in scope:
            return Match.NONE, {}
        return Match.FULL if scope["path"].endswith(ENDPOINTS) else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request.

        Raises:
            ProxyException: its body is JSON that LiteLLM cannot read, or refuses; 400 in OpenAI's form.
        """
        body = await Request(scope, receive).body()
        path = scope["path"]
        is_text = path.endswith("/completions") and not path.endswith("/chat/completions")
        if flaw := flaw_of(body, is_text_completion=is_text):
            raise _refused(flaw)
        scope[_LOOKED_AT] = True
        try:
            await self._routes(scope, _again(body, receive), send)
        except ModuleNotFoundError as missing:
            cause = missing.__context__
            if missing.name != "prisma" or not isinstance(cause, ValueError):
                raise
            raise _refused(str(cause)) from None


def _refused(why: str) -> ProxyException:
    error = InvalidRequest(why)
    return ProxyException(message=error.message, type=error.type, param=None, code=error.status)


def flaw_of(body: bytes, *, is_text_completion: bool = False) -> str | None:
    """What is wrong with `body`; None where LiteLLM can read it, or tells itself that it is no JSON."""
    if body.lstrip()[:1] == b"{" and not _MAY_BREAK.search(body):
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return f"The body is {_kind(value)}; send a JSON object, with 'model' and what the model is asked."
    tools, metadata = value.get("tools"), value.get("metadata")
    if isinstance(tools, (bool, int, float)):
        return f"'tools' is {_kind(tools)}; send a list of tools."
    if is_text_completion and not isinstance(metadata, dict | None):
        return f"'metadata' is {_kind(metadata)}; send an object."
    return None


def _kind(value: object) -> str:
    match value:
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "a list"


def _again(body: bytes, receive: Receive) -> Receive:
    """What receives `body` whole, and then what comes after it."""
    waiting = [body]

    async def received() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return received
