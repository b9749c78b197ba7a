"""A scripted provider in the place of OpenAI and Google, and models that reach it over their real wire formats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from agno.models.base import Model

from agentllm.llm.default import model_from_name
from agentllm.llm.providers import gemini, openai
from tests.scripted_llm import ScriptedLLM


@pytest.fixture(scope="session")
def running_llm() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as llm:
        yield llm


@pytest.fixture
def llm(running_llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> ScriptedLLM:
    """The scripted model in the place of OpenAI and Google."""
    running_llm.reset()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", running_llm.openai_base)
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", running_llm.gemini_base)
    return running_llm


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
