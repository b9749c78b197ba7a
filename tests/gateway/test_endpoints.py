"""What is done with requests to /v1/responses and /v1/messages before LiteLLM handles them, and with the answers."""

from __future__ import annotations

import json
from typing import Any

import litellm
import pytest
from litellm.proxy import proxy_server
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.responses.utils import ResponsesAPIRequestUtils
from litellm.types.llms.openai import GenericEvent, ResponseCreatedEvent, ResponsesAPIResponse, ResponsesAPIStreamEvents

from agentllm.core import Place
from agentllm.errors import AgentUnavailable, InvalidRequest, ModelFailed
from agentllm.gateway.endpoints import (
    NOTED,
    as_sent,
    form_answer,
    give_headers,
    in_form,
    prepare,
    refuse_call_for_answer,
)
from agentllm.gateway.failures import to_litellm
from agentllm.gateway.request import Request

OF_AGENT = ResponsesAPIRequestUtils._build_responses_api_response_id("agno", "m", "chatcmpl-1")
OF_OTHER = ResponsesAPIRequestUtils._build_responses_api_response_id("openai", "m", "resp_1")


def prepared(call_type: str = "aresponses", **body: object) -> dict[str, Any]:
    data: dict[str, Any] = {"model": "agno/demo", "input": "hi", **body}
    prepare(data, call_type)
    return data


def test_the_answer_before_is_taken_from_litellm_and_noted() -> None:
    data = prepared(previous_response_id="chatcmpl-1", store=True, litellm_metadata={"kept": 1})
    assert "previous_response_id" not in data
    noted = {"call_type": "aresponses", "previous_response_id": "chatcmpl-1", "store": True, "calls": []}
    assert data["litellm_metadata"] == {"kept": 1, NOTED: noted}


def test_what_a_client_claims_to_be_noted_is_not() -> None:
    data = prepared(litellm_metadata={NOTED: {"previous_response_id": "claimed"}})
    assert data["litellm_metadata"] == {NOTED: {"call_type": "aresponses", "calls": []}}


def test_requests_to_other_endpoints_are_left_alone() -> None:
    body = {"previous_response_id": "chatcmpl-1", "background": True}
    assert prepared("acompletion", **body) == {"model": "agno/demo", "input": "hi", **body}


def test_what_is_noted_places_the_turn() -> None:
    data = prepared(previous_response_id="chatcmpl-1")
    assert turn_of(data["litellm_metadata"]).place == Place(after="1")
    data = prepared(conversation={"id": "conv"})
    assert turn_of(data["litellm_metadata"]).place == Place("conv")
    data = prepared(store=False)
    assert turn_of(data["litellm_metadata"]).place is None


@pytest.mark.parametrize("noted", [7, "x", ["previous_response_id"], None])
def test_a_note_of_another_shape_is_no_note(noted: object) -> None:
    assert turn_of({NOTED: noted}).place == Place()


def turn_of(metadata: dict[str, Any], **params: Any) -> Any:
    kwargs: dict[str, Any] = {
        "model": "demo",
        "messages": [{"role": "user", "content": "hi"}],
        "optional_params": {},
        "litellm_params": {"metadata": metadata, **params},
    }
    return Request(kwargs).turn(stream=False)


def test_the_caller_is_the_proxy_s_under_whichever_name_litellm_gives_it() -> None:
    known: dict[str, Any] = {"user_api_key_hash": "hash", "user_api_key_user_id": "ada"}
    claimed: dict[str, Any] = {"session_id": "s", "headers": {"x-agentllm-session-id": "claimed"}}
    for params in ({"metadata": known, "litellm_metadata": claimed}, {"metadata": claimed, "litellm_metadata": known}):
        turn = turn_of(**params)
        assert (turn.caller.key, turn.caller.user) == ("hash", "ada")
        assert turn.place == Place()


def test_the_background_is_refused_unless_the_proxy_drops_or_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="background"):
        prepared(background=True)
    prepared(background=False)
    with monkeypatch.context() as patched:
        patched.setattr(litellm, "drop_params", True)
        prepared(background=True)
    monkeypatch.setattr(proxy_server, "polling_via_cache_enabled", "all")
    monkeypatch.setattr(proxy_server, "redis_usage_cache", object())
    prepared(background=True)


def test_compaction_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="compacted"):
        prepared("acompact_responses")


@pytest.mark.parametrize("call_type", ["aget_responses", "adelete_responses", "acancel_responses", "alist_input_items"])
def test_calls_for_an_agent_s_answer_are_refused_and_no_others(call_type: str) -> None:
    with pytest.raises(InvalidRequest, match="previous_response_id"):
        refuse_call_for_answer({"response_id": OF_AGENT}, call_type)
    refuse_call_for_answer({"response_id": OF_OTHER}, call_type)
    refuse_call_for_answer({"response_id": 7}, call_type)
    refuse_call_for_answer({}, call_type)
    refuse_call_for_answer({"response_id": OF_AGENT}, "aresponses")


