"""The client's own tools: what of `tools`, `tool_choice` and `parallel_tool_calls` an agent is offered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentllm.core import ClientTool, JsonObject, ToolChoice
from agentllm.errors import InvalidRequest
from agentllm.runtimes.questions import ASK_USER

MOST_TOOLS = 128
"""In one request; the limit of OpenAI's API."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ClientTools:
    """What a request says of its tools, with the meaning of OpenAI's API."""

    tools: tuple[ClientTool, ...] = ()
    choice: ToolChoice | None = None
    parallel: bool | None = None


def client_tools(given: Mapping[str, Any], *, only_ask_user: bool = False) -> ClientTools:
    """The tools that the parameters `given` offer.

    With `only_ask_user`, with which Open WebUI lets a model ask the person, all others are left out
    unread, and so is a choice among them: they are the front end's, which sends them with every request.

    Raises:
        InvalidRequest: the tools or the choice cannot be read, or are of a kind that is not supported.
    """
    _refuse_functions(given)
    parallel = given.get("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        raise InvalidRequest(
            f"'parallel_tool_calls' is {parallel!r:.80}; it must be true or false.", param="parallel_tool_calls"
        )
    if only_ask_user:
        return ClientTools(_tools(_ask_user(given.get("tools"))), None, parallel)
    tools = _tools(given.get("tools"))
    return ClientTools(tools, _choice(given.get("tool_choice"), tools), parallel)


def _refuse_functions(given: Mapping[str, Any]) -> None:
    for name, instead in (("functions", "tools"), ("function_call", "tool_choice")):
        if given.get(name):
            raise InvalidRequest(f"{name!r} is not supported any more; send {instead!r} instead.", param=name)


def _ask_user(raw: object) -> Sequence[object]:
    tools = raw if isinstance(raw, Sequence) else ()
    return [tool for tool in tools if isinstance(tool, Mapping) and _name_in(tool) == ASK_USER][:1]


def _name_in(tool: Mapping[str, Any]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _tools(raw: object) -> tuple[ClientTool, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidRequest("'tools' must be a list.", param="tools")
    if len(raw) > MOST_TOOLS:
        raise InvalidRequest(f"'tools' has {len(raw)} entries; {MOST_TOOLS} are the limit.", param="tools")
    tools = tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(raw))
    names: set[str] = set()
    for index, tool in enumerate(tools):
        if tool.name in names:
            raise InvalidRequest(
                f"tools[{index}] has the name {tool.name!r}, as another tool before it has; each needs its own.",
                param=f"tools[{index}].function.name",
            )
        names.add(tool.name)
    return tools


def _tool(raw: object, place: str) -> ClientTool:
    if not isinstance(raw, Mapping):
        raise InvalidRequest(f"{place} must be an object.", param=place)
    if raw.get("type") != "function":
        raise InvalidRequest(
            f"{place}.type is {raw.get('type')!r:.80}; only 'function' is supported.", param=f"{place}.type"
        )
    function = raw.get("function")
    if not isinstance(function, Mapping):
        raise InvalidRequest(f"{place}.function must be an object.", param=f"{place}.function")
    _check_text(function, place)
    name, description, parameters = function.get("name"), function.get("description"), function.get("parameters")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{place}.function.name is {name!r:.80}; it must be 1 to 64 of the characters a-z, A-Z, 0-9, _ and -.",
            param=f"{place}.function.name",
        )
    if description is not None and not isinstance(description, str):
        raise InvalidRequest(f"{place}.function.description must be a string.", param=f"{place}.function.description")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidRequest(
            f"{place}.function.parameters must be an object, a JSON schema.", param=f"{place}.function.parameters"
        )
    return ClientTool(name, description or "", parameters or _NO_PARAMETERS)


def _check_text(function: Mapping[str, Any], place: str) -> None:
    try:
        json.dumps(function, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{place} holds half of a character, a lone surrogate.", param=place) from None
    except (TypeError, ValueError, RecursionError):
        raise InvalidRequest(f"{place} is no JSON, or nested too deeply.", param=place) from None


def _choice(raw: object, tools: Sequence[ClientTool]) -> ToolChoice | None:
    match raw:
        case None:
            return None
        case "auto" | "none":
            return ToolChoice(raw)
        case "required" if tools:
            return ToolChoice(raw)
        case "required":
            raise InvalidRequest("'tool_choice' is 'required', but no tools are sent.", param="tool_choice")
        case {"type": "function", "function": {"name": str(name)}}:
            return _named(name, tools)
    raise InvalidRequest(
        f"'tool_choice' is {raw!r:.80}; it must be 'auto', 'none', 'required' or "
        '{"type": "function", "function": {"name": …}}.',
        param="tool_choice",
    )


def _named(name: str, tools: Sequence[ClientTool]) -> ToolChoice:
    if name not in (tool.name for tool in tools):
        raise InvalidRequest(
            f"'tool_choice' names the tool {name!r:.80}, which is not among the request's tools.", param="tool_choice"
        )
    return ToolChoice("required", name)
