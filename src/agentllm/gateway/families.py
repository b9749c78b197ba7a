"""The providers under which LiteLLM knows agents: their families."""

from __future__ import annotations

from litellm.llms.custom_llm import CustomLLM

from agentllm.core import FAMILIES


def is_of_an_agent(model: object) -> bool:
    """Whether LiteLLM gives calls of `model`, a name with its provider, to us."""
    family, slash, _ = str(model).partition("/")
    return bool(slash) and family in FAMILIES


def providers(handler: CustomLLM) -> list[dict[str, object]]:
    """The entries of LiteLLM's `custom_provider_map` that have `handler` answer for all agents."""
    return [{"provider": family, "custom_handler": handler} for family in FAMILIES]
