"""What is wrong with an agent's settings is found when it is built, and the message names it."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from agentllm import ConfigurationError, UnifiedAgent
from agentllm.settings import PROVIDER_VARIABLES, load_settings

MODEL = "openai/gpt-4o"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "an-openai-key")


def complaint(*args: Any, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        UnifiedAgent(*args, **settings)
    return raised.value.message


@pytest.mark.parametrize("model", ["", "opanai/gpt-4o", "nothing", "open ai/x", None, 7, "/", "openai/ x"])
def test_a_model_of_no_provider_is_named_with_the_form_that_models_have(
    model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    message = complaint(model)
    assert repr(model) in message
    assert "provider/id" in message
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("model", ["agno/demo", "litellm/self", "adk/x"])
def test_an_agent_is_no_model(model: str) -> None:
    assert "agent" in complaint(model)


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        (MODEL, "OPENAI_API_KEY"),
        ("gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
        ("groq/llama", "GROQ_API_KEY"),
        ("azure/deployment", "AZURE_API_BASE"),
        ("mistral/mistral-large-latest", "MISTRAL_API_KEY"),
    ],
)
def test_a_missing_key_is_named(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv(variable, raising=False)
    message = complaint(model)
    assert variable in message
    assert "not set" in message


@pytest.mark.parametrize("model", ["bedrock/anthropic.claude-v2", "vertex_ai/gemini-2.5-flash"])
def test_a_provider_that_takes_the_machine_s_identity_needs_no_key(model: str) -> None:
    assert UnifiedAgent(model).model == model


def test_azure_takes_another_identity_than_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "an-identity")
    assert UnifiedAgent("azure/deployment").model == "azure/deployment"


def test_a_fallback_is_looked_at_too() -> None:
    message = complaint(MODEL, fallbacks=["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
    assert "fallbacks[1]" in message
    assert "ANTHROPIC_API_KEY is not set" in message


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", 2.5),
        ("temperature", -0.1),
        ("temperature", "warm"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("timeout", 0),
        ("retries", -1),
        ("retries", 11),
        ("budget", 0),
        ("cache", -1),
        ("cache", "yes"),
        ("max_model_calls", 0),
        ("max_model_calls", None),
        ("instructions", 7),
        ("fallbacks", "openai/gpt-4o"),
        ("tools", 7),
    ],
)
def test_a_setting_out_of_its_bounds_is_named(setting: str, value: Any) -> None:
    assert setting in complaint(MODEL, **{setting: value})


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"max_tokens": 1},
        {"retries": 0},
        {"cache": True},
        {"cache": 60},
        {"instructions": ["Be kind.", "Be brief."]},
        {"fallbacks": ("openai/gpt-4o-mini",)},
    ],
)
def test_settings_within_their_bounds_are_taken(settings: dict[str, Any]) -> None:
    assert UnifiedAgent(MODEL, **settings).model == MODEL


def test_a_parameter_that_the_model_does_not_take_is_named() -> None:
    assert "temperature" in complaint("openai/gpt-5-search-api", temperature=0.5)


class TestProxy:
    """Models of the proxy of this process need no key here."""

    def run_proxy(self, monkeypatch: pytest.MonkeyPatch, **of_proxy: Any) -> None:
        monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(**of_proxy))

    def test_a_model_of_its_router_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from litellm.router import Router

        params = {"model": "anthropic/claude-haiku-4-5", "api_key": "k"}
        router = Router(model_list=[{"model_name": "house", "litellm_params": params}])
        self.run_proxy(monkeypatch, llm_router=router)
        assert UnifiedAgent("house", fallbacks=["house"]).model == "house"
        assert "'hose'" in complaint("hose")
        router.discard()  # type: ignore[no-untyped-call]

    def test_one_of_its_configuration_is_taken_before_there_is_a_router(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = {"model_list": [{"model_name": "house"}], "router_settings": {"model_group_alias": {"alias": "house"}}}
        state = SimpleNamespace(get_config_state=lambda: config)
        self.run_proxy(monkeypatch, llm_router=None, proxy_config=state)
        assert UnifiedAgent("house", fallbacks=["alias"]).model == "house"
        assert "'hose'" in complaint("hose")


class TestEnvironment:
    @pytest.fixture(autouse=True)
    def no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in PROVIDER_VARIABLES:
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize("variable", PROVIDER_VARIABLES)
    def test_a_key_chooses_the_model(self, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(variable, "k")
        provider = variable.partition("_")[0].lower()
        assert UnifiedAgent.from_env().model.startswith(provider)

    def test_the_named_model_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("AGENTLLM_MODEL", "openai/gpt-named")
        load_settings.cache_clear()
        assert UnifiedAgent.from_env().model == "openai/gpt-named"
        assert UnifiedAgent.from_env(MODEL).model == MODEL

    def test_nothing_set_is_an_error_that_names_what_to_set(self) -> None:
        with pytest.raises(ConfigurationError) as raised:
            UnifiedAgent.from_env()
        assert all(name in raised.value.message for name in ("AGENTLLM_MODEL", *PROVIDER_VARIABLES))

    def test_a_key_that_is_missing_is_named(self) -> None:
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is not set"):
            UnifiedAgent.from_env(MODEL)

    def test_the_offline_model_is_of_no_provider(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_MODEL", "offline")
        load_settings.cache_clear()
        with pytest.raises(ConfigurationError, match="AGENTLLM_MODEL"):
            UnifiedAgent.from_env()


def test_the_fallbacks_of_with_fallbacks_are_those_of_the_agent() -> None:
    agent = UnifiedAgent.with_fallbacks(MODEL, ["openai/gpt-4o-mini"], temperature=0.5)
    assert (agent.model, tuple(agent.fallbacks), agent.temperature) == (MODEL, ("openai/gpt-4o-mini",), 0.5)


def test_instructions_are_in_no_representation() -> None:
    assert "private" not in repr(UnifiedAgent(MODEL, instructions="private words"))


def test_building_one_changes_nothing_of_the_environment() -> None:
    before = dict(os.environ)
    UnifiedAgent(MODEL)
    assert dict(os.environ) == before
