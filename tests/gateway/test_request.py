"""From LiteLLM's keyword arguments to a turn."""

from __future__ import annotations

import contextlib
from typing import Any

import litellm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litellm.types.utils import Message as LiteLLMMessage

from agentllm.core import Caller, Message, OutputFormat, Parameters, Place, ToolCall
from agentllm.errors import InvalidRequest, UnsupportedParameter
from agentllm.gateway.callers import MASTER_KEY
from agentllm.gateway.openwebui import Task
from agentllm.gateway.request import HEALTH_CHECK_TAG, Request

HI = {"role": "user", "content": "hi"}


def request(
    *messages: object,
    metadata: dict[str, Any] | None = None,
    litellm_params: dict[str, Any] | None = None,
    **more: Any,
) -> Request:
    """A request as LiteLLM's dispatch makes it."""
    kwargs: dict[str, Any] = {
        "model": "demo",
        "messages": list(messages) or [HI],
        "optional_params": {},
        "litellm_params": {"metadata": metadata, **(litellm_params or {})},
        "timeout": 600.0,
    }
    return Request({**kwargs, **more})


def with_headers(**headers: str) -> Request:
    return request(metadata={"headers": {name.replace("_", "-"): value for name, value in headers.items()}})


def messages_of(*raw: object) -> tuple[Message, ...]:
    return request(*raw).turn(stream=False).messages


# Who asks


@pytest.mark.parametrize("litellm_params", [None, {}, {"metadata": None}, {"metadata": {}}])
def test_without_a_proxy_there_is_nothing_to_know(litellm_params: dict[str, Any] | None) -> None:
    bare = Request({"model": "demo", "messages": [HI], "optional_params": {}, "litellm_params": litellm_params})
    assert bare.caller == Caller("")
    assert dict(bare.headers) == dict(bare.caller_metadata) == {}
    assert not bare.is_retry
    assert not bare.is_health_check
    assert bare.call_id is None
    assert bare.timeout is None
    assert bare.turn(stream=False).place == Place()


def test_the_caller_is_whom_the_proxy_authenticated() -> None:
    known = {"user_api_key_hash": "h", "user_api_key_user_id": "u", "user_api_key_team_id": "t"}
    assert request(metadata=known).caller == Caller("h", "u", "t")


def test_the_person_in_a_front_end_s_header_counts_for_the_master_key_alone() -> None:
    headers = {"headers": {"x-openwebui-user-id": "ada"}}
    assert request(metadata={"user_api_key_hash": MASTER_KEY, **headers}).caller.end_user == "ada"
    assert request(metadata={"user_api_key_hash": "another", **headers}).caller.end_user is None


@pytest.mark.parametrize("claim", ["user", "metadata", "extra_body", "user_id"])
def test_nothing_in_the_body_says_who_asks(claim: str) -> None:
    honest = request(metadata={"user_api_key_hash": "h"})
    claiming = request(
        metadata={"user_api_key_hash": "h", "requester_metadata": {"user_id": "eve"}, "user_id": "eve"},
        optional_params={claim: {"user_id": "eve", "user_api_key_user_id": "eve"}},
        litellm_params={"proxy_server_request": {"body": {"user": "eve"}}},
    )
    assert claiming.caller == honest.caller


def test_model_calls_carry_the_caller_s_plain_metadata_and_nothing_else() -> None:
    known = {
        "user_api_key": "h",
        "user_api_key_user_id": "u",
        "user_api_key_spend": 0.5,
        "user_api_key_auth": object(),
        "user_api_key_metadata": {"a": 1},
        "user_api_key_team_id": None,
        "headers": {"authorization": "secret"},
    }
    assert request(metadata=known).caller_metadata == {
        "user_api_key": "h",
        "user_api_key_user_id": "u",
        "user_api_key_spend": 0.5,
    }


# What kind of call it is


def test_a_retry_and_a_health_check_say_so() -> None:
    assert request(metadata={"attempted_retries": 1}).is_retry
    assert not request(metadata={"attempted_retries": 0}).is_retry
    assert request(metadata={"tags": ["x", HEALTH_CHECK_TAG]}).is_health_check
    assert not request(metadata={"tags": None}).is_health_check


def test_the_call_s_id_is_litellm_s() -> None:
    assert request(litellm_params={"litellm_call_id": "c-1"}).call_id == "c-1"


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(2, 2.0), (0.5, 0.5), (0, None), (-1, None), (None, None), ("9", None)]
)
def test_the_timeout_is_a_number_of_seconds_or_none(timeout: object, seconds: float | None) -> None:
    assert request(timeout=timeout).timeout == seconds


@pytest.mark.parametrize("stream", [False, True])
def test_the_turn_is_for_the_agent_and_streams_as_asked(stream: bool) -> None:
    first, second = (request(model="a/b").turn(stream=stream) for _ in range(2))
    assert (first.agent, first.stream) == ("a/b", stream)
    assert first.id != second.id


