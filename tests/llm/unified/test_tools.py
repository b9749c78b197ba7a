"""Functions as tools: what a model is told of them, and what comes of its calls."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import threading
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from agentllm.core import JsonObject, ToolCall
from agentllm.errors import ConfigurationError
from agentllm.llm.unified.tools import FunctionTool, Returned, read_tools


class Place(BaseModel):
    name: str
    people: int = 0


@dataclass
class Point:
    x: int
    y: int


def look_up(
    city: Annotated[str, Field(description="Its English name.")],
    unit: Literal["c", "f"] = "c",
    *,
    days: int | None = None,
) -> str:
    """The weather in a city.

    Of the next days where they are asked for.
    """
    return f"{city} {unit} {days}"


async def look_up_later(city: str) -> str:
    """The same, later."""
    await asyncio.sleep(0)
    return city


def visit(place: Place, points: list[Point]) -> Place:
    """Visit a place."""
    return Place(name=place.name, people=sum(point.x for point in points))


def tool_of(function: Any) -> FunctionTool:
    (tool,), _ = read_tools([function])
    return tool


async def called(function: Any, arguments: str | None = None, **given: Any) -> Returned:
    return await tool_of(function).called(ToolCall("id", "name", json.dumps(given) if arguments is None else arguments))


def test_a_model_is_told_of_name_docstring_and_types() -> None:
    tool = tool_of(look_up)
    assert (tool.name, tool.description) == (
        "look_up",
        "The weather in a city.\n\nOf the next days where they are asked for.",
    )
    properties: Any = tool.parameters["properties"]
    assert properties["city"]["description"] == "Its English name."
    assert (properties["city"]["type"], properties["unit"]["enum"]) == ("string", ["c", "f"])
    assert tool.parameters["required"] == ["city"]


def test_methods_and_classes_of_pydantic_are_told_too() -> None:
    class Counter:
        def count(self, by: int = 1) -> int:
            """Count on."""
            return by

    assert set(tool_of(Counter().count).parameters["properties"]) == {"by"}  # type: ignore[arg-type]
    assert "$defs" in tool_of(visit).parameters


async def test_arguments_become_what_the_types_say() -> None:
    assert await called(look_up, city="Rome", days="3") == Returned("Rome c 3")
    assert await called(look_up_later, city="Rome") == Returned("Rome")
    assert await called(visit, place={"name": "Rome"}, points=[{"x": 1, "y": 2}]) == Returned(
        '{"name":"Rome","people":1}'
    )


@pytest.mark.parametrize("arguments", ["", "{}"])
async def test_a_tool_without_parameters_takes_none(arguments: str) -> None:
    def now() -> str:
        return "now"

    assert await called(now, arguments) == Returned("now")


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '"x"'])
async def test_arguments_that_are_no_object_are_told_to_the_model(arguments: str) -> None:
    assert (await called(look_up, arguments)).is_error


async def test_wrong_arguments_are_told_by_their_place_and_the_function_is_not_run() -> None:
    returned = await called(visit, place={}, points=[{"x": "one", "y": 2}])
    assert returned.is_error
    assert "place.name" in returned.text
    assert "points.0.x" in returned.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (None, "null"),
        ({"a": [1, 2.5, True]}, '{"a":[1,2.5,true]}'),
        (Point(1, 2), '{"x":1,"y":2}'),
        ([Place(name="Rome")], '[{"name":"Rome","people":0}]'),
        (b"\xff", '"_w=="'),
        (math.nan, "NaN"),
        ({1}, "[1]"),
        ("half \ud800", "half \ufffd"),
    ],
)
async def test_a_result_of_any_kind_becomes_text(value: object, text: str) -> None:
    def give() -> object:
        return value

    assert await called(give) == Returned(text)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no"), StopIteration("no"), KeyError("no")])
async def test_what_a_tool_raises_is_told_to_the_model(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    for function in (fail, fail_later):
        returned = await asyncio.wait_for(called(function), 5)
        assert returned.is_error
        assert type(error).__name__ in returned.text


async def test_a_function_runs_in_a_thread_and_a_coroutine_function_does_not() -> None:
    def where() -> str:
        return threading.current_thread().name

    async def where_later() -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert (await called(where)).text != here
    assert (await called(where_later)).text == here


def test_schemas_are_for_the_caller() -> None:
    schema: JsonObject = {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
    }
    functions, schemas = read_tools([look_up, schema])
    assert [tool.name for tool in functions] == ["look_up"]
    assert [(tool.name, tool.description, tool.parameters) for tool in schemas] == [("f", "d", {"type": "object"})]


def positional(x: int, /) -> int:
    return x


def unresolvable(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821 - on purpose
    return None


def odd(x: threading.Lock) -> None:
    return None


@pytest.mark.parametrize(
    ("tools", "named"),
    [
        ([print], "args"),
        ([positional], "positional"),
        ([unresolvable], "unresolvable"),
        ([odd], "odd"),
        ([lambda x: x], "lambda"),
        ([look_up, look_up], "look_up"),
        ([object()], "object"),
        ([functools.partial(look_up, "Rome")], "partial"),
        ([{"name": "f"}], "function"),
        ([{"type": "function", "function": {"name": "f", "parameters": 1}}], "'f'"),
        ([{"type": "function", "function": {"name": "not a name"}}], "not a name"),
        ("look_up", "list"),
        ({"type": "function"}, "list"),
    ],
)
def test_what_cannot_be_told_to_a_model_is_an_error(tools: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        read_tools(tools)
