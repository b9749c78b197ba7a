"""A turn that no one asked for: it loads what the first real one would have to wait for.

Agno, OpenAI's SDK and what they validate with load much of themselves with their first use,
some 0.4 s here.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
from agno.agent import Agent
from agno.models.openai import OpenAIChat

_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def rehearsal_agent() -> Agent:
    """An agent whose model answers in OpenAI's format from within this process."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(_answer))
    return Agent(model=OpenAIChat(id="rehearsal", api_key="none", http_client=client), telemetry=False)


def _answer(request: httpx.Request) -> httpx.Response:
    if not json.loads(request.content).get("stream"):
        message = {"role": "assistant", "content": "ready"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return httpx.Response(200, json={**_head("chat.completion"), "choices": [choice], "usage": _USAGE})
    delta = {"index": 0, "delta": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}
    chunks: list[dict[str, Any]] = [{"choices": [delta]}, {"choices": [], "usage": _USAGE}]
    events = [f"data: {json.dumps({**_head('chat.completion.chunk'), **chunk})}\n\n" for chunk in chunks]
    return httpx.Response(
        200, text="".join([*events, "data: [DONE]\n\n"]), headers={"content-type": "text/event-stream"}
    )


def _head(kind: str) -> dict[str, Any]:
    return {"id": "rehearsal", "object": kind, "created": 0, "model": "rehearsal"}
