"""Which objects are agents, told without importing their framework."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from agno.agent import Agent
from agno.agents.langgraph import LangGraphAgent
from agno.team import Team
from agno.workflow import Workflow

from agentllm.errors import ConfigurationError
from agentllm.runtimes import is_agent, is_agent_function, runtime_for

if TYPE_CHECKING:
    import agno.team.team as elsewhere
    from agno.agent import protocol


class Derived(Agent):
    """An agent of a class of the user's own."""


class Lookalike:
    """Has the name of an agent's class and is none."""


Lookalike.__name__ = "Agent"


class Following:
    """Follows Agno's agent protocol, and says so in its class."""

    id: str | None = "f-1"
    name: str | None = "Following"

    async def arun(self, input: Any, **_: Any) -> Any:  # noqa: A002
        return input


class Made:
    """Follows Agno's agent protocol, and has its name and id from the start only."""

    def __init__(self) -> None:
        self.id, self.name = "m-1", "Made"

    async def arun(self, input: Any, **_: Any) -> Any:  # noqa: A002
        return input


class Tool:
    """Can be run too, as tools of LangChain can, and is no agent."""

    name = "tool"

    async def arun(self, input: Any) -> Any:  # noqa: A002
        return input


class Shy:
    """Does something when it is looked at."""

    @property
    def id(self) -> str:
        raise RuntimeError("was looked at")

    @property
    def name(self) -> str:
        raise RuntimeError("was looked at")


AGENTS = [Agent(), Derived(), Team(members=[]), Workflow(), LangGraphAgent(name="g"), Following(), Made()]
OTHERS = [None, "agent", 7, Agent, Following, Lookalike(), Tool(), Shy(), lambda: Agent()]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: type(agent).__name__)
def test_an_object_of_a_framework_s_agent_classes_is_an_agent(agent: object) -> None:
    assert is_agent(agent)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_anything_else_is_none(other: object) -> None:
    assert not is_agent(other)


@pytest.mark.parametrize("other", [object(), Lookalike()])
def test_a_runtime_for_something_else_is_a_configuration_error_that_names_its_type(other: object) -> None:
    with pytest.raises(ConfigurationError, match=type(other).__name__):
        runtime_for(other)


def test_a_runtime_has_the_agent_s_own_name_and_description() -> None:
    runtime = runtime_for(Agent(name="poet", id="p-1", description="Writes."))
    assert (runtime.name, runtime.description) == ("poet", "Writes.")


def test_an_agent_without_a_name_goes_by_its_id() -> None:
    assert runtime_for(Agent(id="p-1")).name == "p-1"


def test_an_agent_without_either_has_no_name() -> None:
    assert runtime_for(Agent()).name is None


def typed() -> Agent:
    return Agent()


def adapted() -> LangGraphAgent:
    return LangGraphAgent(name="g")


def following() -> Following:
    return Following()


def unresolvable_adapter() -> protocol.AgentProtocol:
    return Following()


def tool() -> Tool:
    return Tool()


def unresolvable() -> elsewhere.Team:
    return Team(members=[])


def defaulted(*args: int, model: str = "m", **more: int) -> Team:
    return Team(members=[])


def needy(model: str) -> Agent:
    return Agent()


def other_result() -> int:
    return 1


def untyped():  # type: ignore[no-untyped-def]
    return Agent()


def generic() -> list[Agent]:
    return []


@pytest.mark.parametrize("function", [typed, unresolvable, defaulted, adapted, following, unresolvable_adapter])
def test_a_function_that_says_it_returns_an_agent_is_an_agent_function(function: Callable[..., Any]) -> None:
    assert is_agent_function(function)


@pytest.mark.parametrize("function", [needy, other_result, untyped, generic, tool, Agent, None, "typed"])
def test_a_function_that_needs_arguments_or_returns_something_else_is_none(function: object) -> None:
    assert not is_agent_function(function)


def test_telling_agents_imports_no_framework() -> None:
    code = (
        "import sys; from agentllm.runtimes import is_agent, is_agent_function\n"
        "assert not is_agent(object()) and not is_agent_function(print)\n"
        "assert not {'agno', 'google.adk', 'temporalio', 'litellm'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