def test_a_background_task_is_told_from_a_turn() -> None:
    task = with_headers(x_openwebui_chat_id="c", x_agentllm_task="title_generation").background_task(stream=False)
    assert task == Task("title_generation", "hi")
    assert with_headers(x_openwebui_chat_id="c").background_task(stream=False) is None


# Messages


def test_messages_are_read_in_all_roles() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert messages_of(
        {"role": "system", "content": "be"},
        {"role": "developer", "content": "brief"},
        {"role": "user", "content": "hi", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ) == (
        Message("system", "be"),
        Message("developer", "brief"),
        Message("user", "hi", name="ada"),
        Message("assistant", "", (ToolCall("1", "f", "{}"),)),
        Message("tool", "x", tool_call_id="1"),
    )


def test_a_message_may_be_an_object_of_litellm_s() -> None:
    answer = LiteLLMMessage(role="assistant", content="hello")
    assert messages_of(HI, answer, HI)[1] == Message("assistant", "hello")


def test_a_tool_call_with_gaps_is_filled_in() -> None:
    call: dict[str, Any] = {"function": {"name": None, "arguments": ""}}
    assert messages_of(HI, {"role": "assistant", "tool_calls": [call]})[1].tool_calls == (ToolCall("", "", "{}"),)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        ([{"type": "text", "text": None}], ""),
    ],
)
def test_content_is_text_or_parts_of_text(content: object, text: str) -> None:
    assert messages_of({"role": "user", "content": content})[0].content == text


BAD_MESSAGES: dict[str, Any] = {
    "no list": "hi",
    "none": None,
    "empty": [],
    "instructions alone": [{"role": "system", "content": "be"}, {"role": "developer", "content": "brief"}],
    "a string for a message": ["hi"],
    "an unknown role": [{"role": "king", "content": "hi"}],
    "no role": [{"content": "hi"}],
    "a number for content": [{"role": "user", "content": 7}],
    "an image": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    "a string for a part": [{"role": "user", "content": ["hi"]}],
    "a string for a call": [{"role": "assistant", "tool_calls": ["f"]}],
    "a call without function": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}],
    "an unhashable role": [{"role": ["user"], "content": "hi"}],
    "a number for calls": [{"role": "assistant", "tool_calls": 7}],
    "a string for calls": [{"role": "assistant", "tool_calls": "f"}],
    "a number for a call's id": [{"role": "tool", "content": "x", "tool_call_id": 7}],
    "a list for a name": [{"role": "user", "content": "hi", "name": ["ada"]}],
    "half a character": [{"role": "user", "content": "\ud83d"}],
    "half a character in a part": [{"role": "user", "content": [{"type": "text", "text": "\ud83d"}]}],
    "a number for a part's text": [{"role": "user", "content": [{"type": "text", "text": 7}]}],
}


@pytest.mark.parametrize("kind", BAD_MESSAGES)
def test_messages_that_cannot_be_read_are_refused_with_their_place(kind: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        request(messages=BAD_MESSAGES[kind]).turn(stream=False)
    assert raised.value.param is not None
    assert raised.value.param.startswith("messages")


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
almost_messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "tool", "system"]) | json,
            "content": json | st.lists(st.fixed_dictionaries({"type": st.just("text")}, optional={"text": json})),
            "tool_calls": json | st.lists(st.fixed_dictionaries({}, optional={"id": json, "function": json})),
            "tool_call_id": st.none() | st.text(max_size=3),
            "name": st.none() | st.text(max_size=3),
        },
    )
)
some_parameters = st.dictionaries(
    st.sampled_from(["temperature", "max_tokens", "stop", "seed", "n", "logprobs", "response_format", "top_p"]), json
)


@settings(deadline=None)
@given(json | almost_messages, some_parameters)
def test_whatever_comes_is_a_turn_or_one_of_our_errors(messages: Any, optional: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        assert request(messages=messages, optional_params=optional).turn(stream=False).messages


# Parameters


def test_the_turn_has_the_parameters_and_the_form_of_the_answer() -> None:
    turn = request(optional_params={"seed": 5, "response_format": {"type": "json_object"}}).turn(stream=False)
    assert turn.parameters == Parameters(seed=5)
    assert turn.output_format == OutputFormat()


@pytest.mark.parametrize("place", ["litellm", "deployment"])
def test_what_no_agent_can_do_is_dropped_where_litellm_is_told_to_drop_parameters(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "drop_params", place == "litellm")
    params = {"drop_params": True} if place == "deployment" else {}
    turn = request(optional_params={"logit_bias": {"1": 2}}, litellm_params=params).turn(stream=False)
    assert turn.drop_unsupported
    assert turn.parameters == Parameters()


def test_otherwise_a_turn_drops_nothing() -> None:
    assert not request().turn(stream=False).drop_unsupported
    with pytest.raises(UnsupportedParameter):
        request(optional_params={"logit_bias": {"1": 2}}).turn(stream=False)
