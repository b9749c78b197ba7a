"""Agents of ADK whose models are the scripted one: by the router, by ADK's class for LiteLLM, and by Gemini's."""

import os

from google.adk.agents import LlmAgent
from google.adk.models.lite_llm import LiteLlm
from google.adk.tools.tool_context import ToolContext

from agentllm.runtimes.adk import RoutedLlm


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def explode() -> str:
    """Fail."""
    raise RuntimeError("secret-detail-of-the-tool")


def list_files() -> str:
    """Names a file as Linux has it, in Latin-1."""
    return os.fsdecode(b"caf\xe9.txt")


def count(tool_context: ToolContext) -> str:
    """Count one more, in three scopes of the state."""
    for name in ("count", "user:count", "app:count"):
        tool_context.state[name] = tool_context.state.get(name, 0) + 1
    return f"counts are {[tool_context.state[name] for name in ('count', 'user:count', 'app:count')]}"


def routed() -> LlmAgent:
    """Asks a model through the proxy's router."""
    model = RoutedLlm(model="openai/gpt-routed")
    return LlmAgent(name="routed", model=model, instruction="Be exact.", tools=[add, explode, count, list_files])


def lite() -> LlmAgent:
    """Asks a model through ADK's class for LiteLLM."""
    return LlmAgent(name="lite", model=LiteLlm(model="openai/gpt-lite"), tools=[add, list_files])


def native() -> LlmAgent:
    """Asks a model through Gemini's API."""
    return LlmAgent(name="native", model="gemini-2.5-flash", tools=[add, list_files])


__all__ = ["lite", "native", "routed"]
