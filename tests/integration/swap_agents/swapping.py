"""Agents with models that sign what they say, and instructions of their own."""

from typing import Any

from agno.agent import Agent
from agno.team import Team
from agno.workflow import Step, Workflow

from agentllm.hotswap.tools import get_config, set_model, set_prompt
from agentllm.llm.providers import gemini, openai

_TOOLS: list[Any] = [set_model, set_prompt, get_config]
_OWN = "Own instructions."


def talker() -> Agent:
    """Talks through OpenAI's API."""
    return Agent(
        name="talker",
        description="Own description.",
        model=openai("signing-own"),
        instructions=_OWN,
        tools=_TOOLS,
        telemetry=False,
    )


def gemini_talker() -> Agent:
    """Talks through Gemini's API."""
    return Agent(name="gemini-talker", model=gemini("signing-own"), instructions=_OWN, tools=_TOOLS, telemetry=False)


def talkers() -> Team:
    """A leader with a member."""
    member = Agent(name="member", role="answers", model=openai("signing-member"), telemetry=False)
    return Team(
        name="talkers",
        model=openai("signing-own"),
        instructions=_OWN,
        members=[member],
        tools=_TOOLS,
        telemetry=False,
    )


def steps() -> Workflow:
    """One step."""
    step = Agent(name="step", model=openai("signing-step"), telemetry=False)
    return Workflow(name="steps", steps=[Step(name="1", agent=step)], telemetry=False)


__all__ = ["gemini_talker", "steps", "talker", "talkers"]
