"""An agent whose model is asked by way of LiteLLM's router."""

from __future__ import annotations

from agno.agent import Agent

from agentllm.llm.default import model_from_name


def bench_routed() -> Agent:
    """Says 20 tokens."""
    return Agent(id="bench-routed", name="bench-routed", model=model_from_name("openai/tokens-20"))
