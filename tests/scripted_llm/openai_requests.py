"""Reading requests of OpenAI's chat completions; refusing what the real API refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.scripted_llm.asking import Ask, RefusedError, Said
from tests.scripted_llm.replies import JsonObject

_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FUNCTION_KEYS = {"name", "description", "parameters", "strict"}
_KEYS = """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens
    max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction
    presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort
    response_format safety_identifier seed service_tier stop store stream stream_options temperature
    tool_choice tools top_logprobs top_p user verbosity web_search_options
"""
_KNOWN = frozenset(_KEYS.split())


def read_chat(headers: Mapping[str, str], body: object) -> Ask:
    """The request, if the real API would take it.

    Raises:
        RefusedError: it would not.
    """
    _authenticate(headers)
    if not isinstance(body, dict):
        raise RefusedError("We could not parse the JSON body of your request.")
    for key in body:
        if key not in _KNOWN:
            raise RefusedError(f"Unrecognized request argument supplied: {key}", param=key)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RefusedError("you must provide a model parameter")
    stop = body.get("stop") or ()
    if body.get("stream_options") is not None and not body.get("stream"):
        raise RefusedError("stream_options is only allowed with stream", param="stream_options")
    return Ask(
        model=model,
        messages=_messages(body.get("messages")),
        tools=_tools(body.get("tools")),
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def _authenticate(headers: Mapping[str, str]) -> None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise RefusedError("You didn't provide an API key.", status=401)
    if key.startswith("bad"):
        raise RefusedError("Incorrect API key provided.", status=401)


def _messages(messages: object) -> tuple[Said, ...]:
    if not isinstance(messages, list) or not messages:
        raise RefusedError("Missing required parameter: 'messages'.", param="messages")
    said: list[Said] = []
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise RefusedError(f"Invalid value: {role!r}.", param=f"messages[{index}].role")
        _follow_calls(message, index, open_calls)
        said.append(Said(role, _text(message, index)))
    _all_answered(open_calls)
    return tuple(said)


def _follow_calls(message: JsonObject, index: int, open_calls: list[str]) -> None:
    """Keep the list of calls that wait for their results."""
    if message["role"] == "tool":
        if message.get("tool_call_id") not in open_calls:
            raise RefusedError(
                "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                param=f"messages[{index}].role",
            )
        open_calls.remove(message["tool_call_id"])
        return
    _all_answered(open_calls)
    calls = message.get("tool_calls")
    if calls is None:
        return
    if message["role"] != "assistant" or not calls:
        raise RefusedError("Invalid 'tool_calls'.", param=f"messages[{index}].tool_calls")
    for call in calls:
        if not isinstance(call["function"]["arguments"], str):
            raise RefusedError("Invalid type for arguments: a string is needed.", param=f"messages[{index}].tool_calls")
        open_calls.append(call["id"])


def _all_answered(open_calls: list[str]) -> None:
    if open_calls:
        raise RefusedError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
            param="messages",
        )


def _text(message: JsonObject, index: int) -> str:
    content = message.get("content")
    if content is None:
        if message["role"] == "assistant":
            return ""
        raise RefusedError(
            "Invalid value for 'content': expected a string, got null.", param=f"messages[{index}].content"
        )
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise RefusedError("Invalid type for 'content'.", param=f"messages[{index}].content")
    return "\n".join(_part(part, index) for part in content)


def _part(part: Any, index: int) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in {"text", "refusal"} and isinstance(part.get(kind), str):
        return str(part[kind])
    if kind in {"image_url", "input_audio", "file"} and isinstance(part.get(kind), dict):
        return f"[{kind}]"
    raise RefusedError(f"Invalid content part of type {kind!r}.", param=f"messages[{index}].content")


def _tools(tools: object) -> tuple[str, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list) or not tools:
        raise RefusedError("Invalid 'tools': empty array.", param="tools")
    names: list[str] = []
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise RefusedError("Invalid tool.", param=f"tools[{index}]")
        unknown = (set(tool) - {"type", "function"}) | (set(function) - _FUNCTION_KEYS)
        if unknown:
            raise RefusedError(f"Unknown parameter: {sorted(unknown)[0]!r}.", param=f"tools[{index}]")
        if not _TOOL_NAME.fullmatch(str(function.get("name"))):
            raise RefusedError("Invalid function name.", param=f"tools[{index}].function.name")
        names.append(function["name"])
    return tuple(names)
