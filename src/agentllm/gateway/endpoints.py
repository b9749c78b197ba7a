"""What differs by endpoint: what LiteLLM would not pass on to an agent, or do in its stead, and how streams begin.

On /v1/messages and /v1/responses LiteLLM puts an answer into the endpoint's form itself; this mends what gets lost.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Set
from functools import cache
from typing import Any

import litellm
from litellm.proxy._types import ProxyException
from litellm.proxy.common_utils.openai_error_payload import error_status_code, openai_error_param, openai_error_type
from litellm.types.llms.openai import ResponsesAPIResponse

from agentllm.errors import InvalidRequest
from agentllm.gateway.answer_ids import read_answer_id
from agentllm.gateway.failures import MARK
from agentllm.gateway.response_events import ResponseEvents, form

NOTED = "agentllm_endpoint"
"""In the metadata of a request: LiteLLM's name of what its endpoint calls, and what the body says of its place."""

_RESPONSES = "aresponses"
_MESSAGES = "anthropic_messages"

_FIELDS = ("previous_response_id", "conversation", "store")
_BY_ID = {
    "aget_responses": "fetched",
    "adelete_responses": "deleted",
    "acancel_responses": "cancelled",
    "alist_input_items": "listed",
}
"""LiteLLM's names of the calls for an answer that was given, and what they want done with it."""


_NO_THREADS = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "'thread' is not supported here. Send all messages of the conversation, or only the new ones with "
        "the header 'x-agentllm-session-id'.",
        "details": {"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
    },
}
"""In a thread, Anthropic's SDKs send only what is new, and everything once they are told these details. LiteLLM passes
over `thread`, and passes on an error whose message is in this form."""


def refuse_call_for_answer(data: Mapping[str, Any], call_type: object) -> None:
    """Refuse to fetch, delete or cancel an agent's answer, which LiteLLM would ask a provider's server for.

    Raises:
        InvalidRequest: the call is for an agent's answer.
    """
    wanted = _BY_ID.get(str(call_type))
    given = data.get("response_id")
    if wanted and isinstance(given, str) and read_answer_id(given).is_of_an_agent:
        raise InvalidRequest(
            f"An agent's answer cannot be {wanted} by its id. Send the id as 'previous_response_id' to go on after it.",
            param="response_id",
        )


def prepare(data: dict[str, Any], call_type: object) -> None:
    """Make a request ready for an agent.

    LiteLLM would look the answer before one of /v1/responses up in its own database, and send again
    what was said. It is taken away from it and noted for the agent's conversation.

    Raises:
        InvalidRequest: it is to be answered in the background, where the proxy cannot do that, or compacted, or in
            a thread of Anthropic's.
    """
    if call_type == "acompact_responses":
        raise InvalidRequest("Agents' conversations are not compacted by their clients. Send 'previous_response_id'.")
    if call_type not in (_RESPONSES, _MESSAGES):
        return
    if call_type == _MESSAGES and data.get("thread") is not None:
        raise InvalidRequest(json.dumps(_NO_THREADS), param="thread")
    noted: dict[str, Any] = {"call_type": call_type}
    if call_type == _RESPONSES:
        _check_background(data)
        noted |= {name: data[name] for name in _FIELDS if data.get(name) is not None}
        noted["calls"] = _calls_in(data.get("input"))
        data.pop("previous_response_id", None)
    data.setdefault("litellm_metadata", {})[NOTED] = noted


def _calls_in(items: object) -> list[str]:
    """The ids of the calls of tools among the items of an input."""
    found = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return [str(item.get("call_id") or item.get("id")) for item in found if str(item.get("type")).endswith("_call")]


def as_sent(messages: object, noted: Mapping[str, Any]) -> object:
    """`messages` as the items of /v1/responses that LiteLLM made them of were given.

    An answer's text and its calls are one message, also where reasoning stands between these items. Calls that
    LiteLLM adds to results are left out: it remembers them by their ids alone, for all callers of its process;
    conversations here hold their own.
    """
    if noted.get("call_type") != _RESPONSES or not isinstance(messages, list):
        return messages
    sent = set(noted.get("calls") or ())
    kept: list[Any] = []
    for message in (_with_calls(message, sent) for message in messages):
        if kept and _goes_on(kept[-1], message):
            kept[-1] = {**kept[-1], "tool_calls": [*(kept[-1].get("tool_calls") or ()), *message["tool_calls"]]}
        elif message is not None and not _is_thought(message):
            kept.append(message)
    return kept


def _is_thought(message: Any) -> bool:
    """Whether `message` is what LiteLLM makes of reasoning that nothing follows."""
    is_answer = isinstance(message, Mapping) and message.get("role") == "assistant"
    return is_answer and not (message.get("content") or message.get("tool_calls"))


