"""Tools of an agent: functions as a model is told of them and calls them, and schemas that its caller answers."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError, validate_call
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import to_json

from agentllm.characters import whole
from agentllm.core import ClientTool, JsonObject, ToolCall
from agentllm.errors import ConfigurationError

Tool: TypeAlias = Callable[..., object] | JsonObject
"""A function, async or not, or a schema in the form of OpenAI's `tools`."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call of a tool came to: its result as text, or, where it `is_error`, what the model is told of that."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that a model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: JsonObject
    function: Callable[..., Any]

    async def called(self, call: ToolCall) -> Returned:
        """What the function returns for the arguments of `call`, which are made what its type hints say."""
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            return Returned(f"Error: the arguments of {self.name!r} are no JSON object.", is_error=True)
        if inspect.iscoroutinefunction(inspect.unwrap(self.function)):
            return await _returned_later(self.function, arguments)
        return await asyncio.to_thread(_returned, self.function, arguments)


def read_tools(tools: Sequence[Tool]) -> tuple[tuple[FunctionTool, ...], tuple[ClientTool, ...]]:
    """The functions among `tools`, and the schemas.

    Raises:
        ConfigurationError: one cannot be told to a model, or two have one name.
    """
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ConfigurationError("tools must be a list of functions and of schemas in OpenAI's form.")
    functions = tuple(_function_tool(tool) for tool in tools if not isinstance(tool, Mapping))
    schemas = tuple(_client_tool(tool) for tool in tools if isinstance(tool, Mapping))
    names = [*(tool.name for tool in functions), *(tool.name for tool in schemas)]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"A tool is called {name!r}; it must be 1 to 64 letters, digits, '_' or '-'.")
        if names.count(name) > 1:
            raise ConfigurationError(f"Two tools are called {name!r}; give one of them another name.")
    return functions, schemas


def _function_tool(function: object) -> FunctionTool:
    if not inspect.isroutine(function):
        raise ConfigurationError(f"A tool is a {type(function).__name__}; it must be a function or a schema.")
    name = getattr(function, "__name__", "")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _BY_NAME:
            raise ConfigurationError(f"The tool {name!r} has {parameter}, which cannot be given by name.")
    try:
        parameters = TypeAdapter[Any](function).json_schema()  # type: ignore[arg-type]  # pydantic takes functions
        checked = validate_call(function)
    except (PydanticUserError, PydanticSchemaGenerationError, NameError) as error:
        raise ConfigurationError(f"The tool {name!r} has parameters that no JSON schema can say: {error}") from None
    return FunctionTool(name, inspect.getdoc(function) or "", parameters, checked)


def _client_tool(schema: JsonObject) -> ClientTool:
    function = schema.get("function")
    if schema.get("type") != "function" or not isinstance(function, Mapping):
        raise ConfigurationError("A tool's schema must be of the form {'type': 'function', 'function': {'name': …}}.")
    name, description, parameters = (function.get(key) for key in ("name", "description", "parameters"))
    if not isinstance(name, str) or not isinstance(parameters or {}, Mapping):
        raise ConfigurationError(f"A tool's schema has the name {name!r}, or its parameters are no JSON schema.")
    return ClientTool(name, str(description or ""), parameters or {"type": "object", "properties": {}})  # type: ignore[arg-type]


def _returned(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Returned:
    try:
        return Returned(_as_text(function(**arguments)))
    except (Exception, SystemExit) as error:
        return _failed(error)


async def _returned_later(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Returned:
    try:
        return Returned(_as_text(await function(**arguments)))
    except (Exception, SystemExit) as error:
        return _failed(error)


def _failed(error: BaseException) -> Returned:
    if isinstance(error, ValidationError):
        flaws = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        return Returned(f"Error: {'; '.join(flaws)}", is_error=True)
    return Returned(whole(f"Error: {type(error).__name__}: {error}"), is_error=True)


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return to_json(value, fallback=str, bytes_mode="base64", inf_nan_mode="constants").decode()
