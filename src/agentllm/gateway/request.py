"""From LiteLLM's keyword arguments to a `Turn`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import litellm
from litellm.proxy._types import UserAPIKeyAuth

from agentllm.core import Caller, Json, Message, Place, ToolCall, Turn
from agentllm.errors import InvalidRequest
from agentllm.gateway import openwebui
from agentllm.gateway.answer_ids import ANSWER_ID_PREFIX
from agentllm.gateway.callers import caller_of
from agentllm.gateway.client_tools import client_tools
from agentllm.gateway.endpoints import as_sent, noted_of
from agentllm.gateway.fetch import Fetcher
from agentllm.gateway.parameters import output_format_of, parameters_of
from agentllm.gateway.part_forms import urls_in
from agentllm.gateway.parts import Fetched, Parts, text_of
from agentllm.gateway.places import place_of
from agentllm.gateway.swaps import changes_of
from agentllm.gateway.work import without_work

HEALTH_CHECK_TAG = "litellm-internal-health-check"
BACKGROUND_MARK = "agentllm_background_task"
"""In the metadata of a model call: it is for a background task."""

_ROLES = ("system", "developer", "user", "assistant", "tool")


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
        """What the proxy knows of the request; empty where LiteLLM is used as a library.

        On some endpoints LiteLLM gives the client's own under one of the two names, always without a key.
        """
        given = [self._litellm_params.get(name) or {} for name in ("metadata", "litellm_metadata")]
        found: Mapping[str, Any] = next((one for one in given if "user_api_key_hash" in one), given[0])
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
    def is_chat(self) -> bool:
        """Whether it was sent as a chat completion, and not in the form of another API that LiteLLM translates."""
        route = self.metadata.get("user_api_key_request_route")
        return not isinstance(route, str) or route.endswith("/chat/completions")

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
        return _messages(as_sent(self.kwargs["messages"], noted_of(self.metadata)), Parts(self._fetched))

    async def fetch(self, fetcher: Fetcher) -> None:
        """Fetch what the URLs in the messages lead to; where there are any, `messages` cannot be read before.

        Raises:
            InvalidRequest: one cannot be fetched.
        """
        if urls := urls_in(self.kwargs["messages"]):
            self._fetched.update(await fetcher.fetch(urls))

    @cached_property
    def _fetched(self) -> dict[str, Fetched]:
        return {}

    @cached_property
    def caller(self) -> Caller:
        """Who asks.

        Raises:
            AuthenticationFailed, InvalidRequest: as `caller_of`.
        """
        return caller_of(self.metadata, self.headers)

    @property
    def key(self) -> UserAPIKeyAuth | None:
        """The caller's key with all that the proxy knows of it; None where LiteLLM is used as a library."""
        found = self.metadata.get("user_api_key_auth")
        return found if isinstance(found, UserAPIKeyAuth) else None

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

    def turn(self, *, stream: bool, front_end_tools: bool = False) -> Turn:
        """The turn that the request asks for; with `front_end_tools` also with those that a front end always adds.

        Raises:
            InvalidRequest: a message, a parameter, a tool or the session id cannot be read.
            UnsupportedParameter: it asks for something that no agent can do.
        """
        drop = bool(litellm.drop_params or self._litellm_params.get("drop_params"))
        only_ask_user = openwebui.adds_tools(self.headers) and not front_end_tools
        offered = client_tools(self.kwargs["optional_params"], only_ask_user=only_ask_user)
        return Turn(
            id=self.turn_id,
            agent=self.agent,
            caller=self.caller,
            messages=self.messages,
            parameters=parameters_of(self.kwargs["optional_params"], self.agent, drop=drop),
            output_format=output_format_of(self.kwargs["optional_params"]),
            stream=stream,
            drop_unsupported=drop,
            place=self._place(),
            client_tools=offered.tools,
            tool_choice=offered.choice,
            parallel_tool_calls=offered.parallel,
            changes=changes_of(self.metadata.get("requester_metadata")),
        )

    def _place(self) -> Place | None:
        body_metadata = self.metadata.get("requester_metadata") or {}
        noted = noted_of(self.metadata)
        return place_of(
            self.headers,
            body_metadata,
            store=noted.get("store", self.kwargs["optional_params"].get("store")),
            previous_response_id=noted.get("previous_response_id"),
            conversation=noted.get("conversation"),
        )

    @property
    def _litellm_params(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.kwargs.get("litellm_params") or {}
        return found


def _messages(raw: object, parts: Parts) -> tuple[Message, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise InvalidRequest("'messages' must be a list with at least one message.", param="messages")
    messages = without_work(_message(item, f"messages[{index}]", parts) for index, item in enumerate(raw))
    if all(message.role in ("system", "developer") for message in messages):
        raise InvalidRequest("'messages' holds instructions only; add a message of the role 'user'.", param="messages")
    return messages


def _message(raw: object, place: str, parts: Parts) -> Message:
    if hasattr(raw, "model_dump"):
        raw = raw.model_dump()
    if not isinstance(raw, Mapping):
        raise InvalidRequest(f"{place} must be an object.", param=place)
    role = raw.get("role")
    if role not in _ROLES:
        raise InvalidRequest(f"{place}.role is {role!r}; it must be one of {', '.join(_ROLES)}.", param=f"{place}.role")
    content = parts.content(raw.get("content"), role, f"{place}.content")
    return Message(
        role=role,
        content=content.text,
        tool_calls=_tool_calls(raw.get("tool_calls"), f"{place}.tool_calls"),
        tool_call_id=_text_or_none(raw.get("tool_call_id"), f"{place}.tool_call_id"),
        name=_text_or_none(raw.get("name"), f"{place}.name"),
        media=content.media,
        document_at=content.document_at,
    )


def _text_or_none(raw: object, place: str) -> str | None:
    return None if raw is None else text_of(raw, place)


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
