"""What LiteLLM's answers say of their cost and model, and its table of prices."""

from __future__ import annotations

from typing import Any

import litellm
import pytest
from litellm.types.utils import Choices, Message, ModelResponse
from litellm.types.utils import Usage as LiteLLMUsage

from agentllm.core import Usage
from agentllm.llm.costs import cost_of, model_name, model_of, price, told_cost

GPT_4O = "openai/gpt-4o"
USAGE = Usage(prompt_tokens=1_000, completion_tokens=100)
OF_GPT_4O = 1_000 * 2.5e-6 + 100 * 1e-5

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:Accessing the 'model_\w+' attribute on the instance:DeprecationWarning"),
]


def answer(model: str = "gpt-4o", *, cost: float | None = None, **hidden: Any) -> ModelResponse:
    """An answer of LiteLLM with what it notes beside it."""
    usage = LiteLLMUsage(prompt_tokens=1_000, completion_tokens=100, total_tokens=1_100, cost=cost)
    made = ModelResponse(model=model, choices=[Choices(message=Message(content="x"))], usage=usage)
    made._hidden_params = hidden
    return made


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("OpenAI", "gpt-4o", GPT_4O),
        ("OpenAI Chat", "gpt-4o", GPT_4O),
        ("OpenAI Responses", "gpt-4o", GPT_4O),
        ("Google", "gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("Anthropic", "claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("AgentLLM", "offline", "offline"),
        ("A Provider Of Nobody", "m", "m"),
        (None, "m", "m"),
    ],
)
def test_agno_s_models_have_litellm_s_names(provider: str | None, model: str, name: str) -> None:
    assert model_name(provider, model) == name


class TestModel:
    def test_it_is_the_one_that_answered(self) -> None:
        assert model_of(answer("house", litellm_model_name=GPT_4O, custom_llm_provider="openai")) == GPT_4O

    def test_a_name_without_its_provider_gets_it(self) -> None:
        assert model_of(answer(litellm_model_name="gpt-4o", custom_llm_provider="openai")) == GPT_4O
        assert model_of(answer(litellm_model_name="gpt-4o", cache_hit=True)) == GPT_4O

    def test_a_chunk_has_it_as_its_own(self) -> None:
        assert model_of(answer("gpt-4o", custom_llm_provider="openai", response_cost=None)) == GPT_4O

    def test_what_is_not_of_litellm_says_nothing(self) -> None:
        assert model_of(object()) is None
        assert model_of(answer()) is None


class TestCost:
    def test_it_is_what_litellm_says(self) -> None:
        assert cost_of(answer(response_cost=0.5, custom_llm_provider="openai")) == 0.5

    def test_it_is_what_the_provider_says_first(self) -> None:
        assert cost_of(answer(cost=0.25, response_cost=0.5)) == 0.25

    def test_where_nothing_is_said_it_is_the_table_s(self) -> None:
        assert cost_of(answer(custom_llm_provider="openai")) == pytest.approx(OF_GPT_4O)

    def test_a_price_that_is_not_known_is_no_price(self) -> None:
        assert cost_of(answer("unheard-of", custom_llm_provider="openai", response_cost=0.0)) is None

    def test_what_is_cached_costs_nothing(self) -> None:
        assert cost_of(answer(custom_llm_provider="openai", response_cost=0.5, cache_hit=True)) == 0.0

    def test_no_usage_no_cost(self) -> None:
        made = answer(response_cost=0.5)
        del made.usage  # type: ignore[attr-defined]  # LiteLLM sets it this way
        assert cost_of(made) is None


class TestTable:
    def test_tokens_are_priced(self) -> None:
        assert price(GPT_4O, USAGE) == pytest.approx(OF_GPT_4O)

    def test_cached_tokens_are_cheaper(self) -> None:
        cached = Usage(prompt_tokens=1_000, completion_tokens=100, cached_tokens=800)
        assert 0 < (price(GPT_4O, cached) or 0) < OF_GPT_4O

    @pytest.mark.parametrize("model", ["offline", "openai/unheard-of", "", "a/b/c"])
    def test_a_model_that_is_not_in_it_has_no_price(self, model: str) -> None:
        assert price(model, USAGE) is None

    def test_a_model_that_costs_nothing_costs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        free = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        monkeypatch.setitem(litellm.model_cost, "openai/a-free-model", free)
        assert price("openai/a-free-model", USAGE) == 0.0
        assert told_cost("openai/a-free-model", 0.0, is_cached=False) == 0.0

    def test_callbacks_are_told_0_of_what_is_not_known(self) -> None:
        assert told_cost("openai/unheard-of", 0.0, is_cached=False) is None
        assert told_cost("openai/unheard-of", 0.0, is_cached=True) == 0.0
        assert told_cost(GPT_4O, 0.5, is_cached=False) == 0.5
