"""JSON schemas of clients: which are taken, and what is wrong with a value."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.errors import InvalidRequest
from agentllm.runtimes import schemas
from agentllm.runtimes.schemas import MOST_CHARACTERS, MOST_DEPTH, check_schema, flaw

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer", "minimum": 1}},
    "required": ["name", "size"],
    "additionalProperties": False,
}
TREE: dict[str, Any] = {
    "$defs": {"node": {"type": "object", "properties": {"children": {"items": {"$ref": "#/$defs/node"}}}}},
    "$ref": "#/$defs/node",
}


def nested(levels: int) -> Any:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def exploding(steps: int) -> dict[str, Any]:
    """A schema that refers twice to the next of its parts in each of them."""
    parts: dict[str, Any] = {
        f"s{step}": {"anyOf": [{"$ref": f"#/$defs/s{step + 1}"}, {"$ref": f"#/$defs/s{step + 1}"}]}
        for step in range(steps)
    }
    return {"$defs": {**parts, f"s{steps}": {"type": "integer"}}, "$ref": "#/$defs/s0"}


TAKEN: dict[str, Any] = {
    "an object's": CITY,
    "one that refers to itself": TREE,
    "an empty one": {},
    "one of another draft": {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}},
    "one as deep as may be": nested(MOST_DEPTH - 1),
    "one with a reference among its data": {"const": {"$ref": "https://elsewhere.invalid"}},
    "one with a property of a keyword's name": {"properties": {"$ref": {"type": "string"}}},
    "one with Unicode classes": {"pattern": r"^\p{L}+$"},
}
REFUSED: dict[str, Any] = {
    "an unknown type": {"type": "text"},
    "a list for properties": {"properties": ["name"]},
    "a reference elsewhere": {"$ref": "https://elsewhere.invalid/schema.json"},
    "a reference to a file": {"items": {"$ref": "file:///etc/passwd"}},
    "a reference to nothing": {"$ref": "#/$defs/missing"},
    "a broken pattern": {"pattern": "("},
    "patterns of properties": {"patternProperties": {"^a": {}}},
    "one too deep": nested(MOST_DEPTH),
    "one far too deep": nested(5_000),
    "half a character": {"description": "\ud83d"},
    "one too long": {"description": "x" * MOST_CHARACTERS},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_schemas_of_the_draft_are_taken(kind: str) -> None:
    check_schema(TAKEN[kind], "schema")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_checked_against_is_refused_with_its_place(kind: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_schema(REFUSED[kind], "schema")
    assert raised.value.param == "schema"
    assert len(raised.value.message) < 500


def test_a_value_that_fits_has_no_flaw() -> None:
    assert flaw({"name": "Ulm", "size": 3}, CITY) is None
    assert flaw({"children": [{"children": []}]}, TREE) is None


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ([], "$ ", ["object"]),
        ({"name": "Ulm"}, "$ ", ["'size'"]),
        ({"name": "Ulm", "size": "secret"}, "$.size ", ["integer"]),
        ({"name": "Ulm", "size": 0}, "$.size ", ["minimum", "1"]),
        ({"name": "Ulm", "size": 1, "secret": 2}, "$ ", ["property"]),
    ],
)
def test_a_flaw_is_a_place_and_a_rule_and_nothing_of_the_value(value: Any, path: str, words: list[str]) -> None:
    found = flaw(value, CITY)
    assert found is not None
    assert found.startswith(path)
    assert all(word in found for word in words)
    assert "secret" not in found
    assert "Ulm" not in found


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["a", "b"]}, "secret"),
        ({"const": 1}, "secret"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "secret"),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, "secret"),
        ({"pattern": "^a"}, "secret"),
        ({"maxLength": 3}, "secret"),
        ({"not": {}}, "secret"),
        ({"additionalProperties": {"type": "integer"}}, {"secret": "secret"}),
        ({"propertyNames": {"maxLength": 2}}, {"secret": 1}),
        ({"items": {"properties": {"a": {"uniqueItems": True}}}}, [{"a": ["secret", "secret"]}]),
    ],
)
def test_no_rule_quotes_what_breaks_it(schema: dict[str, Any], value: Any) -> None:
    check_schema(schema, "schema")
    found = flaw(value, schema)
    assert found is not None
    assert "secret" not in found


def test_a_name_that_only_the_answer_has_is_not_in_the_path() -> None:
    assert (flaw({"secret": "x"}, {"additionalProperties": {"type": "integer"}}) or "").startswith("$.* ")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (exploding(40), "x"),
        ({"pattern": "^(a+)+$"}, "a" * 5_000 + "!"),
        ({"$ref": "#"}, 1),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, {"a": 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **exploding(40)}, "x"),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a+)+$"}}, ["a" * 5_000 + "!"]),
    ],
    ids=["references", "pattern", "root", "loop", "references of another draft", "pattern of another draft"],
)
def test_a_check_ends_in_bounded_time(schema: dict[str, Any], value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "CHECK_SECONDS", 0.5)
    check_schema(schema, "schema")
    began = time.monotonic()
    assert flaw(value, schema) is not None
    assert time.monotonic() - began < 30


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keywords = st.sampled_from(["type", "properties", "items", "$ref", "enum", "anyOf", "pattern", "required", "minimum"])
almost_schemas = st.recursive(
    json_values, lambda inner: st.dictionaries(keywords, inner | st.lists(inner, max_size=2), max_size=4), max_leaves=8
).filter(lambda schema: isinstance(schema, dict))


@given(almost_schemas, json_values)
def test_whatever_is_taken_can_be_checked_against(schema: Any, value: Any) -> None:
    try:
        check_schema(schema, "schema")
    except InvalidRequest:
        return
    found = flaw(value, schema)
    assert found is None or len(found) < 1_000
    assert json.dumps(schema)
