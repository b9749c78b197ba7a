"""`agent.json`, with which `adk api_server --a2a` serves a package of ADK: it serves the file as it stands."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from google.adk.agents.base_agent import BaseAgent

VERSIONS = ("1.0", "0.3.0")
"""Of the protocol, all of which ADK speaks at one URL."""


def card_of(agent: BaseAgent, app: str, public_url: str) -> dict[str, Any]:
    """The card of an agent in the package `app`, where ADK's server is reached at `public_url`."""
    url = f"{public_url.rstrip('/')}/a2a/{app}"
    description = agent.description or agent.name
    return {
        "name": agent.name,
        "description": description,
        "version": version("agentllm"),
        "protocolVersion": VERSIONS[-1],
        "url": url,
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": spoken} for spoken in VERSIONS
        ],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": agent.name, "name": agent.name, "description": description, "tags": ["adk"]}],
    }
