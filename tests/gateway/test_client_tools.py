"""What a request says of the client's own tools."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import ClientTool, Json, ToolChoice, Turn
from agentllm.errors import InvalidRequest
from agentllm.gateway.client_tools import MOST_TOOLS, ClientTools, client_tools
from agentllm.gateway.openwebui import adds_tools
from agentllm.gateway.request import Request
from tests.openwebui import TASKS, TURNS, Captured

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
ASK_USER = {"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object", "properties": {}}}}


def named(name: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def turn_of(optional: dict[str, Any], headers: dict[str, str] | None = None, *, front_end_tools: bool = False) -> Turn:
    request = Request(
        {
            "model": "demo",
            "messages": [{"role": "user", "content": "hi"}],
            "optional_params": optional,
            "litellm_params": {"metadata": {"headers": headers or {}}},
        }
    )
    return request.turn(stream=False, front_end_tools=front_end_tools)


def test_a_request_without_tools_offers_none() -> None:
    assert client_tools({}) == client_tools({"tools": None}) == client_tools({"tools": []}) == ClientTools()


def test_a_tool_is_taken_with_its_description_and_schema() -> None:
    (tool,) = client_tools({"tools": [WEATHER]}).tools
    schema: dict[str, Json] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    assert tool == ClientTool("weather", "The weather in a city.", schema)


def test_a_tool_needs_nothing_but_a_name() -> None:
    assert client_tools({"tools": [named("f")]}).tools == (ClientTool("f", "", {"type": "object", "properties": {}}),)


def test_they_reach_the_turn_with_the_choice_and_whether_calls_may_be_parallel() -> None:
    turn = turn_of({"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False})
    assert [tool.name for tool in turn.client_tools] == ["weather"]
    assert (turn.tool_choice, turn.parallel_tool_calls) == (ToolChoice("required"), False)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        (named("weather"), ToolChoice("required", "weather")),
    ],
)
def test_a_choice_is_read(choice: object, expected: ToolChoice | None) -> None:
    assert client_tools({"tools": [WEATHER], "tool_choice": choice}).choice == expected


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_choice_that_asks_for_no_tool_needs_none(choice: str) -> None:
    assert client_tools({"tool_choice": choice}).choice == ToolChoice(choice)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ({}, "tools"),
        ("weather", "tools"),
        ([named("f")] * (MOST_TOOLS + 1), "tools"),
        (["weather"], "tools[0]"),
        ([WEATHER, None], "tools[1]"),
        ([{"type": "web_search"}], "tools[0].type"),
        ([{"function": {"name": "f"}}], "tools[0].type"),
        ([{"type": "function", "name": "f"}], "tools[0].function"),
        ([named(None)], "tools[0].function.name"),
        ([named("")], "tools[0].function.name"),
        ([named(1)], "tools[0].function.name"),
        ([named("two words")], "tools[0].function.name"),
        ([named("a.b")], "tools[0].function.name"),
        ([named("line\n")], "tools[0].function.name"),
        ([named("x" * 65)], "tools[0].function.name"),
        ([WEATHER, named("f"), WEATHER], "tools[2].function.name"),
        ([{"type": "function", "function": {"name": "f", "description": 1}}], "tools[0].function.description"),
        ([{"type": "function", "function": {"name": "f", "parameters": []}}], "tools[0].function.parameters"),
        ([{"type": "function", "function": {"name": "f", "description": "\ud83d"}}], "tools[0]"),
        ([{"type": "function", "function": {"name": "f", "parameters": {"\ud83d": 1}}}], "tools[0]"),
    ],
)
def test_a_malformed_tool_is_refused_by_its_place(tools: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client_tools({"tools": tools})
    assert caught.value.param == param


def test_as_many_tools_as_the_limit_are_taken() -> None:
    tools = [named(f"f{number}") for number in range(MOST_TOOLS)]
    assert len(client_tools({"tools": tools}).tools) == MOST_TOOLS


@pytest.mark.parametrize("choice", ["required", "any", 1, [], {"type": "function"}, {"type": "allowed_tools"}])
def test_a_choice_that_cannot_be_met_is_refused(choice: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client_tools({"tool_choice": choice})
    assert caught.value.param == "tool_choice"


def test_a_choice_of_a_tool_that_is_not_offered_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidRequest, match="'nothing'") as caught:
        client_tools({"tools": [WEATHER], "tool_choice": named("nothing")})
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("parallel", ["yes", 1])
def test_whether_calls_may_be_parallel_is_true_or_false(parallel: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client_tools({"parallel_tool_calls": parallel})
    assert caught.value.param == "parallel_tool_calls"


@pytest.mark.parametrize(("name", "value"), [("functions", [{"name": "f"}]), ("function_call", "auto")])
def test_the_legacy_form_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client_tools({name: value})
    assert caught.value.param == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["tools", "tool_choice", "parallel_tool_calls", "functions"]), JSON),
    st.booleans(),
)
def test_whatever_is_sent_is_read_or_refused(optional: dict[str, Any], only_ask_user: bool) -> None:
    with contextlib.suppress(InvalidRequest):
        found = client_tools(optional, only_ask_user=only_ask_user)
        assert len({tool.name for tool in found.tools}) == len(found.tools)


class TestFrontEnd:
    """Open WebUI sends its own tools with every request."""

    HEADERS = ({"x-openwebui-chat-id": "c"}, {"x-agentllm-message-id": "A1"}, {"x-openwebui-auth-type": "jwt"})

    @pytest.mark.parametrize("headers", HEADERS)
    def test_of_its_tools_the_agent_is_offered_ask_user_alone(self, headers: dict[str, str]) -> None:
        turn = turn_of({"tools": [WEATHER, ASK_USER], "tool_choice": named("weather")}, headers)
        assert [tool.name for tool in turn.client_tools] == ["ask_user"]
        assert turn.tool_choice is None

    def test_its_other_tools_are_not_even_read(self) -> None:
        assert turn_of({"tools": ["…", named(1), {}, ASK_USER, *[WEATHER] * 200]}, dict(self.HEADERS[0])).client_tools
        assert turn_of({"tools": "…"}, dict(self.HEADERS[0])).client_tools == ()

    def test_an_agent_that_wants_them_is_offered_all(self) -> None:
        optional = {"tools": [WEATHER, ASK_USER], "tool_choice": named("weather")}
        turn = turn_of(optional, dict(self.HEADERS[0]), front_end_tools=True)
        assert [tool.name for tool in turn.client_tools] == ["weather", "ask_user"]
        assert turn.tool_choice == ToolChoice("required", "weather")

    @pytest.mark.parametrize(
        "headers",
        [{}, {"x-agentllm-session-id": "s"}, {"x-openwebui-auth-type": "api_key", "x-openwebui-user-id": "u"}],
    )
    def test_the_tools_of_a_program_are_its_own(self, headers: dict[str, str]) -> None:
        assert not adds_tools(headers)
        assert [tool.name for tool in turn_of({"tools": [WEATHER]}, headers).client_tools] == ["weather"]

    @pytest.mark.parametrize("request_", TURNS, ids=str)
    def test_every_turn_of_a_real_one_is_read(self, request_: Captured) -> None:
        optional = {"tools": request_.body.get("tools")}
        for headers in (request_.headers, request_.without_connection_headers):
            offered = turn_of(optional, dict(headers)).client_tools
            assert {tool.name for tool in offered} <= {"ask_user"}

    @pytest.mark.parametrize("request_", TASKS, ids=str)
    def test_none_of_its_background_tasks_brings_tools(self, request_: Captured) -> None:
        assert not request_.body.get("tools")
