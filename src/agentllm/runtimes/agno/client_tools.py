"""Tools that the client of a request runs itself: how they are offered to an agent, and how a run pauses for them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agno.agent import Agent
from agno.models.response import ModelResponse, ModelResponseEvent, ToolExecution
from agno.run import RunContext
from agno.team import Team
from agno.tools import Toolkit
from agno.tools.function import Function, FunctionCall
from agno.utils.callables import aresolve_callable_tools, get_resolved_tools

from agentllm.core import ClientTool, Turn
from agentllm.errors import InvalidRequest

ASK_USER = "ask_user"
"""The tool with which a front end offers every agent to ask the person; where it cannot be offered, it is left out."""

_OF_AGNO = {
    "get_chat_history": "read_chat_history",
    "get_tool_call_history": "read_tool_call_history",
    "search_past_sessions": "search_past_sessions",
    "read_past_session": "search_past_sessions",
    "update_user_memory": "enable_agentic_memory",
    "update_session_state": "enable_agentic_state",
    "search_knowledge_base": "knowledge",
    "add_to_knowledge": "update_knowledge",
    "delegate_task_to_member": "members",
    "delegate_task_to_members": "members",
}
"""Tools that Agno adds, and the agent's setting that makes it do so; it would drop them for a client's of that name."""

_FLAGS = frozenset({"requires_confirmation", "external_execution", "approval_type"})
"""What Agno adds to a function for itself, and some of its model classes send."""


async def client_functions(agent: Agent | Team, turn: Turn, context: RunContext) -> list[ClientFunction]:
    """The turn's client tools as Agno takes them, for `RunContext.client_tools`; Agno pauses a run that calls one.

    Raises:
        InvalidRequest: one has the name of a tool of the agent.
    """
    if not turn.client_tools:
        return []
    own = await _own_names(agent, context)
    taken = {tool.name for tool in turn.client_tools} & own - {ASK_USER}
    if taken:
        names = ", ".join(repr(name) for name in sorted(taken))
        raise InvalidRequest(
            f"The agent {turn.agent!r} has a tool of its own with each of these names: {names}. "
            "Give the request's tools other names, or leave them out.",
            param="tools",
        )
    return [_function(tool) for tool in turn.client_tools if tool.name not in own]


class ClientFunction(Function):
    """A tool of the client; the model is told of it in the client's words."""

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "parameters": self.parameters}


def _function(tool: ClientTool) -> ClientFunction:
    return ClientFunction(
        name=tool.name,
        description=tool.description,
        parameters=copy.deepcopy(dict(tool.parameters)) or {"type": "object", "properties": {}},
        strict=False,
        external_execution=True,
        external_execution_silent=True,
    )


def left_to_client(calls: Iterable[FunctionCall]) -> Iterator[tuple[FunctionCall, ModelResponse | None]]:
    """Each call, with what pauses the run where it is one for the client.

    Agno would take a client's `ask_user` or `get_user_input` for its own tool of that name.
    """
    for call in calls:
        if not isinstance(call.function, ClientFunction):
            yield call, None
            continue
        execution = ToolExecution(
            tool_call_id=call.call_id,
            tool_name=call.function.name,
            tool_args=call.arguments,
            external_execution_required=True,
            external_execution_silent=True,
        )
        paused = ModelResponseEvent.tool_call_paused.value
        yield call, ModelResponse(tool_executions=[execution], event=paused)


async def _own_names(agent: Agent | Team, context: RunContext) -> set[str]:
    with contextlib.suppress(Exception):  # the run itself tells of a function that fails to make the tools
        await aresolve_callable_tools(agent, context)
    names = {name for name, setting in _OF_AGNO.items() if getattr(agent, setting, None)}
    for tool in get_resolved_tools(agent, context) or ():
        names.update(_names(tool))
    return names


def _names(tool: object) -> Iterable[str]:
    if isinstance(tool, Toolkit):
        return list(tool.get_async_functions())
    if isinstance(tool, Function):
        return [tool.name]
    if isinstance(tool, Mapping):
        function = tool.get("function")
        return [str(function.get("name"))] if isinstance(function, Mapping) else []
    return [getattr(tool, "__name__", "")]


def without_flags(tools: Iterable[Any]) -> list[Any]:
    """Tools in OpenAI's form, without what Agno notes in them for itself."""
    return [_without_flags(tool) for tool in tools]


def _without_flags(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping):
        return tool
    kept = {name: value for name, value in function.items() if name not in _FLAGS}
    if kept.get("strict") is False:
        del kept["strict"]
    return {**tool, "function": kept}
