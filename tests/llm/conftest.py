"""Surroundings of the tests of `llm`: no provider configured, and a scripted provider to configure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentllm.llm.offline import PROVIDER_VARIABLES
from agentllm.settings import load_settings
from tests.scripted_llm import ScriptedLLM

_OTHER_VARIABLES = (
    "AGENTLLM_MODEL",
    "GOOGLE_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
)


@pytest.fixture(autouse=True)
def no_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in (*PROVIDER_VARIABLES, *_OTHER_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture(scope="session")
def scripted() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as llm:
        yield llm


@pytest.fixture
def provider(scripted: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> ScriptedLLM:
    """The scripted model in the place of Google and OpenAI."""
    scripted.reset()
    monkeypatch.setenv("GEMINI_API_KEY", "a-google-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", scripted.gemini_base)
    monkeypatch.setenv("OPENAI_API_KEY", "an-openai-key")
    monkeypatch.setenv("OPENAI_BASE_URL", scripted.openai_base)
    return scripted
