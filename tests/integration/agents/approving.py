"""Agents that ask before they act; what they did stands in the file that APPROVING_DID names."""

import os
from pathlib import Path

from agno.agent import Agent
from agno.tools import tool

from agentllm.llm.providers import openai


def _note(line: str) -> str:
    with Path(os.environ["APPROVING_DID"]).open("a") as done:
        done.write(f"{line}\n")
    return line


@tool(requires_confirmation=True)
def deploy(version: str) -> str:
    """Deploy a version."""
    return _note(f"deployed {version}")


@tool(requires_user_input=True, user_input_fields=["to", "copies"])
def send(text: str, to: str, copies: int) -> str:
    """Send a text."""
    return _note(f"sent {text} to {to}, {copies} copies")


def look(what: str) -> str:
    """Look at something."""
    return _note(f"looked at {what}")


def approving() -> Agent:
    """Asks before it deploys or sends anything."""
    return Agent(name="approving", model=openai("gpt-approving"), tools=[deploy, send, look], telemetry=False)


def front_ending() -> Agent:
    """Takes the tools that a front end adds to every request."""
    metadata = {"front_end_tools": True}
    return Agent(name="front-ending", model=openai("gpt-front-ending"), metadata=metadata, telemetry=False)


__all__ = ["approving", "front_ending"]
