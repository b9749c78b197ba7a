"""The smallest value that a JSON schema allows, for a model that has nothing to say in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from agentllm.core import Json, JsonObject

_MOST_DEPTH = 40
"""Values inside each other; a schema that refers to itself is left alone there."""

_FORMATS = {
    "date-time": "2000-01-01T00:00:00Z",
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "nobody@example.invalid",
    "uri": "https://example.invalid",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "hostname": "example.invalid",
}


def smallest(schema: JsonObject, notice: str) -> Json:
    """A value that `schema` allows, with the properties that it requires, the first text of which is `notice`.

    What a `pattern`, `not` or conditions ask for is not looked at, so such a schema may not allow the value.
    """
    made: Json = _Maker(schema, notice).value(schema, 0)
    return made


class _Maker:
    def __init__(self, root: JsonObject, notice: str) -> None:
        self._root = root
        self._notice = notice

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._plain(schema, depth)
        if "const" in schema:
            return schema["const"]
        if _is_list(schema.get("enum")):
            return schema["enum"][0]
        match _type_of(schema):
            case "object" if depth < _MOST_DEPTH:
                return self._object(schema, depth)
            case "array" if depth < _MOST_DEPTH:
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return False
        return None

    def _plain(self, schema: Any, depth: int) -> Mapping[str, Any]:
        """`schema` with what it refers to, its parts that all hold, and one of its alternatives."""
        found = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(_MOST_DEPTH - depth):
            if isinstance(reference := found.pop("$ref", None), str):
                found = {**self._referred(reference), **found}
            elif _is_list(parts := found.pop("allOf", None)):
                for part in parts:
                    found = _both(found, self._plain(part, depth + 1))
            elif _is_list(options := found.pop("anyOf", None) or found.pop("oneOf", None)):
                found = _both(found, self._plain(options[0], depth + 1))
            else:
                break
        return found

    def _referred(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        required = schema.get("required")
        names = [name for name in required if isinstance(name, str)] if _is_list(required) else []
        return {name: self.value(known.get(name, {}), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        items = list(first) if _is_list(first) else []
        least = schema.get("minItems")
        more = max(0, least - len(items)) if isinstance(least, int) else 0
        return [self.value(item, depth + 1) for item in [*items, *[schema.get("items")] * min(more, 100)]]

    def _string(self, schema: Mapping[str, Any]) -> str:
        if (form := schema.get("format")) in _FORMATS:
            return _FORMATS[form]
        text, self._notice = self._notice, ""
        least, most = schema.get("minLength"), schema.get("maxLength")
        text = text.ljust(least, ".") if isinstance(least, int) else text
        return text[:most] if isinstance(most, int) else text


def _type_of(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    if _is_list(named):
        named = next((kind for kind in named if kind != "null"), "null")
    if isinstance(named, str):
        return named
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _number(schema: Mapping[str, Any]) -> int | float:
    """The number next to 0 that is allowed."""
    step = schema.get("multipleOf") or 1
    least, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    most, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    if least > 0 or above >= 0:
        low = max(least, above)
        found = math.ceil(low / step) * step
        found = found + step if found <= above else found
        return found if found <= most and found < below else _between(low, min(most, below))
    if most < 0 or below <= 0:
        high = min(most, below)
        found = math.floor(high / step) * step
        found = found - step if found >= below else found
        return found if found >= least and found > above else _between(max(least, above), high)
    return 0


def _between(low: float, high: float) -> float:
    return (low + high) / 2


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that asks for what both do, as far as their properties go."""
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return merged


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
