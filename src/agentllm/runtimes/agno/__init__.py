"""Runs Agno agents, teams and workflows; nothing outside this package and the shipped agents needs Agno."""

from agentllm.runtimes.agno.runtime import AgnoRuntime, make_agent

__all__ = ["AgnoRuntime", "make_agent"]
