"""What a request says of calling tools: whether the model must, or must not, and whether several at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agno.models.base import Model
from agno.models.openai import OpenAIChat, OpenAIResponses

from agentllm.core import ToolChoice, Turn
from agentllm.errors import UnsupportedParameter
from agentllm.llm.offline import OfflineModel
from agentllm.llm.router import RouterModel
from agentllm.runtimes.agno.client_tools import ASK_USER
from agentllm.runtimes.agno.model import is_gemini


@dataclass(slots=True)
class Calling:
    """What a request says of calling tools, for the model calls of the run `run_id`.

    The choice holds for the first call that is answered: Agno would force it on each, without an end.
    """

    run_id: str
    choice: ToolChoice | None
    is_parallel: bool | None
    is_answered: bool = False

    def applied(self, model: Model, arguments: dict[str, Any]) -> Model:
        """The model to call with `arguments`, which are changed to say what the request does."""
        if not arguments.get("tools"):
            return model
        if self.choice is not None and not self.is_answered:
            _apply_choice(self.choice, model, arguments)
        if self.is_parallel is None:
            return model
        own = copy.copy(model)
        if isinstance(own, OpenAIChat | OpenAIResponses):
            own.request_params = {**(own.request_params or {}), "parallel_tool_calls": self.is_parallel}
        elif isinstance(own, OfflineModel):
            own.parallel_tool_calls = self.is_parallel
        return own


def calling(model: Model, turn: Turn) -> Calling:
    """What the request of `turn` says of calling tools.

    Raises:
        UnsupportedParameter: the model's class has no way to be told, and the turn does not drop such parameters.
    """
    choice, is_parallel = turn.tool_choice, turn.parallel_tool_calls
    if choice is not None and choice.mode != "auto" and not _takes_choice(model):
        if not turn.drop_unsupported:
            raise UnsupportedParameter("tool_choice", model.id)
        choice = None
    if is_parallel is not None and not _takes_parallel(model):
        if not is_parallel and not turn.drop_unsupported:
            raise UnsupportedParameter("parallel_tool_calls", model.id)
        is_parallel = None
    return Calling(turn.id, choice, is_parallel)


def refuse_client_tools(turn: Turn) -> None:
    """For what takes no tools of a client, and has no one model to be told of calling its own.

    Raises:
        UnsupportedParameter: the request says something of tools, and the turn does not drop such parameters.
    """
    choice = turn.tool_choice
    said = {
        "tools": any(tool.name != ASK_USER for tool in turn.client_tools),
        "tool_choice": choice is not None and choice.mode != "auto",
        "parallel_tool_calls": turn.parallel_tool_calls is False,
    }
    for parameter, is_said in said.items():
        if is_said and not turn.drop_unsupported:
            raise UnsupportedParameter(parameter, turn.agent)


def _takes_choice(model: Model) -> bool:
    if isinstance(model, RouterModel):
        return model.takes("tool_choice")
    return isinstance(model, OpenAIChat | OpenAIResponses | OfflineModel) or is_gemini(type(model))


def _takes_parallel(model: Model) -> bool:
    """Whether it can be told; all do call several tools at once where they are told nothing."""
    if isinstance(model, RouterModel):
        return model.takes("parallel_tool_calls")
    return isinstance(model, OpenAIChat | OpenAIResponses | OfflineModel)


def _apply_choice(choice: ToolChoice, model: Model, arguments: dict[str, Any]) -> None:
    if is_gemini(type(model)):
        # Agno's class can force a call, but not name it: the model is offered that tool alone.
        if choice.name is not None:
            arguments["tools"] = list(_named(arguments["tools"], choice.name)) or arguments["tools"]
        arguments["tool_choice"] = "any" if choice.mode == "required" else choice.mode
    elif choice.name is None:
        arguments["tool_choice"] = choice.mode
    elif isinstance(model, OpenAIResponses):
        arguments["tool_choice"] = {"type": "function", "name": choice.name}
    else:
        arguments["tool_choice"] = {"type": "function", "function": {"name": choice.name}}


def _named(tools: Iterable[Any], name: str) -> Iterator[Any]:
    return (tool for tool in tools if (tool.get("function") or {}).get("name") == name)
