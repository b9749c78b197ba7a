"""One run's copy of an Agno model: the request's parameters in, finish reason and errors out.

Agno drops the provider's finish reason and turns exceptions into text; both pass through
methods of the model, so the copy listens there.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, TypeGuard, cast

from agno.models.base import Model
from agno.models.openai import OpenAIChat
from agno.models.response import ModelResponse

from agentllm.core import Parameters
from agentllm.errors import UnsupportedParameter
from agentllm.llm.router import RouterModel
from agentllm.llm.streams import openai_client
from agentllm.runtimes.agno.calls import AgentCalls

# What each parameter is called in Agno's model classes, the preferred name first.
_FIELDS: dict[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "max_tokens": ("max_completion_tokens", "max_output_tokens", "max_tokens"),
    "stop": ("stop", "stop_sequences"),
    "seed": ("seed",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
}


def for_run(model: Model, calls: AgentCalls) -> Model:
    """A copy of `model` that tells `calls` of each of its calls."""
    open_client(model)
    own = cast("_Listening", copy.copy(model))
    own.__class__ = _listening(type(model))
    own._agent_calls = calls
    return own


def set_parameters(model: Model, parameters: Parameters, *, drop_unsupported: bool) -> None:
    """Have `model`, a copy for one run, take `parameters`.

    Raises:
        UnsupportedParameter: the model's class has no place for a parameter.
    """
    fields = {field.name for field in dataclasses.fields(model)}
    for name, candidates in _FIELDS.items():
        value = getattr(parameters, name)
        if value is None:
            continue
        places = [candidate for candidate in candidates if candidate in fields]
        if places:
            chosen = next((place for place in places if getattr(model, place) is not None), places[0])
            setattr(model, chosen, list(value) if name == "stop" else value)
        elif not drop_unsupported:
            raise UnsupportedParameter(name, model.id)


def open_client(model: Model) -> None:
    """Have the shared model make its client, so that its copies share the connections and none makes one of its own.

    A client that cannot be made is left to the run, whose error is told.
    """
    if isinstance(model, RouterModel):
        return
    with contextlib.suppress(Exception):
        if _makes_openai_client(model):
            if model.async_client is None and model.http_client is None:
                model.async_client = openai_client(**model._get_client_params())
        elif make := getattr(model, "get_async_client", None) or getattr(model, "get_client", None):
            make()


def _makes_openai_client(model: Model) -> TypeGuard[OpenAIChat]:
    """Whether it makes OpenAI's own client; Azure's and others' models have clients of their own."""
    return isinstance(model, OpenAIChat) and type(model).get_async_client is OpenAIChat.get_async_client


class _Listening(Model):
    """A model, mixed with the class of a real one, that tells of each of its calls."""

    _agent_calls: AgentCalls

    def _parse_provider_response(self, response: Any, **kwargs: Any) -> ModelResponse:
        self._agent_calls.outcome.note(response)
        return super()._parse_provider_response(response, **kwargs)  # type: ignore[safe-super]  # the real model's

    def _parse_provider_response_delta(self, response: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        self._agent_calls.outcome.note(response)
        return super()._parse_provider_response_delta(response, *args, **kwargs)  # type: ignore[safe-super]  # its

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        with self._agent_calls.calling(self.id, _run_of(kwargs)):
            return await super().ainvoke(*args, **kwargs)  # type: ignore[safe-super]  # the real model's

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ModelResponse]:
        run = self._agent_calls.of_run
        with self._agent_calls.calling(self.id, _run_of(kwargs)):
            async for response in super().ainvoke_stream(*args, **kwargs):  # type: ignore[safe-super]  # its
                if not run.is_stopping:
                    yield response
            run.join()


@cache
def _listening(kind: type[Model]) -> type[_Listening]:
    """Models of `kind` that listen. A class, as functions on a copy would keep it for the garbage collector."""
    return type(kind.__name__, (_Listening, kind), {"__module__": kind.__module__})


def _run_of(arguments: dict[str, Any]) -> str | None:
    """The run for which Agno makes a model call."""
    return getattr(arguments.get("run_response"), "run_id", None)
