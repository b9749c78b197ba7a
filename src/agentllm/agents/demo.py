"""The agent `demo`: small enough to read whole, and it shows tools, memory and streaming."""

from __future__ import annotations

import secrets

from agno.agent import Agent

from agentllm.agents.assistant import calculate, date_and_time
from agentllm.llm.default import default_model

_MAX_DICE = 100
_MAX_SIDES = 1_000


def demo() -> Agent:
    """Shows tools, memory and streaming: ask it for the time, a sum, a roll of dice, or your name."""
    return Agent(
        name="demo",
        model=default_model(),
        instructions=[
            "You show what an agent can do. Answer in one or two friendly sentences.",
            "Use your tools for the time, for arithmetic and for dice; never make up their results.",
            "Remember what the user says in this conversation and use it when asked.",
        ],
        tools=[date_and_time, calculate, roll_dice],
        markdown=True,
        metadata={
            "tags": ["demo"],
            "suggestion_prompts": ["What time is it in Tokyo?", "Roll two dice and add them up.", "What is 17 * 23?"],
        },
        telemetry=False,
    )


def roll_dice(count: int = 1, sides: int = 6) -> str:
    """Roll a die, or several dice and add them up.

    Args:
        count: How many dice, 1 to 100.
        sides: How many sides each has, 2 to 1000.
    """
    if not 1 <= count <= _MAX_DICE or not 2 <= sides <= _MAX_SIDES:
        return f"I have 1 to {_MAX_DICE} dice with 2 to {_MAX_SIDES} sides, not {count} with {sides}."
    rolled = [secrets.randbelow(sides) + 1 for _ in range(count)]
    return f"{' + '.join(map(str, rolled))} = {sum(rolled)}" if count > 1 else f"{rolled[0]}"
