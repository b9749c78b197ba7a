"""Agents as ordinary OpenAI-compatible models behind a LiteLLM proxy."""

from agentllm.errors import AgentLLMError, ConfigurationError

__all__ = ["AgentLLMError", "ConfigurationError", "register"]


def register() -> None:
    """Make `litellm.completion(model="agno/<agent>", …)` and its siblings work in this process, without a proxy.

    Synchronous and asynchronous, plain and streamed calls run on an event loop of AgentLLM's own.
    Calling it again does nothing.

    Raises:
        ConfigurationError: a setting is wrong or the store cannot be used.
    """
    from agentllm.gateway.plugin import register

    register()
