"""The providers under which LiteLLM knows agents: their families."""

from __future__ import annotations

import litellm
from litellm.llms.custom_llm import CustomLLM
from litellm.utils import custom_llm_setup

from agentllm.core import FAMILIES


def is_of_an_agent(model: object) -> bool:
    """Whether LiteLLM gives calls of `model`, a name with its provider, to us."""
    family, slash, _ = str(model).partition("/")
    return bool(slash) and family in FAMILIES


def provide(handler: CustomLLM) -> None:
    """Have LiteLLM give the calls of all families to `handler`, whatever of them its configuration names."""
    others = [entry for entry in litellm.custom_provider_map if entry["provider"] not in FAMILIES]
    ours = [{"provider": family, "custom_handler": handler} for family in FAMILIES]
    litellm.custom_provider_map = [*others, *ours]  # type: ignore[list-item]  # LiteLLM reads it as dicts
    custom_llm_setup()  # type: ignore[no-untyped-call]  # LiteLLM has no types for it
