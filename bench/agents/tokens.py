"""The agents of the benchmark: the same for AgentLLM and for AgentOS."""

from __future__ import annotations

import os

from agno.agent import Agent
from agno.models.openai import OpenAIChat


def bench_20() -> Agent:
    """Says 20 tokens."""
    return _agent("bench-20", "tokens-20")


def bench_200() -> Agent:
    """Says 200 tokens."""
    return _agent("bench-200", "tokens-200")


def bench_live() -> Agent:
    """Says 200 tokens, 50 a second."""
    return _agent("bench-live", "live-200-50")


def _agent(name: str, model: str) -> Agent:
    return Agent(id=name, name=name, model=OpenAIChat(id=model, base_url=os.environ["BENCH_LLM"], api_key="x"))
