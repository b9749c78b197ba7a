"""The smallest values of JSON schemas, which the schemas must allow."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agentllm.llm.offline.structure import smallest
from agentllm.runtimes.schemas import flaw


class Street(BaseModel):
    """A street of a city."""

    name: str = Field(min_length=3, max_length=8)
    houses: list[int] = Field(min_length=2)


class City(BaseModel):
    """A schema as pydantic makes it."""

    name: str
    kind: Literal["town", "city"]
    size: int = Field(gt=10, lt=1_000_000)
    height: float = Field(ge=0.5, le=0.75)
    depth: int = Field(lt=-7, multiple_of=5)
    is_old: bool
    mayor: str | None
    streets: list[Street] = Field(min_length=1)
    twin: City | None = None
    others: dict[str, int]


SCHEMAS: list[Any] = [
    {},
    {"type": "object"},
    {"type": ["null", "string"]},
    {"type": "null"},
    {"const": {"a": 1}},
    {"enum": [3, 4]},
    {"type": "string", "format": "date-time"},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"required": ["a"], "properties": {"a": {"items": {"type": "integer"}, "minItems": 3}}},
    {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}]},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"$defs": {"a/b": {"type": "integer"}}, "$ref": "#/$defs/a~1b"},
    {"$defs": {"list": {"type": "object", "properties": {"next": {"$ref": "#/$defs/list"}}}}, "$ref": "#/$defs/list"},
    City.model_json_schema(),
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_the_value_is_one_that_the_schema_allows(schema: Any) -> None:
    assert flaw(smallest(schema, "offline"), schema) is None


def test_the_first_text_is_the_notice() -> None:
    value: Any = smallest(City.model_json_schema(), "offline")
    assert (value["name"], value["kind"], value["streets"][0]["name"]) == ("offline", "town", "...")
    assert smallest({"type": "string", "maxLength": 3}, "offline") == "off"


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}], ids=str)
def test_a_schema_that_never_ends_has_a_value_anyway(schema: Any) -> None:
    assert json.dumps(smallest(schema, "offline"))


numbers = st.integers(-50, 50) | st.floats(-50, 50)


@given(
    st.fixed_dictionaries(
        {"type": st.just("number")},
        optional={"minimum": numbers, "exclusiveMinimum": numbers, "maximum": numbers, "exclusiveMaximum": numbers},
    )
)
def test_a_number_is_within_its_bounds_where_any_is(schema: dict[str, Any]) -> None:
    low = max(schema.get("minimum", -1e9), schema.get("exclusiveMinimum", -1e9))
    high = min(schema.get("maximum", 1e9), schema.get("exclusiveMaximum", 1e9))
    if low + 1e-6 < high:
        assert flaw(smallest(schema, ""), schema) is None
