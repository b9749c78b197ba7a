"""A scripted provider for the tests of `llm` to configure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scripted_llm import ScriptedLLM


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