def _goes_on(before: Any, message: Any) -> bool:
    """Whether `message` is nothing but calls of the answer that `before` began."""
    messages = (before, message)
    if not all(isinstance(one, Mapping) and one.get("role") == "assistant" for one in messages):
        return False
    return bool(message.get("tool_calls")) and not message.get("content")


def _with_calls(message: Any, sent: Set[str]) -> Any:
    """`message` with only those of its calls that were sent, None where it then holds nothing."""
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    if not calls or all(call.get("id") in sent for call in calls):
        return message
    kept = [call for call in calls if call.get("id") in sent]
    return {**message, "tool_calls": kept or None} if kept or message.get("content") else None


def _check_background(data: Mapping[str, Any]) -> None:
    if data.get("background") and not litellm.drop_params and not _polls():
        raise InvalidRequest(
            "'background' is not supported here: an agent's answer is given while its client waits. "
            "Leave it out, or set `drop_params: true` in the proxy's litellm_settings to have it ignored.",
            param="background",
        )


def _polls() -> bool:
    """Whether the proxy answers in the background by itself, which takes a Redis."""
    from litellm.proxy import proxy_server

    return bool(proxy_server.polling_via_cache_enabled and proxy_server.redis_usage_cache)


def noted_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `prepare` noted in the metadata of a request; empty where that was nothing."""
    noted = metadata.get(NOTED)
    return noted if isinstance(noted, Mapping) else {}


def form_answer(response: object, data: Mapping[str, Any]) -> None:
    """Put `response` into OpenAI's form where it is an agent's whole answer to /v1/responses."""
    if isinstance(response, ResponsesAPIResponse) and _noted(data).get("call_type") == _RESPONSES:
        _name_previous(response, data)
        form(response)


def _name_previous(answer: ResponsesAPIResponse, data: Mapping[str, Any]) -> None:
    if previous := _noted(data).get("previous_response_id"):
        answer.previous_response_id = previous


def in_form(events: AsyncIterator[Any], key: Any, data: dict[str, Any]) -> AsyncGenerator[Any, None] | None:
    """`events` of the streamed answer to `data` as the clients of its endpoint expect them, None where they are.

    An error before the answer begins gets a status of its own, as in the other endpoints.
    """
    call_type = _noted(data).get("call_type")
    if call_type == _RESPONSES:
        return _of_responses(events, key, data)
    return _of_messages(events) if call_type == _MESSAGES else None


async def _of_responses(events: AsyncIterator[Any], key: Any, data: dict[str, Any]) -> AsyncGenerator[Any, None]:
    """LiteLLM would tell of the first error in an event, and call the model by another name than the client."""
    has_begun, formed = False, ResponseEvents()
    try:
        async for event in events:
            has_begun = True
            answer = getattr(event, "response", None)
            if isinstance(answer, ResponsesAPIResponse):
                answer.model = data.get("model")
                _name_previous(answer, data)
            for sent in formed.of(event):
                yield sent
    except Exception as error:
        if has_begun:
            raise
        yield await _as_first_line(error, key, data)


async def _as_first_line(error: Exception, key: Any, data: dict[str, Any]) -> str:
    """`error` in the form in which LiteLLM's proxy makes the first line of a stream the whole answer."""
    from litellm.proxy import proxy_server

    await proxy_server.proxy_logging_obj.post_call_failure_hook(
        request_data=data, original_exception=error, user_api_key_dict=key
    )
    return f"data: {json.dumps({'error': _told(error).to_dict()})}\n\n"


async def _of_messages(events: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """LiteLLM begins a message before there is anything of it; its beginning is held back until there is."""
    first = await anext(events, None)
    second = await anext(events, None)
    for event in (first, second):
        if event is not None:
            yield event
    async for event in events:
        yield event


def give_headers(error: Exception, data: Mapping[str, Any]) -> None:
    """Have LiteLLM's proxy answer `error` with its headers on /v1/messages, and tell clients not to try again.

    There it takes headers from errors of its own kind only, so one that was made here becomes one.
    """
    if not hasattr(error, MARK) or isinstance(error, ProxyException) or _noted(data).get("call_type") != _MESSAGES:
        return
    told = _told(error)
    told.headers = {**(getattr(error, "headers", None) or {}), "x-should-retry": "false"}
    error.__class__ = _of_both_kinds(type(error))  # type: ignore[arg-type]  # a class can be hashed
    vars(error).update(vars(told))


def _told(error: Exception) -> ProxyException:
    """What clients are told of `error`, in OpenAI's form."""
    status = error_status_code(error, 500)
    message = str(getattr(error, "message", error))
    return ProxyException(message, openai_error_type(error, status), openai_error_param(error), status)


@cache
def _of_both_kinds(kind: type[Exception]) -> type[Exception]:
    return type(kind.__name__, (kind, ProxyException), {})


def _noted(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return noted_of(data.get("litellm_metadata") or {})
