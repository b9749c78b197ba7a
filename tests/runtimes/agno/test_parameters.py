"""The request's parameters on one run's copy of a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from agno.models.base import Model
from agno.models.google import Gemini
from agno.models.openai import OpenAIChat, OpenAIResponses

from agentllm.core import Effort, Parameters
from agentllm.errors import UnsupportedParameter
from agentllm.llm.offline import OfflineModel
from agentllm.llm.router import RouterModel
from agentllm.runtimes.agno.calls import AgentCalls, Calls
from agentllm.runtimes.agno.model import for_run
from agentllm.runtimes.agno.parameters import set_parameters

pytestmark = [  # of LiteLLM
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
]

ALL = Parameters(0.25, 0.5, 77, ("END",), 5, 0.75, -0.5)


def for_parameters(model: Model, parameters: Parameters, *, drop: bool = False) -> Any:
    copied = for_run(model, AgentCalls(Calls()))
    set_parameters(copied, parameters, drop_unsupported=drop)
    return copied


def test_parameters_are_set_on_the_copy_alone() -> None:
    shared = OfflineModel(temperature=1.0)
    before = asdict(shared)
    copied = for_parameters(shared, ALL)
    assert asdict(shared) == before
    assert (copied.temperature, copied.top_p, copied.max_tokens, copied.stop) == (0.25, 0.5, 77, ["END"])
    assert (copied.seed, copied.presence_penalty, copied.frequency_penalty) == (5, 0.75, -0.5)


def test_parameters_that_the_request_does_not_set_stay_as_the_agent_has_them() -> None:
    copied = for_parameters(OfflineModel(temperature=1.0, max_tokens=9), Parameters(seed=5))
    assert (copied.temperature, copied.max_tokens, copied.seed) == (1.0, 9, 5)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (OpenAIChat(api_key="k"), "max_completion_tokens"),
        (OpenAIChat(api_key="k", max_tokens=9), "max_tokens"),
        (OpenAIResponses(api_key="k"), "max_output_tokens"),
        (Gemini(api_key="k"), "max_output_tokens"),
        (OfflineModel(), "max_tokens"),
    ],
    ids=["openai", "openai with the old name", "responses", "gemini", "offline"],
)
def test_the_limit_of_tokens_is_set_under_the_name_that_the_model_uses(model: Model, name: str) -> None:
    copied = for_parameters(model, Parameters(max_tokens=7))
    set_to_seven = [
        field
        for field in ("max_tokens", "max_completion_tokens", "max_output_tokens")
        if getattr(copied, field, None) == 7
    ]
    assert set_to_seven == [name]


def test_stop_is_a_list_under_gemini_s_name() -> None:
    assert for_parameters(Gemini(api_key="k"), Parameters(stop=("END",))).stop_sequences == ["END"]


def test_a_parameter_that_the_model_has_no_place_for_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        for_parameters(OpenAIResponses(id="r-1", api_key="k"), Parameters(seed=5))
    assert raised.value.param == "seed"
    assert "'r-1'" in raised.value.message


def test_it_is_dropped_where_the_turn_says_so() -> None:
    copied = for_parameters(OpenAIResponses(api_key="k"), Parameters(seed=5, temperature=0.5), drop=True)
    assert copied.temperature == 0.5
    assert not hasattr(copied, "seed")


def test_effort_verbosity_and_tier_reach_a_model_of_openai_under_their_names() -> None:
    asked = Parameters(reasoning_effort="low", verbosity="high", service_tier="flex")
    params = for_parameters(OpenAIChat(api_key="k"), asked).get_request_params()
    assert (params["reasoning_effort"], params["verbosity"], params["service_tier"]) == ("low", "high", "flex")


@pytest.mark.parametrize("asked", [Parameters(verbosity="low"), Parameters(service_tier="priority")], ids=str)
def test_what_only_openai_has_is_refused_elsewhere_or_dropped(asked: Parameters) -> None:
    with pytest.raises(UnsupportedParameter):
        for_parameters(Gemini(api_key="k"), asked)
    assert for_parameters(Gemini(api_key="k"), asked, drop=True)


LEVELS: list[tuple[str, Effort, str]] = [
    ("gemini-3-flash-preview", "none", "minimal"),
    ("gemini-3-flash-preview", "minimal", "minimal"),
    ("gemini-3-flash-preview", "low", "low"),
    ("gemini-3.1-pro-preview", "none", "low"),
    ("gemini-3.1-pro-preview", "minimal", "low"),
    ("gemini-3.1-pro-preview", "medium", "medium"),
    ("gemini-3.1-pro-preview", "high", "high"),
    ("gemini-3.1-pro-preview", "xhigh", "high"),
    ("gemini-flash-latest", "max", "high"),
]
BUDGETS: list[tuple[str, Effort, int]] = [
    ("gemini-2.5-flash", "none", 0),
    ("gemini-2.5-flash", "minimal", 1_024),
    ("gemini-2.5-flash-lite", "low", 1_024),
    ("gemini-2.5-flash", "medium", 8_192),
    ("gemini-2.5-flash", "high", 24_576),
    ("gemini-2.5-flash", "max", 24_576),
    ("gemini-2.5-pro", "none", 128),
    ("gemini-2.5-pro", "low", 1_024),
]


@pytest.mark.parametrize(("model", "effort", "level"), LEVELS)
def test_effort_is_a_thinking_level_of_gemini_since_3(model: str, effort: Effort, level: str) -> None:
    copied = for_parameters(Gemini(id=model, api_key="k", thinking_budget=7), Parameters(reasoning_effort=effort))
    assert (copied.thinking_level, copied.thinking_budget) == (level, None)


@pytest.mark.parametrize(("model", "effort", "budget"), BUDGETS)
def test_effort_is_a_thinking_budget_of_gemini_2_5(model: str, effort: Effort, budget: int) -> None:
    copied = for_parameters(Gemini(id=model, api_key="k", thinking_level="low"), Parameters(reasoning_effort=effort))
    assert (copied.thinking_level, copied.thinking_budget) == (None, budget)


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it"])
def test_a_model_of_google_that_does_not_think_refuses_effort(model: str) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        for_parameters(Gemini(id=model, api_key="k"), Parameters(reasoning_effort="low"))
    assert raised.value.param == "reasoning_effort"
    copied = for_parameters(Gemini(id=model, api_key="k"), Parameters(reasoning_effort="low"), drop=True)
    assert (copied.thinking_level, copied.thinking_budget) == (None, None)


def test_a_model_of_litellm_takes_what_litellm_knows_that_it_takes() -> None:
    asked = Parameters(reasoning_effort="low", temperature=0.5)
    thinking = for_parameters(RouterModel(id="gemini/gemini-2.5-flash"), asked)
    assert (thinking.reasoning_effort, thinking.temperature) == ("low", 0.5)
    with pytest.raises(UnsupportedParameter) as raised:
        for_parameters(RouterModel(id="openai/gpt-4o"), asked)
    assert raised.value.param == "reasoning_effort"
    dropped = for_parameters(RouterModel(id="openai/gpt-4o"), asked, drop=True)
    assert (dropped.reasoning_effort, dropped.temperature) == (None, 0.5)


def test_a_model_that_litellm_does_not_know_is_asked() -> None:
    copied = for_parameters(RouterModel(id="no-such-model"), Parameters(reasoning_effort="low"))
    assert copied.reasoning_effort == "low"


def test_the_offline_model_takes_effort_and_does_the_same() -> None:
    assert for_parameters(OfflineModel(), Parameters(reasoning_effort="high")).reasoning_effort == "high"
