"""What model lists show of an Agno agent, from its own definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agno.agent import Agent
from agno.team import Team
from agno.workflow import Workflow

from agentllm.core import Card
from agentllm.errors import ConfigurationError


def card_of(agent: Agent | Team | Workflow) -> Card:
    """The agent's name, and what its metadata say as `tags`, `suggestion_prompts` and `takes_images`.

    The first two are lists of texts, the third is true or false.

    Raises:
        ConfigurationError: one of them is something else.
    """
    metadata = agent.metadata or {}
    return Card(
        title=agent.name or None,
        tags=_texts(metadata, "tags", agent.name),
        prompts=_texts(metadata, "suggestion_prompts", agent.name),
        takes_images=_flag(metadata, "takes_images", agent.name),
    )


def _texts(metadata: Mapping[str, Any], key: str, agent: str | None) -> tuple[str, ...]:
    value = metadata.get(key, ())
    if isinstance(value, (list, tuple)) and all(isinstance(text, str) and text.strip() for text in value):
        return tuple(value)
    raise ConfigurationError(
        f"The metadata of the agent {agent!r} have {key}={value!r}; it must be a list of texts, none of them empty."
    )


def _flag(metadata: Mapping[str, Any], key: str, agent: str | None) -> bool:
    value = metadata.get(key, True)
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"The metadata of the agent {agent!r} have {key}={value!r}; it must be true or false.")
