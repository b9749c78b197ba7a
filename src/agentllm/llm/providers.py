"""Agno's own model classes for Google and OpenAI, set up so that a failure comes back at once and whole.

Google's is built with its client, so that copies of the model share its connections; the runtime
gives OpenAI's the one that all models of that wire format share.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentllm.errors import ConfigurationError

if TYPE_CHECKING:
    from agno.models.google import Gemini
    from agno.models.openai import OpenAIChat

_CONNECTIONS = 1_000


def gemini(model: str) -> Gemini:
    """Google's model `model`, with the key of `GEMINI_API_KEY`, else of `GOOGLE_API_KEY`.

    `GOOGLE_GEMINI_BASE_URL` is honoured. A failed call is not repeated, and its error has the
    provider's status and words.

    Raises:
        ConfigurationError: there is no key.
    """
    key = os.environ.get("GEMINI_API_KEY") or os.environ.get("GOOGLE_API_KEY")
    if not key:
        raise ConfigurationError(f"The model 'gemini/{model}' needs a key. Set GEMINI_API_KEY.")
    import httpx
    from agno.models.google import Gemini

    # With aiohttp, which google-genai prefers, Agno's error texts are the repr of a method.
    connections = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    client = httpx.AsyncClient(
        timeout=None,  # noqa: S113 - the run has a limit of its own
        follow_redirects=True,
        limits=connections,
    )
    http_options = {
        "httpx_async_client": client,
        "retry_options": {"attempts": 1},
    }
    built = Gemini(id=model, api_key=key, client_params={"http_options": http_options})
    built.get_client()
    return built


def openai(model: str) -> OpenAIChat:
    """OpenAI's model `model`, with the key of `OPENAI_API_KEY`.

    `OPENAI_BASE_URL`, else `OPENAI_API_BASE`, is honoured; a server there gets system messages
    with the role `system`. A failed call is not repeated.

    Raises:
        ConfigurationError: there is no key.
    """
    if not os.environ.get("OPENAI_API_KEY"):
        raise ConfigurationError(f"The model 'openai/{model}' needs a key. Set OPENAI_API_KEY.")
    from agno.models.openai import OpenAIChat

    base_url = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or None
    built = OpenAIChat(id=model, base_url=base_url, max_retries=0)
    instructions = "developer" if base_url is None else "system"
    built.role_map = {**built.default_role_map, "system": instructions, "developer": instructions}
    return built
