"""What model lists show of an Agno agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from agno.agent import Agent
from agno.team import Team
from agno.workflow import Workflow

from agentllm.core import Card
from agentllm.errors import ConfigurationError
from agentllm.runtimes import card_for

METADATA = {"tags": ["weather", "en"], "suggestion_prompts": ["Will it rain?"], "takes_images": False, "other": 1}
CARD = Card("Weather", ("weather", "en"), ("Will it rain?",), takes_images=False)


def agent(metadata: Mapping[str, Any] | None, name: str | None = "Weather") -> Agent:
    return Agent(name=name, metadata=None if metadata is None else dict(metadata), telemetry=False)


@pytest.mark.parametrize(
    "made",
    [
        agent(METADATA),
        Team(name="Weather", members=[], metadata=dict(METADATA), telemetry=False),
        Workflow(name="Weather", steps=[], metadata=dict(METADATA), telemetry=False),
    ],
    ids=["agent", "team", "workflow"],
)
def test_it_is_what_the_agent_s_own_metadata_say(made: object) -> None:
    assert card_for(made) == CARD


@pytest.mark.parametrize("metadata", [None, {}, {"other": 1}])
def test_everything_may_be_left_out(metadata: Mapping[str, Any] | None) -> None:
    assert card_for(agent(metadata)) == Card("Weather")
    assert card_for(agent(metadata, name=None)) == Card()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tags", "weather"),
        ("tags", None),
        ("tags", ["weather", 1]),
        ("tags", [""]),
        ("suggestion_prompts", {"a": "b"}),
        ("suggestion_prompts", [" "]),
        ("takes_images", "no"),
        ("takes_images", 1),
    ],
)
def test_what_cannot_be_shown_is_named_with_its_agent(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        card_for(agent({key: value}))
    assert key in caught.value.message
    assert "'Weather'" in caught.value.message
