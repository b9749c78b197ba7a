"""Agents whose models are the scripted one."""

import os

from agno.agent import Agent
from agno.run import RunContext
from agno.team import Team
from agno.workflow import Step, Workflow

from agentllm.llm.default import model_from_name
from agentllm.llm.providers import gemini, openai


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def explode() -> str:
    """Fail."""
    raise RuntimeError("secret-detail-of-the-tool")


def list_files() -> str:
    """Names a file as Linux has it, in Latin-1."""
    return os.fsdecode(b"caf\xe9.txt")


def echo() -> Agent:
    """Says what it was told, through OpenAI's API."""
    return Agent(name="echo", model=openai("gpt-scripted"), telemetry=False)


def gemini_echo() -> Agent:
    """Says what it was told, through Gemini's API."""
    return Agent(name="gemini-echo", model=gemini("gemini-scripted"), telemetry=False)


def tooled() -> Agent:
    """Has tools."""
    return Agent(name="tooled", model=openai("gpt-tooled"), tools=[add, explode, list_files], telemetry=False)


def gemini_tooled() -> Agent:
    """Has tools, through Gemini's API."""
    return Agent(name="gemini-tooled", model=gemini("gemini-tooled"), tools=[add, list_files], telemetry=False)


def routed() -> Agent:
    """Asks a model through LiteLLM."""
    return Agent(name="routed", model=model_from_name("openai/gpt-routed"), telemetry=False)


def slow() -> Agent:
    """Speaks 50 tokens a second, 200 of them."""
    return Agent(name="slow", model=openai("live-200-50"), telemetry=False)


def counting() -> Agent:
    """Counts in its session state."""

    def count(run_context: RunContext) -> str:
        """Count one more."""
        assert run_context.session_state is not None
        run_context.session_state["count"] = run_context.session_state.get("count", 0) + 1
        return f"count is {run_context.session_state['count']}"

    return Agent(name="counting", model=openai("gpt-counting"), tools=[count], telemetry=False)


def counting_flow() -> Workflow:
    """Counts in its session state, in a step."""
    return Workflow(name="counting-flow", steps=[Step(name="1", agent=counting())], telemetry=False)


def team() -> Team:
    """A leader with one member."""
    member = Agent(name="member", role="answers", model=openai("gpt-member"), telemetry=False)
    return Team(name="team", model=openai("gpt-leader"), members=[member], telemetry=False)


def flow() -> Workflow:
    """Two steps."""
    first = Agent(name="first", model=openai("gpt-first"), telemetry=False)
    second = Agent(name="second", model=openai("gpt-second"), telemetry=False)
    return Workflow(name="flow", steps=[Step(name="1", agent=first), Step(name="2", agent=second)], telemetry=False)


__all__ = [
    "counting",
    "counting_flow",
    "echo",
    "flow",
    "gemini_echo",
    "gemini_tooled",
    "routed",
    "slow",
    "team",
    "tooled",
]
