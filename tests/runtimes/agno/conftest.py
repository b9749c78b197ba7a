"""Models that reach the scripted provider over their real wire formats."""

from __future__ import annotations

from functools import cache

from agno.models.base import Model

from agentllm.llm.default import model_from_name
from agentllm.llm.providers import gemini, openai

# Each is made once, because nothing closes a model's connections; so the provider is one too.


@cache
def openai_model() -> Model:
    return openai("gpt-scripted")


@cache
def gemini_model() -> Model:
    return gemini("gemini-scripted")


@cache
def routed_model() -> Model:
    return model_from_name("openai/gpt-scripted")


@cache
def routed_with_schemas() -> Model:
    """By a name of which LiteLLM knows that it takes schemas and tools."""
    return model_from_name("openai/gpt-4o")
