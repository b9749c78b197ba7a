"""One run's copy of an Agno model: the request's parameters in, finish reason and errors out.

Agno drops the provider's finish reason and turns exceptions into text; both pass through
methods of the model, so the copy listens there.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from agno.exceptions import AgnoError
from agno.models.base import Model
from agno.models.openai import OpenAIChat
from agno.models.response import ModelResponse

from agentllm.core import FinishReason, Parameters
from agentllm.errors import ModelFailed, UnsupportedParameter
from agentllm.llm.router import RouterModel
from agentllm.llm.streams import openai_client

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

# The words of OpenAI, Gemini, Anthropic and Ollama for an answer that did not end by itself.
_LENGTH = frozenset({"length", "max_tokens", "model_context_window_exceeded"})
_END_NAMES = ("finish_reason", "stop_reason", "done_reason")
_FILTERED = frozenset(
    {
        "content_filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "refusal",
    }
)


@dataclass(slots=True)
class Outcome:
    """What a run's model calls came to: the last one's finish reason, and the exception that ended one."""

    model: str
    finish_reason: str | None = None
    open_answer: bool = False
    """Whether an answer in OpenAI's format began and has not finished."""
    error: Exception | None = None
    is_open: bool = False
    """Whether a streamed model call is being read."""
    is_stopping: bool = False
    """Whether the run is to end where it next waits for the provider."""

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Keep the exception that ends a model call, and let it pass."""
        try:
            yield
        except Exception as error:
            self.error = error
            raise

    @property
    def reason(self) -> FinishReason:
        word = (self.finish_reason or "stop").lower()
        if word in _LENGTH:
            return "length"
        return "content_filter" if word in _FILTERED else "stop"

    def note(self, response: object) -> None:
        """Keep the finish reason of a provider's response or of a piece of one."""
        choices = getattr(response, "choices", None)
        source = choices or getattr(response, "candidates", None)
        part = source[0] if source else response
        found = _end_of(part) or _end_of(getattr(part, "delta", None))
        if found is not None:
            self.finish_reason = str(getattr(found, "name", found))
            self.open_answer = False
        elif choices:
            self.finish_reason = None
            self.open_answer = True

    def failure(self) -> ModelFailed | None:
        """The error that a client is told, where a model call failed."""
        if self.error is None:
            return None
        status = self.error.status_code if isinstance(self.error, AgnoError) else 502
        detail = " ".join(str(self.error).split()) or type(self.error).__name__
        return ModelFailed(f"The language model {self.model!r} failed: {detail[:500]}", status=status)


def _end_of(part: object) -> object:
    """What OpenAI and Gemini, Anthropic, or Ollama say of how a response ended."""
    return next((end for name in _END_NAMES if (end := getattr(part, name, None)) is not None), None)


def for_run(model: Model, parameters: Parameters, *, drop_unsupported: bool) -> tuple[Model, Outcome]:
    """A copy of `model` that takes `parameters`, and what its calls will come to.

    Raises:
        UnsupportedParameter: the model's class has no place for a parameter.
    """
    open_client(model)
    listening = copy.copy(model)
    outcome = Outcome(model.id)
    _set_parameters(listening, parameters, drop_unsupported=drop_unsupported)
    _listen(listening, outcome)
    return listening, outcome


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


def _set_parameters(model: Model, parameters: Parameters, *, drop_unsupported: bool) -> None:
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


def _listen(model: Model, outcome: Outcome) -> None:
    """Shadow four methods of this one instance; its class and every other instance stay as they are."""
    parse, parse_delta, invoke = model._parse_provider_response, model._parse_provider_response_delta, model.ainvoke

    def parsed(response: Any, **kwargs: Any) -> ModelResponse:
        outcome.note(response)
        return parse(response, **kwargs)

    def parsed_delta(response: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        outcome.note(response)
        return parse_delta(response, *args, **kwargs)

    async def invoked(*args: Any, **kwargs: Any) -> ModelResponse:
        with outcome.catching():
            return await invoke(*args, **kwargs)

    shadows = {
        "_parse_provider_response": parsed,
        "_parse_provider_response_delta": parsed_delta,
        "ainvoke": invoked,
        "ainvoke_stream": _stoppable(model.ainvoke_stream, outcome),
    }
    for name, shadow in shadows.items():
        setattr(model, name, shadow)


def _stoppable(
    invoke_stream: Callable[..., AsyncIterator[ModelResponse]], outcome: Outcome
) -> Callable[..., AsyncIterator[ModelResponse]]:
    async def invoked_stream(*args: Any, **kwargs: Any) -> AsyncIterator[ModelResponse]:
        outcome.is_open = True
        try:
            with outcome.catching():
                async for response in invoke_stream(*args, **kwargs):
                    if not outcome.is_stopping:
                        yield response
            if outcome.is_stopping:
                raise asyncio.CancelledError
        finally:
            outcome.is_open = False

    return invoked_stream
