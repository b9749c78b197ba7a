"""One run's copy of an Agno model: the form of the answer in, finish reason and errors out.

Agno drops the provider's finish reason and turns exceptions into text; both pass through
methods of the model, so the copy listens there.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from agno.models.base import Model
from agno.models.openai import OpenAIChat
from agno.models.response import ModelResponse
from agno.tools.function import FunctionCall

from agentllm.llm import gemini
from agentllm.llm.router import RouterModel
from agentllm.llm.streams import openai_client
from agentllm.runtimes.agno.bills import Bill
from agentllm.runtimes.agno.calls import AgentCalls
from agentllm.runtimes.agno.client_tools import left_to_client, without_flags
from agentllm.runtimes.agno.media import drop_empty_texts, without_empty_text
from agentllm.runtimes.agno.messages import make_whole

if TYPE_CHECKING:
    from agentllm.runtimes.agno.swapped import Swapped
    from agentllm.runtimes.agno.tool_choice import Calling


def for_run(model: Model, calls: AgentCalls) -> Model:
    """A copy of `model` that tells `calls` of each of its calls."""
    open_client(model)
    own = cast("_Listening", copy.copy(model))
    own.__class__ = _listening(type(model))
    own._agent_calls = calls
    return own


def want(model: Model, run_id: str, response_format: dict[str, Any]) -> None:
    """Have the calls of `model`, a copy for one run, that are for `run_id` ask for a form, as OpenAI's API has it.

    Calls beside the run's, such as those for memories, ask for what Agno wants of them.
    """
    asking = cast("_Listening", model)
    asking._wanted = run_id, response_format
    asking.cache_response = False  # Agno's cache does not know of the form


def tell(model: Model, calling: Calling) -> None:
    """Have the calls of `model`, a copy for one run, do what the request says of calling tools."""
    cast("_Listening", model)._calling = calling


def keep_progress(model: Model) -> None:
    """Have a run hold what each call of `model`, a copy for that run, is told, with the results of tools that ran.

    Agno tells it of a plain run that fails, and goes on from there where it tries a continued one again.
    """
    cast("_Listening", model)._keeps_progress = True


def calls_of(model: Model) -> AgentCalls:
    """What `model`, a copy for one run, tells of its calls."""
    return cast("_Listening", model)._agent_calls


def let_swap(model: Model, swapped: Swapped) -> None:
    """Have what is in force count for the calls of `model`, a copy for one run, that are for that run."""
    cast("_Listening", model)._swapped = swapped


def share_choice(one: Model, other: Model) -> None:
    """Have a tool be forced once, whichever of two copies for one run is called first."""
    first, second = cast("_Listening", one)._calling, cast("_Listening", other)._calling
    if first is not None and second is not None:
        first.is_answered = second.is_answered = first.is_answered or second.is_answered


def is_gemini(kind: type[Model]) -> bool:
    """Whether it is Agno's class for Gemini, or one made of it; does not import Google's packages."""
    return any(cls.__name__ == "Gemini" and cls.__module__.startswith("agno.models.google") for cls in kind.__mro__)


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


class WholeCall(dict[str, Any]):
    """A call of a tool that a stream has given whole, where most classes give pieces to be put together."""


class _Listening(Model):
    """A model, mixed with the class of a real one, that tells of each of its calls."""

    _agent_calls: AgentCalls
    _wanted: tuple[str, dict[str, Any]] | None = None
    _calling: Calling | None = None
    _keeps_progress: bool = False
    _swapped: Swapped | None = None

    def _parse_provider_response(self, response: Any, **kwargs: Any) -> ModelResponse:
        self._agent_calls.outcome.note(response)
        return super()._parse_provider_response(response, **kwargs)  # type: ignore[safe-super]  # the real model's

    def _parse_provider_response_delta(self, response: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        self._agent_calls.outcome.note(response)
        return super()._parse_provider_response_delta(response, *args, **kwargs)  # type: ignore[safe-super]  # its

    def _format_message(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        formatted: dict[str, Any] = super()._format_message(*args, **kwargs)  # type: ignore[misc]  # OpenAI's class has it
        return without_empty_text(formatted)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        if self._swapped is not None and _run_of(kwargs) == self._swapped.run_id:
            other, kwargs = await self._swapped.applied(self, kwargs)
            if other is not self:
                return await self._swapped.whole(self, other, kwargs)
        with self._asked(kwargs) as (model, asked), self._billed(model, kwargs) as bill:
            await bill.check()
            response = await super(_Listening, model).ainvoke(*args, **asked)  # type: ignore[safe-super]  # the real model's
            bill.add(response.response_usage)
        if response.images and (message := kwargs.get("assistant_message")) is not None:
            self._agent_calls.of_run.pictures[message.id] = response.images
        return response

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ModelResponse]:
        if self._swapped is not None and _run_of(kwargs) == self._swapped.run_id:
            other, kwargs = await self._swapped.applied(self, kwargs)
            if other is not self:
                async for response in self._swapped.streamed(self, other, kwargs):
                    yield response
                return
        run = self._agent_calls.of_run
        with self._asked(kwargs) as (model, asked), self._billed(model, kwargs) as bill:
            await bill.check()
            async for response in super(_Listening, model).ainvoke_stream(*args, **asked):  # type: ignore[safe-super]
                bill.add(response.response_usage)
                if not run.is_stopping:
                    yield response
            run.join()

    def parse_tool_calls(self, tool_calls_data: list[Any]) -> list[dict[str, Any]]:
        if tool_calls_data and all(isinstance(call, WholeCall) for call in tool_calls_data):
            return [dict(call) for call in tool_calls_data]
        return super().parse_tool_calls(tool_calls_data)

    async def arun_function_calls(self, function_calls: list[FunctionCall], *args: Any, **kwargs: Any) -> Any:
        own = []
        for call, paused in left_to_client(function_calls):
            if paused is None:
                own.append(call)
            else:
                yield paused
        async for event in super().arun_function_calls(own, *args, **kwargs):
            yield event

    @contextlib.contextmanager
    def _billed(self, model: Model, arguments: dict[str, Any]) -> Iterator[Bill]:
        """A call of `model` with these arguments, and what it costs."""
        bill = Bill(model, self._agent_calls.of_run)
        with self._agent_calls.calling(model.id, _run_of(arguments), bill.model), bill.charged():
            yield bill

    @contextlib.contextmanager
    def _asked(self, arguments: dict[str, Any]) -> Iterator[tuple[_Listening, dict[str, Any]]]:
        """The model to call, and the arguments with what the request asks of it."""
        asked = {**arguments, "tools": without_flags(arguments["tools"])} if arguments.get("tools") else {**arguments}
        make_whole(arguments.get("messages") or ())
        run_id = _run_of(arguments)
        if self._keeps_progress and run_id is not None:
            arguments["run_response"].messages = list(arguments["messages"])
        if self._wanted is not None and run_id == self._wanted[0]:
            asked["response_format"] = self._wanted[1]
        if self._calling is None or run_id != self._calling.run_id:
            yield self, asked
            return
        yield cast("_Listening", self._calling.applied(self, asked)), asked
        self._calling.is_answered = True


class _AskingGemini(Model):
    """A Gemini that takes the form of an answer as OpenAI's API has it; Agno's own leaves that out."""

    def _format_messages(self, *args: Any, **kwargs: Any) -> Any:
        contents, system = super()._format_messages(*args, **kwargs)  # type: ignore[misc]  # the real model's
        return drop_empty_texts(contents), system

    def get_request_params(self, system_message: Any = None, response_format: Any = None, **more: Any) -> Any:
        params = super().get_request_params(system_message, response_format, **more)  # type: ignore[misc]  # the real model's
        config = params.get("config")
        has_tools = config is not None and config.tools
        if isinstance(response_format, dict) and (not has_tools or gemini.takes_tools_with_json(self.id)):
            params["config"] = _with_json(config, response_format)
        return params


def _with_json(config: Any, response_format: dict[str, Any]) -> Any:
    from google.genai.types import GenerateContentConfig

    asked: dict[str, Any] = {"response_mime_type": "application/json"}
    if (form := response_format.get("json_schema")) is not None:
        asked["response_json_schema"] = form["schema"]
    return (config or GenerateContentConfig()).model_copy(update=asked)


@cache
def _listening(kind: type[Model]) -> type[_Listening]:
    """Models of `kind` that listen. A class, as functions on a copy would keep it for the garbage collector."""
    bases = (_Listening, _AskingGemini, kind) if is_gemini(kind) else (_Listening, kind)
    return type(kind.__name__, bases, {"__module__": kind.__module__})


def _run_of(arguments: dict[str, Any]) -> str | None:
    """The run for which Agno makes a model call."""
    return getattr(arguments.get("run_response"), "run_id", None)
