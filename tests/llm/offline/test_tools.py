"""Which tools a message asks for, and the arguments that it gives."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import pytest
from agno.tools.function import Function
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Json
from agentllm.llm.offline.arguments import Missing, fill
from agentllm.llm.offline.tools import Call, Tool, Unfilled, asked_for, closest, read_tools


def next_version() -> None:
    """The next semantic version, from the commits since the last release."""


def list_commits(since: str, limit: int = 20) -> None:
    """List the commits since a tag."""


def list_tags() -> None:
    """List the tags of the repository."""


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> None:
    """The weather in a city."""


def add(a: float, b: float) -> None:
    """Add two numbers."""


def calculate(expression: str) -> None:
    """Calculate the value of an arithmetic expression."""


def date_and_time(timezone: str = "UTC") -> None:
    """The current date and time in a time zone."""


def delete_file(path: str, force: bool = False) -> None:
    """Delete a file."""


def offered(*functions: Any) -> tuple[Tool, ...]:
    """The tools as Agno offers them to a model."""
    made = [Function.from_callable(function) for function in functions]
    return read_tools([{"type": "function", "function": function.to_dict()} for function in made])


TOOLS = offered(next_version, list_commits, list_tags, weather, calculate, date_and_time, delete_file)


def calls(message: str, tools: tuple[Tool, ...] = TOOLS) -> dict[str, dict[str, Json]]:
    return {found.tool.name: found.arguments for found in asked_for(message, tools) if isinstance(found, Call)}


@pytest.mark.parametrize(
    ("message", "called"),
    [
        ("What is the next version?", {"next_version": {}}),
        ("next version please", {"next_version": {}}),
        ("call next_version", {"next_version": {}}),
        ("Use `next_version`.", {"next_version": {}}),
        ("Could you list the tags?", {"list_tags": {}}),
        ("list commits since v1.2.0", {"list_commits": {"since": "v1.2.0"}}),
        ("I would like to list the commits since v0.9.0, limit 3", {"list_commits": {"since": "v0.9.0", "limit": 3}}),
        ("list_commits since=main limit: 5", {"list_commits": {"since": "main", "limit": 5}}),
        ("What's the weather in New York?", {"weather": {"city": "New York"}}),
        ('weather for "são paulo" in fahrenheit', {"weather": {"city": "são paulo", "unit": "fahrenheit"}}),
        ("What is (2 + 3) * 4?", {"calculate": {"expression": "(2 + 3) * 4"}}),
        ("What is 12 times 7?", {"calculate": {"expression": "12 * 7"}}),
        ("What is 15% of 80?", {"calculate": {"expression": "15 / 100 * 80"}}),
        ("2+2", {"calculate": {"expression": "2+2"}}),
        ("Hello! What time is it?", {"date_and_time": {}}),
        ("What time is it in Europe/Berlin?", {"date_and_time": {"timezone": "Europe/Berlin"}}),
        ("What is 2+2, and what time is it?", {"calculate": {"expression": "2+2"}, "date_and_time": {}}),
        ("delete the file notes.txt", {"delete_file": {"path": "notes.txt"}}),
        ("delete the file notes.txt with force", {"delete_file": {"path": "notes.txt", "force": True}}),
        ("delete the file notes.txt without force", {"delete_file": {"path": "notes.txt", "force": False}}),
    ],
)
def test_a_clear_request_calls_the_tool(message: str, called: dict[str, dict[str, Json]]) -> None:
    assert calls(message) == called


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        "Hello!",
        "hi there",
        "Thanks!",
        "How are you?",
        "Tell me a joke.",
        "I had a great time yesterday.",
        "The time is over.",
        "I love the weather here today.",
        "What time did Columbus arrive?",
        "What's next?",
        "My version of the story is longer.",
        "I deleted the file notes.txt by mistake.",
        "Remember that the weather in Paris was bad.",
        "What is the capital of France?",
        "My number is 555-1234.",
        "Don't list the tags!",
        "Never call next_version.",
        "What does next_version do?",
        "Explain the tool `weather`.",
        "",
        "   ",
        "?",
        "…",
    ],
)
def test_what_asks_for_no_tool_calls_none(message: str) -> None:
    assert asked_for(message, TOOLS) == ()


@given(st.uuids())
def test_a_uuid_is_neither_words_nor_arithmetic(uuid: UUID) -> None:
    assert calls(f"List the tags. {uuid}") == {"list_tags": {}}
    assert calls(f"What is {uuid}?") == {}


def test_a_request_without_what_the_tool_needs_names_the_argument() -> None:
    (found,) = asked_for("What's the weather?", TOOLS)
    assert found == Unfilled(next(tool for tool in TOOLS if tool.name == "weather"), Missing("city", "string"))


def test_a_tool_for_one_operation_takes_its_numbers() -> None:
    assert calls("What is 2 + 3.5?", offered(add)) == {"add": {"a": 2, "b": 3.5}}


def test_between_tools_that_fit_alike_none_is_called() -> None:
    def list_branches() -> None:
        """Name the branches."""

    def list_files() -> None:
        """Name the files."""

    assert asked_for("list!", offered(list_branches, list_files)) == ()


def test_the_closest_tool_is_one_that_can_be_called() -> None:
    found = closest("weather", TOOLS)
    assert isinstance(found, Call)
    assert closest("hello", ()) is None


def test_entries_that_are_no_functions_are_passed_over() -> None:
    assert read_tools([{"type": "web_search"}, {"type": "function", "function": {"name": "f"}}]) == (Tool("f", "", {}),)


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "take three", 3),
        ({"type": "integer"}, "take 3.5", None),
        ({"type": "integer"}, "the last one", None),
        ({"type": "number"}, "take -3.5", -3.5),
        ({"type": "string"}, 'say "good morning"', "good morning"),
        ({"type": "string"}, "say something", None),
        ({"enum": ["red", "green"]}, "in Green, please", "green"),
        ({"enum": ["red", "green"]}, "in greenish", None),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "take 4", 4),
        ({"type": ["string", "null"]}, "x = y", "y"),
        ({"type": "array", "items": {"type": "number"}}, "of 1, 2 and 3", [1, 2, 3]),
        ({"type": "array", "items": {"type": "string"}}, "of 'a' and 'b'", ["a", "b"]),
        ({"type": "boolean"}, "x: yes", True),
        ({"type": "object"}, "anything", None),
    ],
)
def test_an_argument_is_read_by_its_type(schema: Json, text: str, value: Json) -> None:
    found = fill({"properties": {"x": schema}, "required": ["x"]}, text)
    assert found == {"x": value} if value is not None else isinstance(found, Missing)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("date", "the one of 2026-11-20", "2026-11-20"),
        ("order_id", "where is 00112233-4455-6677-8899-001122334455?", "00112233-4455-6677-8899-001122334455"),
        ("url", "see https://example.com/a?b=c.", "https://example.com/a?b=c"),
        ("email", "write to ann@example.com", "ann@example.com"),
        ("commit", "look at 0a1b2c3d", "0a1b2c3d"),
        ("timezone", "now in Asia/Tokyo", "Asia/Tokyo"),
        ("path", "open src/main.py", "src/main.py"),
        ("tag", "from v1.2.0-rc.1 on", "v1.2.0-rc.1"),
    ],
)
def test_an_optional_argument_takes_a_value_of_its_kind(name: str, text: str, value: str) -> None:
    assert fill({"properties": {name: {"type": "string"}}}, text) == {name: value}


def test_numbers_go_to_the_arguments_whose_names_they_stand_by() -> None:
    schema: Json = {"type": "integer"}
    parameters = {"properties": {"count": schema, "sides": schema}}
    assert fill(parameters, "roll 3 dice with 20 sides") == {"count": 3, "sides": 20}
    assert fill(parameters, "roll a 20-sided die") == {"sides": 20}


@given(st.text(max_size=300))
def test_no_message_breaks_the_choice(message: str) -> None:
    for found in asked_for(message, TOOLS):
        assert found.tool in TOOLS
    assert closest(message, TOOLS) is not None


_SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["string", "integer", "object", "array", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "enum", "items", "anyOf", "properties", "required"]), inner)
    ),
    max_leaves=12,
)


@given(_SCHEMAS, st.text('ab12 ="', max_size=30))
def test_no_schema_breaks_the_arguments(schema: Any, text: str) -> None:
    found = fill({"properties": {"a": schema, "": schema}, "required": ["a"]}, text)
    assert isinstance(found, dict | Missing)
