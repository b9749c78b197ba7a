"""Which model is the default."""

from __future__ import annotations

import subprocess
import sys

import pytest
from agno.models.google import Gemini
from agno.models.openai import OpenAIChat

from agentllm.errors import ConfigurationError
from agentllm.llm.default import default_model, model_from_name, offline_notice
from agentllm.llm.offline import OfflineModel
from agentllm.llm.router import RouterModel
from agentllm.settings import PROVIDER_VARIABLES


def test_with_nothing_set_the_offline_model_speaks() -> None:
    assert isinstance(default_model(), OfflineModel)


@pytest.mark.parametrize(
    ("variable", "kind", "prefix"),
    [
        ("GEMINI_API_KEY", Gemini, "gemini-"),
        ("OPENAI_API_KEY", OpenAIChat, "gpt-"),
        ("ANTHROPIC_API_KEY", RouterModel, "anthropic/"),
        ("OLLAMA_API_BASE", RouterModel, "ollama_chat/"),
    ],
)
def test_a_providers_variable_chooses_its_model(
    variable: str, kind: type, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "x")
    model = default_model()
    assert isinstance(model, kind)
    assert model.id.startswith(prefix)


def test_of_several_providers_the_first_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROVIDER_VARIABLES:
        monkeypatch.setenv(variable, "x")
    assert isinstance(default_model(), Gemini)
    monkeypatch.setenv("GEMINI_API_KEY", "")
    assert isinstance(default_model(), OpenAIChat)


def test_an_agent_can_ask_for_another_gemini(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    assert default_model(gemini="gemini-2.5-pro").id == "gemini-2.5-pro"


@pytest.mark.parametrize(
    ("name", "kind", "model_id"),
    [
        ("offline", OfflineModel, "offline"),
        ("gemini/gemini-2.5-pro", Gemini, "gemini-2.5-pro"),
        ("openai/gpt-4.1-mini", OpenAIChat, "gpt-4.1-mini"),
        ("openai/meta/llama-3", OpenAIChat, "meta/llama-3"),
        ("mistral/mistral-large-latest", RouterModel, "mistral/mistral-large-latest"),
    ],
)
def test_the_setting_wins_over_the_keys(name: str, kind: type, model_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROVIDER_VARIABLES:
        monkeypatch.setenv(variable, "x")
    monkeypatch.setenv("AGENTLLM_MODEL", name)
    model = default_model()
    assert isinstance(model, kind)
    assert model.id == model_id


@pytest.mark.parametrize("name", ["gpt-4.1-mini", "openai/", "/gpt", "open ai/gpt", "Offline", "agno/demo"])
def test_a_setting_that_names_no_model_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_MODEL", name)
    with pytest.raises(ConfigurationError) as caught:
        default_model()
    assert repr(name) in str(caught.value)
    assert "offline" in str(caught.value)


@pytest.mark.parametrize(("name", "key"), [("gemini/x", "GEMINI_API_KEY"), ("openai/x", "OPENAI_API_KEY")])
def test_a_setting_without_its_key_names_the_key(name: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_MODEL", name)
    with pytest.raises(ConfigurationError) as caught:
        default_model()
    assert key in str(caught.value)


class TestOfflineNotice:
    def test_it_names_every_variable_that_would_help(self) -> None:
        notice = offline_notice()
        assert notice is not None
        assert all(variable in notice for variable in PROVIDER_VARIABLES)

    def test_there_is_none_where_a_provider_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OLLAMA_API_BASE", "http://127.0.0.1:11434")
        assert offline_notice() is None

    def test_there_is_none_where_a_model_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_MODEL", "mistral/mistral-large-latest")
        assert offline_notice() is None

    def test_it_is_there_where_the_offline_model_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        monkeypatch.setenv("AGENTLLM_MODEL", "offline")
        assert offline_notice() is not None


class TestModelFromName:
    def test_offline_is_the_offline_model(self) -> None:
        assert isinstance(model_from_name("offline"), OfflineModel)

    @pytest.mark.parametrize("name", ["house-model", "openai/gpt-4.1-mini"])
    def test_any_other_name_is_asked_of_litellm(self, name: str) -> None:
        model = model_from_name(name)
        assert isinstance(model, RouterModel)
        assert model.id == name


@pytest.mark.parametrize("module", ["agentllm.llm.default", "agentllm.llm.offline", "agentllm.agents.demo"])
def test_importing_loads_no_provider(module: str) -> None:
    heavy = ["google.genai", "openai", "litellm"]
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
