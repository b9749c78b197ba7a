"""The cards of agents, made from what the catalog knows of them and from where the proxy is reached."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.constants import PROTOCOL_VERSION_0_3, PROTOCOL_VERSION_1_0

from agentllm.core import Agent

BINDINGS = ("JSONRPC", "HTTP+JSON")
_SCHEME = "bearer"
_KEY = "A key of the proxy, as for its models."


def card_of(agent: Agent, url: str) -> AgentCard:
    """The card of `agent`, which is served at `url` in both versions of the protocol."""
    title = agent.card.title or agent.name
    description = agent.description or title
    skill = AgentSkill(
        id=agent.name,
        name=title,
        description=description,
        tags=agent.card.tags or (agent.family,),
        examples=agent.card.prompts,
    )
    pictures = ("image/png", "image/jpeg", "image/webp") if agent.card.takes_images else ()
    return AgentCard(
        name=agent.name,
        description=description,
        version=version("agentllm"),
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version=spoken)
            for spoken in (PROTOCOL_VERSION_1_0, PROTOCOL_VERSION_0_3)
            for binding in BINDINGS
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False),
        security_schemes={
            _SCHEME: SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="bearer", description=_KEY))
        },
        security_requirements=[SecurityRequirement(schemes={_SCHEME: StringList()})],
        default_input_modes=("text/plain", "application/json", "application/pdf", *pictures),
        default_output_modes=("text/plain",),
        skills=[skill],
    )


def as_json(card: AgentCard) -> dict[str, Any]:
    """`card` in the form of 1.0, with the fields beside it that clients of 0.3 read."""
    found: dict[str, Any] = agent_card_to_dict(card)
    return found
