"""From LiteLLM's keyword arguments to a `Turn`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import litellm

from agentllm.core import Caller, Json, Message, Parameters, Place, ToolCall, Turn
from agentllm.errors import InvalidRequest, UnsupportedParameter
from agentllm.gateway import openwebui
from agentllm.gateway.callers import caller_of
from agentllm.gateway.places import place_of

HEALTH_CHECK_TAG = "litellm-internal-health-check"
BACKGROUND_MARK = "agentllm_background_task"
"""In the metadata of a model call: it is for a background task."""

ANSWER_ID_PREFIX = "chatcmpl-"

_ROLES = ("system", "developer", "user", "assistant", "tool")
_NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_INTEGERS = ("max_tokens", "seed")


@dataclass(frozen=True)
class Request:
    """One call of LiteLLM's provider interface: `kwargs` as it gives them to a custom handler."""

    kwargs: Mapping[str, Any]

    @property
    def agent(self) -> str:
        """The model's name without the provider."""
        return str(self.kwargs["model"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the proxy knows of the request; empty where LiteLLM is used as a library."""
        found: Mapping[str, Any] = self._litellm_params.get("metadata") or {}
        return found

    @property
    def headers(self) -> Mapping[str, str]:
        """The client's headers, names in lower case."""
        found: Mapping[str, str] = self.metadata.get("headers") or {}
        return found

    @property
    def call_id(self) -> str | None:
        """LiteLLM's id of the call, which is the same when it tries again."""
        found: str | None = self._litellm_params.get("litellm_call_id")
        return found

    @property
    def is_retry(self) -> bool:
        return bool(self.metadata.get("attempted_retries"))

    @property
    def is_health_check(self) -> bool:
        return HEALTH_CHECK_TAG in (self.metadata.get("tags") or ())

    @property
    def is_for_background_task(self) -> bool:
        """Whether this is the model call that answers a background task."""
        return bool(self.metadata.get(BACKGROUND_MARK))

    @property
    def timeout(self) -> float | None:
        """Seconds that the deployment or the client allows, None where neither says."""
        timeout = self.kwargs.get("timeout")
        return float(timeout) if isinstance(timeout, (int, float)) and timeout > 0 else None

    @cached_property
    def turn_id(self) -> str:
        """The id of the turn that it becomes."""
        return str(uuid.uuid4())

    @property
    def answer_id(self) -> str:
        """What clients get as the id of the answer."""
        return f"{ANSWER_ID_PREFIX}{self.turn_id}"

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """What the client sent.

        Raises:
            InvalidRequest: a message cannot be read.
        """
        return _messages(self.kwargs["messages"])

    @cached_property
    def caller(self) -> Caller:
        """Who asks.

        Raises:
            AuthenticationFailed, InvalidRequest: as `caller_of`.
        """
        return caller_of(self.metadata, self.headers)

    @property
    def caller_metadata(self) -> Mapping[str, Json]:
        """What model calls of the agent carry, so that LiteLLM counts them for the caller."""
        names = (name for name in self.metadata if name.startswith("user_api_key"))
        return {name: self.metadata[name] for name in names if isinstance(self.metadata[name], (str, int, float))}

    def background_task(self, *, stream: bool) -> openwebui.Task | None:
        """The background task that the request asks for, None for a turn.

        Raises:
            InvalidRequest: a message cannot be read.
        """
        tools = bool(self.kwargs["optional_params"].get("tools"))
        return openwebui.background_task(self.headers, self.messages, stream=stream, tools=tools)

    def turn(self, *, stream: bool) -> Turn:
        """The turn that the request asks for.

        Raises:
            InvalidRequest: a message, a parameter or the session id cannot be read.
            UnsupportedParameter: it asks for something that no agent can do.
        """
        drop = bool(litellm.drop_params or self._litellm_params.get("drop_params"))
        return Turn(
            id=self.turn_id,
            agent=self.agent,
            caller=self.caller,
            messages=self.messages,
            parameters=_parameters(self.kwargs["optional_params"], self.agent, drop=drop),
            stream=stream,
            drop_unsupported=drop,
            place=self._place(),
        )

    def _place(self) -> Place | None:
        body_metadata = self.metadata.get("requester_metadata") or {}
        return place_of(self.headers, body_metadata, store=self.kwargs["optional_params"].get("store"))

    @property
    def _litellm_params(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.kwargs.get("litellm_params") or {}
        return found


def _messages(raw: object) -> tuple[Message, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise InvalidRequest("'messages' must be a list with at least one message.", param="messages")
    messages = tuple(_message(item, f"messages[{index}]") for index, item in enumerate(raw))
    if all(message.role in ("system", "developer") for message in messages):
        raise InvalidRequest("'messages' holds instructions only; add a message of the role 'user'.", param="messages")
    return messages


def _message(raw: object, place: str) -> Message:
    if hasattr(raw, "model_dump"):
        raw = raw.model_dump()
    if not isinstance(raw, Mapping):
        raise InvalidRequest(f"{place} must be an object.", param=place)
    role = raw.get("role")
    if role not in _ROLES:
        raise InvalidRequest(f"{place}.role is {role!r}; it must be one of {', '.join(_ROLES)}.", param=f"{place}.role")
    return Message(
        role=role,
        content=_content(raw.get("content"), f"{place}.content"),
        tool_calls=_tool_calls(raw.get("tool_calls"), f"{place}.tool_calls"),
        tool_call_id=_text_or_none(raw.get("tool_call_id"), f"{place}.tool_call_id"),
        name=_text_or_none(raw.get("name"), f"{place}.name"),
    )


def _text_or_none(raw: object, place: str) -> str | None:
    return None if raw is None else _text(raw, place)


def _text(raw: object, place: str) -> str:
    if not isinstance(raw, str):
        raise InvalidRequest(f"{place} must be a string.", param=place)
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{place} holds half of a character, a lone surrogate.", param=place) from None
    return raw


def _content(raw: object, place: str) -> str:
    if raw is None:
        return ""
    if isinstance(raw, str):
        return _text(raw, place)
    if not isinstance(raw, Sequence):
        raise InvalidRequest(f"{place} must be a string or a list of parts.", param=place)
    return "\n".join(_part(part, f"{place}[{index}]") for index, part in enumerate(raw))


def _part(raw: object, place: str) -> str:
    kind = raw.get("type") if isinstance(raw, Mapping) else type(raw).__name__
    if not isinstance(raw, Mapping) or kind not in ("text", "input_text", "output_text", "refusal"):
        raise InvalidRequest(f"{place} is of the type {kind!r}; agents here take parts of text only.", param=place)
    return _text(raw.get("text") or raw.get("refusal") or "", place)


def _tool_calls(raw: object, place: str) -> tuple[ToolCall, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidRequest(f"{place} must be a list.", param=place)
    return tuple(_tool_call(call, place) for call in raw)


def _tool_call(raw: object, place: str) -> ToolCall:
    function = raw.get("function") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(function, Mapping):
        raise InvalidRequest(f"{place} must hold function calls.", param=place)
    return ToolCall(str(raw.get("id") or ""), str(function.get("name") or ""), str(function.get("arguments") or "{}"))


def _parameters(raw: Mapping[str, Any], agent: str, *, drop: bool) -> Parameters:
    if not drop:
        _refuse_unsupported(raw, agent)
    values: dict[str, Any] = {name: _number(raw, name) for name in _NUMBERS}
    values |= {name: _integer(raw, name) for name in _INTEGERS}
    return Parameters(**values, stop=_stop(raw.get("stop")))


def _refuse_unsupported(raw: Mapping[str, Any], agent: str) -> None:
    wanted = {
        "n": raw.get("n") not in (None, 1),
        "logprobs": bool(raw.get("logprobs")),
        "top_logprobs": bool(raw.get("top_logprobs")),
        "response_format": (raw.get("response_format") or {"type": "text"}) != {"type": "text"},
    }
    for name, asked in wanted.items():
        if asked:
            raise UnsupportedParameter(name, agent)


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"{name!r} is {value!r}; it must be a number.", param=name)


def _integer(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidRequest(f"{name!r} is {value!r}; it must be a whole number.", param=name)
    if name == "max_tokens" and value is not None and value < 1:
        raise InvalidRequest(f"{name!r} is {value}; it must be at least 1.", param=name)
    return value


def _stop(raw: object) -> tuple[str, ...] | None:
    if raw is None:
        return None
    texts = (raw,) if isinstance(raw, str) else raw
    if isinstance(texts, Sequence) and texts and all(isinstance(text, str) and text for text in texts):
        return tuple(texts)
    raise InvalidRequest(f"'stop' is {raw!r}; it must be a text or a list of texts.", param="stop")
