"""How much of a conversation an Agno agent is given again."""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from agno.agent import Agent
from agno.team import Team
from agno.workflow import Workflow

from agentllm.core import Memory
from agentllm.errors import ConfigurationError
from agentllm.runtimes import runtime_for
from agentllm.runtimes.agno import make_agent
from agentllm.settings import MOST_HISTORY_TURNS
from tests.runtimes.agno.spoken import Spoken, agent


def leader(metadata: dict[str, Any] | None) -> Team:
    return Team(name="team", members=[agent("hi")[0]], model=Spoken.of("hi"), metadata=metadata, telemetry=False)


def flow(metadata: dict[str, Any] | None) -> Workflow:
    return Workflow(name="flow", steps=[], metadata=metadata, telemetry=False)


def single(metadata: dict[str, Any] | None) -> Agent:
    return agent("hi", metadata=metadata)[0]


EVERY_KIND = pytest.mark.parametrize("made", [single, leader, flow])


@EVERY_KIND
@pytest.mark.parametrize("turns", [1, 7, MOST_HISTORY_TURNS])
def test_its_metadata_may_name_a_number_of_turns(turns: int, made: Any) -> None:
    assert runtime_for(made({"history_turns": turns, "other": 1})).memory.turns == turns


@EVERY_KIND
@pytest.mark.parametrize("metadata", [None, {}, {"other": 1}])
def test_otherwise_the_settings_do(metadata: dict[str, Any] | None, made: Any) -> None:
    assert runtime_for(made(metadata)).memory.turns is None


@EVERY_KIND
@pytest.mark.parametrize("turns", [0, -1, MOST_HISTORY_TURNS + 1, "7", 1.5, True])
def test_another_value_is_refused_with_it_when_the_agent_is_loaded(turns: object, made: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        runtime_for(made({"history_turns": turns}))
    assert repr(turns) in caught.value.message
    assert str(MOST_HISTORY_TURNS) in caught.value.message


@EVERY_KIND
def test_its_metadata_say_whether_it_takes_the_tools_of_a_front_end(made: Any) -> None:
    assert runtime_for(made({"front_end_tools": True})).takes_front_end_tools
    assert not runtime_for(made({"front_end_tools": False})).takes_front_end_tools
    assert not runtime_for(made(None)).takes_front_end_tools
    with pytest.raises(ConfigurationError, match="'yes'"):
        runtime_for(made({"front_end_tools": "yes"}))


def test_the_window_is_that_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    who = single(None)
    assert runtime_for(who).memory == Memory()
    monkeypatch.setattr(litellm, "model_cost", {who.model.id: {"max_input_tokens": 1_000}})  # type: ignore[union-attr]
    assert runtime_for(who).memory == Memory(tokens=1_000)
    assert runtime_for(leader(None)).memory == Memory(tokens=1_000)
    assert runtime_for(flow(None)).memory == Memory()


def test_without_a_model_it_is_that_of_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_MODEL", "openai/a-model")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setattr(litellm, "model_cost", {"a-model": {"max_input_tokens": 1_000}})
    assert runtime_for(Agent(name="bare", telemetry=False)).memory == Memory(tokens=1_000)


@pytest.mark.parametrize("turns", [None, 3])
def test_an_agent_of_a_yaml_file_has_the_number_of_the_file(turns: int | None) -> None:
    made = make_agent("haiku", model="offline", instructions=[], tools=[], history_turns=turns)
    assert runtime_for(made).memory.turns == turns