def test_a_whole_answer_names_the_one_before_where_there_is_one() -> None:
    answer = ResponsesAPIResponse(id="resp_2", created_at=0, output=[])
    form_answer(answer, {})
    form_answer(answer, prepared())
    assert answer.previous_response_id is None
    following = ResponsesAPIResponse(id="resp_3", created_at=0, output=[])
    form_answer(following, prepared(previous_response_id="resp_1"))
    assert following.previous_response_id == "resp_1"
    form_answer({"id": "a chat completion"}, prepared(previous_response_id="resp_1"))


# Calls of tools


def test_calls_that_litellm_adds_to_results_are_left_out() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    other = {**call, "id": "c2"}
    result = {"role": "tool", "tool_call_id": "c1", "content": "r"}
    items = [{"type": "function_call_output", "call_id": "c1", "output": "r"}]
    noted = prepared(input=items)["litellm_metadata"][NOTED]
    assert as_sent([{"role": "assistant", "tool_calls": [call]}, result], noted) == [result]
    answer = {"role": "assistant", "content": "So.", "tool_calls": [call]}
    assert as_sent([answer, result], noted) == [{**answer, "tool_calls": None}, result]
    sent = prepared(input=[{"type": "function_call", "call_id": "c1"}, *items])["litellm_metadata"][NOTED]
    both = {"role": "assistant", "tool_calls": [call, other]}
    assert as_sent([both, result], sent) == [{**both, "tool_calls": [call]}, result]
    assert as_sent([both, result], {}) == [both, result]
    assert as_sent("no list", noted) == "no list"


# Streams


class Upstream:
    """A stream of some events that ends in an error, or well."""

    def __init__(self, *events: Any, error: Exception | None = None) -> None:
        self._events = list(events)
        self._error = error

    def __aiter__(self) -> Upstream:
        return self

    async def __anext__(self) -> Any:
        if self._events:
            return self._events.pop(0)
        raise self._error or StopAsyncIteration


async def seen(call_type: str, *events: Any, error: Exception | None = None, **body: object) -> list[Any]:
    """What is sent of a stream, the error that it ends in at the end."""
    stream = in_form(Upstream(*events, error=error), UserAPIKeyAuth(), prepared(call_type, **body))
    assert stream is not None
    sent: list[Any] = []
    try:
        async for event in stream:
            sent += [event]
    except RuntimeError as raised:
        sent.append(raised)
    return sent


def test_streams_of_other_endpoints_are_left_alone() -> None:
    assert in_form(Upstream(), None, prepared("acompletion")) is None
    assert in_form(Upstream(), None, {}) is None


@pytest.mark.parametrize("count", range(4))
async def test_a_stream_of_messages_is_sent_whole(count: int) -> None:
    assert await seen("anthropic_messages", *range(count)) == list(range(count))


@pytest.mark.parametrize(("events", "sent"), [([], []), ([1], []), ([1, 2], [1, 2]), ([1, 2, 3], [1, 2, 3])])
async def test_a_message_of_which_there_is_only_the_beginning_is_an_error_alone(
    events: list[int], sent: list[int]
) -> None:
    error = RuntimeError()
    assert await seen("anthropic_messages", *events, error=error) == [*sent, error]


async def test_events_with_an_answer_name_the_model_and_the_answer_before() -> None:
    other = GenericEvent(type="other")
    begin = ResponseCreatedEvent(
        type=ResponsesAPIStreamEvents.RESPONSE_CREATED,
        response=ResponsesAPIResponse(id="resp_2", created_at=0, output=[], model="demo"),
    )
    assert await seen("aresponses", begin, other, previous_response_id="resp_1") == [begin, other]
    assert (begin.response.model, begin.response.previous_response_id) == ("agno/demo", "resp_1")


async def test_a_first_error_of_the_responses_api_is_told_in_a_line_and_a_later_one_raised() -> None:
    error = to_litellm(AgentUnavailable("It is not there."), "demo")
    (line,) = await seen("aresponses", error=error)
    told = json.loads(line.removeprefix("data: "))["error"]
    assert (told["code"], told["param"]) == ("503", None)
    assert "It is not there." in told["message"]
    event, late = GenericEvent(type="event"), RuntimeError()
    assert await seen("aresponses", event, error=late) == [event, late]


# Errors of /v1/messages


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
def test_an_error_of_messages_keeps_its_headers_and_its_kind(status: int) -> None:
    made = ModelFailed("no", status=status)
    made.retry_after = 5
    error = to_litellm(made, "demo")
    kind = type(error)
    give_headers(error, prepared("anthropic_messages"))
    assert isinstance(error, kind)
    assert isinstance(error, ProxyException)
    assert error.code == str(status)
    assert "no" in error.message
    assert error.headers == {"retry-after": "5", "x-should-retry": "false"}


def test_other_errors_are_left_alone() -> None:
    for error, call_type in (
        (to_litellm(ModelFailed("no"), "demo"), "aresponses"),
        (ValueError("of another provider"), "anthropic_messages"),
        (ProxyException("refused", "t", None, 404), "anthropic_messages"),
    ):
        kind = type(error)
        give_headers(error, prepared(call_type))
        assert type(error) is kind
