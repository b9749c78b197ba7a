"""Agents whose answers are kept as they go over the wire."""

from agno.agent import Agent
from agno.tools import tool

from agentllm.llm.providers import openai


@tool(requires_confirmation=True)
def send(to: str, text: str) -> str:
    """Send a letter."""
    return f"sent to {to}"


def weigh(grams: int) -> str:
    """Weigh something."""
    return f"{grams / 1000} kg"


def speaker() -> Agent:
    """Says what it is told to."""
    return Agent(name="speaker", model=openai("gpt-wire"), tools=[weigh], telemetry=False)


def sender() -> Agent:
    """Asks before it sends a letter."""
    return Agent(name="sender", model=openai("gpt-wire"), tools=[send], telemetry=False)


__all__ = ["sender", "speaker"]
