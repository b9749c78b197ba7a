"""Agents that work before they answer; their models are the scripted one."""

from agno.agent import Agent
from agno.team import Team
from agno.workflow import Step, Workflow

from agentllm.llm.providers import openai


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def explode() -> str:
    """Fail."""
    raise RuntimeError("secret-detail-of-the-tool")


def recite(lines: int) -> str:
    """Recite so many lines of ten characters."""
    return "line after\n" * lines


def working() -> Agent:
    """Has tools that answer, fail and say much."""
    return Agent(name="working", model=openai("gpt-working"), tools=[add, explode, recite], telemetry=False)


def crew() -> Team:
    """A leader with one member, who has a tool."""
    adder = Agent(name="adder", role="adds", model=openai("gpt-adder"), tools=[add], telemetry=False)
    return Team(name="crew", model=openai("gpt-crew"), members=[adder], telemetry=False)


def process() -> Workflow:
    """A step with a tool, and one that answers."""
    draft = Agent(name="drafter", model=openai("gpt-drafter"), tools=[add], telemetry=False)
    final = Agent(name="finisher", model=openai("gpt-finisher"), telemetry=False)
    steps = [Step(name="draft", agent=draft), Step(name="finish", agent=final)]
    return Workflow(name="process", steps=list(steps), telemetry=False)


__all__ = ["crew", "process", "working"]
