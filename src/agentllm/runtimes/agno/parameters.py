"""The request's parameters on one run's copy of an Agno model."""

from __future__ import annotations

import dataclasses
from typing import Any

from agno.models.base import Model

from agentllm.core import Effort, Parameters
from agentllm.errors import UnsupportedParameter
from agentllm.llm import gemini
from agentllm.llm.router import RouterModel
from agentllm.runtimes.agno.model import is_gemini

# What each parameter is called in Agno's model classes, the preferred name first.
_FIELDS: dict[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "max_tokens": ("max_completion_tokens", "max_output_tokens", "max_tokens"),
    "stop": ("stop", "stop_sequences"),
    "seed": ("seed",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "reasoning_effort": ("reasoning_effort",),
    "verbosity": ("verbosity",),
    "service_tier": ("service_tier",),
}


def set_parameters(model: Model, parameters: Parameters, *, drop_unsupported: bool) -> None:
    """Have `model`, a copy for one run, take `parameters`.

    Raises:
        UnsupportedParameter: the model's class has no place for a parameter, or it is a model of
            LiteLLM, which knows that it does not take it.
    """
    for name, candidates in _FIELDS.items():
        value = getattr(parameters, name)
        if value is not None and not _take(model, name, candidates, value) and not drop_unsupported:
            raise UnsupportedParameter(name, model.id)


def _take(model: Model, name: str, candidates: tuple[str, ...], value: Any) -> bool:
    """Whether the model has taken it."""
    if isinstance(model, RouterModel) and not model.takes(name):
        return False
    if name == "reasoning_effort" and is_gemini(type(model)):
        return _think(model, value)
    fields = {field.name for field in dataclasses.fields(model)}
    places = [candidate for candidate in candidates if candidate in fields]
    if not places:
        return False
    chosen = next((place for place in places if getattr(model, place) is not None), places[0])
    setattr(model, chosen, list(value) if isinstance(value, tuple) else value)
    return True


def _think(model: Any, effort: Effort) -> bool:
    """Set one of the two ways to say how much Gemini thinks; Google refuses a request with both."""
    found = gemini.thinking(model.id, effort)
    if found is None:
        return False
    way, value = found
    model.thinking_level = value if way == "level" else None
    model.thinking_budget = value if way == "budget" else None
    return True
