"""What a model call cost, and which model answered it, as LiteLLM's own answers and its table of prices tell."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from agentllm.core import Usage

_PROVIDERS = {
    "Anthropic": "anthropic",
    "AwsBedrock": "bedrock",
    "Azure": "azure",
    "Cerebras": "cerebras",
    "CerebrasOpenAI": "cerebras",
    "Cohere": "cohere_chat",
    "Dashscope": "dashscope",
    "DeepInfra": "deepinfra",
    "DeepSeek": "deepseek",
    "Fireworks": "fireworks_ai",
    "Google": "gemini",
    "Groq": "groq",
    "Mistral": "mistral",
    "Moonshot": "moonshot",
    "Ollama": "ollama",
    "OpenAI": "openai",
    "OpenRouter": "openrouter",
    "Perplexity": "perplexity",
    "Sambanova": "sambanova",
    "Together": "together_ai",
    "VertexAI": "vertex_ai",
    "xAI": "xai",
}
"""LiteLLM's names of providers, by those of Agno's model classes."""

CACHED = "cached_response"
"""What LiteLLM calls the provider of a stream that comes out of its cache."""


def model_name(provider: str | None, model: str) -> str:
    """What LiteLLM calls a model of one of Agno's classes, as `openai/gpt-5.4-mini`; `model` where it has no name."""
    prefix = _PROVIDERS.get((provider or "").removesuffix(" Chat").removesuffix(" Responses"))
    return model if prefix is None or model.startswith(f"{prefix}/") else f"{prefix}/{model}"


def model_of(response: Any) -> str | None:
    """The model that gave an answer of LiteLLM or a chunk of one, as provider/model; None where it is not said.

    After a fallback of the router it is the one that stood in.
    """
    if not (hidden := _hidden(response)):
        return None
    name = hidden.get("litellm_model_name") or getattr(response, "model", None)
    if not isinstance(name, str) or not name:
        return None
    provider = hidden.get("custom_llm_provider") or _provider_of(name)
    return f"{provider}/{name}" if provider and not name.startswith(f"{provider}/") else name


def cost_of(response: Any) -> float | None:
    """What LiteLLM says that an answer, or the chunk of one that has its usage, cost, in US dollars.

    None where it is not known. What comes out of a cache costs nothing.
    """
    if (usage := response.get("usage")) is None:
        return None
    hidden, told = _hidden(response), usage.get("cost")
    if hidden.get("cache_hit") or told == 0.0:
        return 0.0
    told = told or hidden.get("response_cost")
    return float(told) if isinstance(told, (int, float)) and told > 0 else _priced(model_of(response), usage)


def told_cost(model: str, told: object, *, is_cached: bool) -> float | None:
    """What LiteLLM's callbacks are told of the cost of a call; they are told 0 also where no price is known."""
    if is_cached:
        return 0.0
    if isinstance(told, (int, float)) and told > 0:
        return float(told)
    return 0.0 if _is_priced(model) else None


def price(model: str, usage: Usage) -> float | None:
    """What the tokens of one call of `model`, a name of LiteLLM, cost in US dollars by its table; None if not there."""
    if not _is_priced(model):
        return None
    from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper
    from litellm.types.utils import Usage as LiteLLMUsage

    counted = LiteLLMUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=usage.reasoning_tokens),
        prompt_tokens_details=PromptTokensDetailsWrapper(cached_tokens=usage.cached_tokens),
    )
    return _priced(model, counted)


def _priced(model: str | None, usage: Any) -> float | None:
    if model is None or not _is_priced(model):
        return None
    import litellm

    try:
        return sum(litellm.cost_per_token(model=model, usage_object=usage))
    except Exception:  # LiteLLM raises bare exceptions for what it cannot price
        return None


@lru_cache(maxsize=256)
def _is_priced(model: str) -> bool:
    """Whether LiteLLM's table has a price for the model, be it 0; to say no takes LiteLLM a while.

    A router adds the models of its configuration to the table, without a price where it is given none.
    """
    import litellm

    try:
        key = litellm.get_model_info(model)["key"]
    except Exception:  # LiteLLM's own, and bare ones
        return False
    return "input_cost_per_token" in litellm.model_cost.get(key, ())


@lru_cache(maxsize=256)
def _provider_of(model: str) -> str | None:
    """What LiteLLM takes for the provider of a model that is named without one; it does not say in cached answers."""
    import litellm

    try:
        return str(litellm.get_llm_provider(model)[1])
    except Exception:  # LiteLLM's own
        return None


def _hidden(response: Any) -> dict[str, Any]:
    """What LiteLLM notes on an answer beside its fields."""
    found = getattr(response, "_hidden_params", None)
    return found if isinstance(found, dict) else {}
