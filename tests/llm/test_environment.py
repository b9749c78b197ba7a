"""What a model needs of the environment where no proxy runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentllm.llm.environment import configured_models, default_model_name, is_known, missing_variables
from tests.proxy import ROOT


def test_the_default_model_follows_the_settings_and_then_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_model_name() == "offline"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert default_model_name().startswith("anthropic/")
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert default_model_name().startswith("gemini/")


def test_the_proxy_s_models_are_known_by_their_names_there(tmp_path: Path) -> None:
    assert configured_models(ROOT / "proxy_config.yaml")["gemini-2.5-pro"] == "gemini/gemini-2.5-pro"
    assert configured_models(tmp_path / "none.yaml") == {}


@pytest.mark.parametrize(
    ("model", "known"), [("openai/gpt-x", True), ("nobody/x", False), ("gpt-5.4", False), ("openai/", False)]
)
def test_a_model_is_known_by_its_provider(model: str, known: bool) -> None:
    assert is_known(model) is known


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_variables("openai/gpt-x") == ["OPENAI_API_KEY"]
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert missing_variables("openai/gpt-x") == []
