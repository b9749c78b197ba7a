"""How many tokens a model takes, as far as that is known."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import litellm
import pytest
from litellm.router import Router as LiteLLMRouter

from agentllm.llm.windows import context_window


class Router:
    """LiteLLM's, as far as it is asked for deployments."""

    def __init__(self, **deployed: list[str | tuple[str, object]]) -> None:
        """Models by name, with what the operator says of their windows where that is given."""
        self._deployed = deployed

    def get_model_list(self, model_name: str) -> list[dict[str, Any]] | None:
        found = [one if isinstance(one, tuple) else (one, None) for one in self._deployed.get(model_name, [])]
        return [
            {"litellm_params": {"model": model}, "model_info": {"id": "x", "max_input_tokens": window}}
            for model, window in found
        ] or None


@pytest.fixture(autouse=True)
def prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price list of three models, and no proxy in this process."""
    known = {
        "large": {"max_input_tokens": 1_000},
        "provider/small": {"max_input_tokens": 100},
        "words": {"max_input_tokens": "many"},
    }
    monkeypatch.setattr(litellm, "model_cost", known)
    monkeypatch.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)


def in_a_proxy(monkeypatch: pytest.MonkeyPatch, router: Router | None) -> None:
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=router))


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("large", 1_000),
        ("provider/large", 1_000),
        ("provider/small", 100),
        ("small", None),
        ("words", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_a_model_is_known_with_or_without_its_provider(model: str, tokens: int | None) -> None:
    assert context_window(model) == tokens


def test_of_a_proxy_s_model_the_smallest_deployment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_proxy(monkeypatch, Router(mine=["provider/large", "provider/small", "unknown"]))
    assert context_window("mine") == 100


@pytest.mark.parametrize(
    ("deployed", "tokens"),
    [
        ([("large", 50)], 50),
        ([("provider/small", 5_000)], 5_000),
        ([("unknown", 70)], 70),
        ([("large", 50), ("large", 40)], 40),
        ([("large", 500), "provider/small"], 100),
        ([("large", 500), "unknown"], 500),
        ([("large", None)], 1_000),
        ([("large", "many")], 1_000),
        ([("large", 0)], 1_000),
    ],
)
def test_what_the_operator_says_of_a_deployment_comes_first(
    deployed: list[str | tuple[str, object]], tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_proxy(monkeypatch, Router(mine=deployed))
    assert context_window("mine") == tokens


def test_litellm_s_own_router_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"model_name": "mine", "litellm_params": {"model": "openai/large"}, "model_info": {"max_input_tokens": 77}}
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=LiteLLMRouter([own])))
    assert context_window("mine") == 77


def test_what_its_deployments_are_comes_before_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_proxy(monkeypatch, Router(large=["provider/small"], small=["unknown"]))
    assert context_window("large") == 100
    assert context_window("small") is None


def test_a_model_that_the_proxy_does_not_have_is_litellm_s(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_proxy(monkeypatch, Router(mine=["provider/small"]))
    assert context_window("large") == 1_000


def test_before_the_proxy_has_a_router_too(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_proxy(monkeypatch, None)
    assert context_window("large") == 1_000


def test_litellm_s_own_list_has_the_models_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (context_window("gemini-2.5-flash") or 0) > 100_000
