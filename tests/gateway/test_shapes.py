"""Bodies that LiteLLM could not read are refused in words before it tries."""

from __future__ import annotations

from typing import Any

import litellm
import pytest

from agentllm.errors import InvalidRequest
from agentllm.gateway.shapes import check_shape

HI: dict[str, Any] = {"role": "user", "content": "hi"}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("acompletion", {}),
    ("acompletion", {"messages": [HI, {"role": "assistant", "content": None, "tool_calls": None}], "tools": None}),
    ("acompletion", {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "stream": False}),
    ("aresponses", {"input": "hi", "tool_choice": "auto", "metadata": {}}),
    ("aresponses", {"input": [HI, {"type": "function_call_output", "call_id": "1", "output": "x"}]}),
    ("anthropic_messages", {"messages": [HI], "tool_choice": {"type": "tool", "name": "t"}, "system": "s"}),
    ("anthropic_messages", {"messages": [HI, {"role": "assistant", "content": [{"type": "text", "text": ""}]}]}),
    ("atext_completion", {"prompt": "hi", "tools": [], "metadata": {}}),
    ("text_completion", {"prompt": ["hi"], "stream": False, "tools": None, "timeout": 5}),
    ("atext_completion", {"prompt": "hi", "best_of": 1, "echo": False, "suffix": None}),
    ("acompletion", {"messages": [HI], "stop": ["a", "b", "c", "d"], "store": False}),
    ("anthropic_messages", {"messages": [HI], "stop_sequences": ["a", "b", "c", "d"]}),
    ("aembedding", {"input": 7}),
]

NO_ONE_TEXT: list[Any] = [None, "", [], [""], [None], 5, {}, ["a", 1], ["a", "b"], [1, 2, 3], [[1, 2], [3]]]

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("acompletion", {"messages": True}, "messages"),
    ("acompletion", {"messages": [HI, None]}, "messages[1]"),
    ("acompletion", {"messages": [{"role": "user", "content": -1}]}, "messages[0].content"),
    ("acompletion", {"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ("acompletion", {"messages": [{"role": 1}]}, "messages[0].role"),
    ("acompletion", {"messages": [HI, {"content": "hi"}]}, "messages[1].role"),
    ("acompletion", {"messages": [{"role": None, "content": "hi"}]}, "messages[0].role"),
    ("acompletion", {"messages": [{"role": "", "content": "hi"}]}, "messages[0].role"),
    ("acompletion", {"messages": [HI], "store": "false"}, "store"),
    ("acompletion", {"messages": [HI], "store": 0}, "store"),
    ("acompletion", {"messages": [HI], "stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ("atext_completion", {"prompt": "hi", "stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ("anthropic_messages", {"messages": [HI], "stop_sequences": ["a", "b", "c", "d", "e"]}, "stop_sequences"),
    ("acompletion", {"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages[0].tool_calls[0]"),
    ("acompletion", {"messages": [HI], "stream": 1}, "stream"),
    ("acompletion", {"messages": [HI], "metadata": "x"}, "metadata"),
    ("acompletion", {"messages": [HI], "tools": [{"function": {"name": 1}}]}, "tools[0].function.name"),
    ("aresponses", {"input": "hi", "temperature": float("inf")}, "temperature"),
    ("aresponses", {"input": "hi", "truncation": "some"}, "truncation"),
    ("aresponses", {"input": "hi", "user": ["me"]}, "user"),
    ("aresponses", {"input": "hi", "max_output_tokens": 1.5}, "max_output_tokens"),
    ("aresponses", {"input": 7}, "input"),
    ("aresponses", {"input": [7]}, "input[0]"),
    ("aresponses", {"input": "hi", "text": {"format": [1]}}, "text.format"),
    ("aresponses", {"input": "hi", "tools": [{"parameters": 9}]}, "tools[0].parameters"),
    *(("atext_completion", {"prompt": prompt}, "prompt") for prompt in NO_ONE_TEXT),
    ("atext_completion", {}, "prompt"),
    ("text_completion", {"prompt": "hi", "response_format": "x"}, "response_format"),
    ("atext_completion", {"prompt": "hi", "stream": 1}, "stream"),
    ("atext_completion", {"prompt": "hi", "stream_options": 1}, "stream_options"),
    ("atext_completion", {"prompt": "hi", "store": 0}, "store"),
    ("atext_completion", {"prompt": "hi", "tools": "x"}, "tools"),
    ("atext_completion", {"prompt": "hi", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ("atext_completion", {"prompt": "hi", "messages": None}, "messages"),
    ("atext_completion", {"prompt": "hi", "best_of": 2}, "best_of"),
    ("atext_completion", {"prompt": "hi", "echo": True}, "echo"),
    ("atext_completion", {"prompt": "hi", "suffix": "x"}, "suffix"),
    ("atext_completion", {"prompt": "hi", "custom_llm_provider": "openai"}, "custom_llm_provider"),
    ("acompletion", {"messages": [HI], "custom_llm_provider": "openai"}, "custom_llm_provider"),
    *((kind, {"timeout": [1]}, "timeout") for kind in ("acompletion", "aresponses", "anthropic_messages")),
    ("atext_completion", {"prompt": "hi", "timeout": "soon"}, "timeout"),
    ("anthropic_messages", {"messages": []}, "messages"),
    ("anthropic_messages", {"messages": None}, "messages"),
    ("anthropic_messages", {"messages": [{"content": "hi"}]}, "messages[0].role"),
    ("anthropic_messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, "messages"),
    ("anthropic_messages", {"messages": [HI], "tool_choice": {"name": "t"}}, "tool_choice.type"),
    ("anthropic_messages", {"messages": [HI], "tool_choice": {"type": "x"}}, "tool_choice.type"),
    ("anthropic_messages", {"messages": [HI], "thinking": {"budget_tokens": {}}}, "thinking.budget_tokens"),
    ("anthropic_messages", {"messages": [HI], "metadata": {"user_id": 1}}, "metadata.user_id"),
]


@pytest.mark.parametrize(("call_type", "body"), GOOD, ids=str)
def test_what_an_endpoint_documents_passes(call_type: str, body: dict[str, Any]) -> None:
    check_shape(body, call_type)


@pytest.mark.parametrize(("call_type", "body", "place"), BAD, ids=str)
def test_what_has_another_shape_is_refused_with_its_place(call_type: str, body: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_shape(body, call_type)
    assert raised.value.param == place


@pytest.mark.parametrize(("call_type", "name"), [("acompletion", "stop"), ("anthropic_messages", "stop_sequences")])
def test_any_number_of_stops_passes_where_litellm_drops_none(
    monkeypatch: pytest.MonkeyPatch, call_type: str, name: str
) -> None:
    monkeypatch.setattr(litellm, "disable_stop_sequence_limit", True)
    check_shape({"messages": [HI], name: ["a", "b", "c", "d", "e"]}, call_type)


def test_what_agents_do_not_know_is_left_out_where_the_proxy_drops_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "drop_params", True)
    check_shape({"prompt": "hi", "best_of": 2, "echo": True, "suffix": "x"}, "atext_completion")
