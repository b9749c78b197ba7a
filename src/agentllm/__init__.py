"""Agents as ordinary OpenAI-compatible models behind a LiteLLM proxy."""

from typing import TYPE_CHECKING

from agentllm.errors import AgentLLMError, ConfigurationError

if TYPE_CHECKING:
    from agentllm.llm.unified import UnifiedAgent

__all__ = ["AgentLLMError", "ConfigurationError", "UnifiedAgent", "register"]


def __getattr__(name: str) -> object:
    if name == "UnifiedAgent":
        from agentllm.llm.unified import UnifiedAgent

        return UnifiedAgent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register() -> None:
    """Make `litellm.completion(model="agno/<agent>", …)` and its siblings work in this process, without a proxy.

    Synchronous and asynchronous, plain and streamed calls run on an event loop of AgentLLM's own.
    Calling it again does nothing.

    Raises:
        ConfigurationError: a setting is wrong or the store cannot be used.
    """
    from agentllm.gateway.plugin import register

    register()
