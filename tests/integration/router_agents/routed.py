"""Agents whose models are those of a proxy's own configuration."""

from agno.agent import Agent
from agno.team import Team
from agno.workflow import Step, Workflow

from agentllm.llm.default import model_from_name
from agentllm.llm.offline import OfflineModel
from agentllm.llm.providers import openai


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def _on(model: str) -> Agent:
    return Agent(name=model, model=model_from_name(model), tools=[add], telemetry=False)


def priced() -> Agent:
    return _on("priced")


def unpriced() -> Agent:
    return _on("unpriced")


def guarded() -> Agent:
    return _on("guarded")


def balanced() -> Agent:
    return _on("balanced")


def retried() -> Agent:
    return _on("retried")


def hasty() -> Agent:
    return _on("hasty")


def limited() -> Agent:
    return _on("limited")


def capped() -> Agent:
    return _on("capped")


def direct() -> Agent:
    """Asks through Agno's own class."""
    return Agent(name="direct", model=openai("gpt-4o"), tools=[add], telemetry=False)


def offline() -> Agent:
    """Asks nobody."""
    return Agent(name="offline", model=OfflineModel(), telemetry=False)


def team() -> Team:
    """A leader and a member with other models."""
    member = Agent(name="member", role="answers", model=model_from_name("priced"), telemetry=False)
    return Team(name="team", model=openai("gpt-4o"), members=[member], telemetry=False)


def flow() -> Workflow:
    """Two steps with other models."""
    first = Agent(name="first", model=model_from_name("priced"), telemetry=False)
    second = Agent(name="second", model=openai("gpt-4o"), telemetry=False)
    return Workflow(name="flow", steps=[Step(name="1", agent=first), Step(name="2", agent=second)], telemetry=False)


__all__ = [
    "balanced",
    "capped",
    "direct",
    "flow",
    "guarded",
    "hasty",
    "limited",
    "offline",
    "priced",
    "retried",
    "team",
    "unpriced",
]
