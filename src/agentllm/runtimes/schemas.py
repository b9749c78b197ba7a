"""JSON schemas that clients send, and answers checked against them, in bounded time and without fetching anything.

Schemas are read as draft 2020-12, whatever their `$schema` says; `format` is a note, as that draft has it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any

import regex
from jsonschema import Draft202012Validator, FormatChecker, exceptions, validators
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from agentllm.core import Json, JsonObject
from agentllm.errors import InvalidRequest

MOST_CHARACTERS = 50_000
"""Of a schema as JSON text: some seven hundred properties, which take a tenth of a second to look through."""

MOST_DEPTH = 64
"""Brackets inside each other in a schema; OpenAI's ten levels of nesting take some thirty."""

CHECK_SECONDS = 5.0
"""How long one answer is checked; references to references can make a small schema a long work."""

PATTERN_SECONDS = 0.5
"""How long one `pattern` is looked for."""

_REFERENCES = ("$ref", "$dynamicRef")
_DATA = frozenset({"const", "enum", "default", "examples"})
_NO_FORMATS = FormatChecker(())
_MOST_FLAWS = 20
_SHOWN = 120

_deadline: ContextVar[float] = ContextVar("agentllm_schema_deadline")


def check_schema(schema: JsonObject, param: str) -> None:
    """See that answers can be checked against `schema`, which stands at `param` of a request.

    Raises:
        InvalidRequest: it is too large, no JSON schema, or refers to something outside of itself.
    """
    if _depth(schema) > MOST_DEPTH:
        raise InvalidRequest(f"{param} is nested deeper than {MOST_DEPTH} levels.", param=param)
    text = json.dumps(schema, ensure_ascii=False)
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(
            f"{param} has {len(text)} characters as JSON; at most {MOST_CHARACTERS} may be.", param=param
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{param} holds half of a character, a lone surrogate.", param=param) from None
    if (why := _why_not(text)) is not None:
        raise InvalidRequest(f"{param} {why}", param=param)


@lru_cache(maxsize=128)
def _why_not(text: str) -> str | None:
    """Why answers cannot be checked against a schema, as a client sends the same one again and again."""
    schema = _plain(json.loads(text))
    try:
        Draft202012Validator.check_schema(schema, format_checker=_NO_FORMATS)
    except exceptions.SchemaError as error:
        return f"is no JSON schema: {error.json_path} {_shortened(error.message)}"
    resolver = Registry[Any]().resolver_with_root(Resource.from_contents(schema, default_specification=DRAFT202012))
    reasons = (_why_not_keyword(key, value, resolver) for key, value in _keywords(schema))
    return next(filter(None, reasons), None)


def _why_not_keyword(key: str, value: Any, resolver: Any) -> str | None:
    if key == "patternProperties":
        return "uses patternProperties, which answers are not checked for."
    if not isinstance(value, str):
        return None
    if key in _REFERENCES:
        if not value.startswith("#"):
            return f"refers to {_shortened(value)!r}; only references into itself, with '#', are followed."
        try:
            resolver.lookup(value)
        except Unresolvable:
            return f"refers to {_shortened(value)!r}, which it does not have."
    if key == "pattern":
        try:
            regex.compile(value)
        except regex.error as error:
            return f"has the pattern {_shortened(value)!r}, which is no regular expression: {error}."
    return None


def flaw(value: Json, schema: JsonObject) -> str | None:
    """What keeps `value` from being what `schema` allows, None where it is allowed.

    It names a place and a rule of the schema, and nothing of the value: in the JSON path a name
    that the schema does not have is `*`.
    """
    token = _deadline.set(time.monotonic() + CHECK_SECONDS)
    try:
        validator = _Validator(_plain(schema), registry=Registry[Any]())
        found = exceptions.best_match(islice(validator.iter_errors(value), _MOST_FLAWS))
    except (RecursionError, _TooLong):
        return "the schema takes too long to check the answer against"
    finally:
        _deadline.reset(token)
    return None if found is None else f"{_path(found, schema)} {_broken_rule(found)}"


class _TooLong(Exception):
    """The time for a check is over."""


def _bounded(keyword: str) -> Any:
    """A reference as the draft has it, as long as there is time."""
    follow = Draft202012Validator.VALIDATORS[keyword]

    def followed(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        if time.monotonic() > _deadline.get():
            raise _TooLong
        return follow(validator, value, instance, schema)

    return followed


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[exceptions.ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        found = regex.search(pattern, instance, timeout=PATTERN_SECONDS, concurrent=True)
    except TimeoutError:
        raise _TooLong from None
    if found is None:
        yield exceptions.ValidationError("does not match")


_Validator = validators.extend(  # type: ignore[no-untyped-call]  # as its stubs have it
    Draft202012Validator, {"pattern": _pattern, **{keyword: _bounded(keyword) for keyword in _REFERENCES}}
)


def _plain(schema: Any) -> Any:
    """`schema` without its `$schema`s: each would bring the checks of another draft, and those have no bounds."""
    if isinstance(schema, Mapping):
        return {
            key: value if key in _DATA else _plain(value)
            for key, value in schema.items()
            if not (key == "$schema" and isinstance(value, str))
        }
    return [_plain(item) for item in schema] if isinstance(schema, (list, tuple)) else schema


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """The keys and values of all objects in `schema` that are not data."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            yield key, value
            if key not in _DATA:
                yield from _keywords(value)
    elif isinstance(schema, (list, tuple)):
        for item in schema:
            yield from _keywords(item)


def _depth(value: object) -> int:
    """How many brackets stand inside each other in `value`; counted without recursion, and no further than needed."""
    depth, level = 0, [value]
    while level and depth <= MOST_DEPTH + 1:
        level = [
            child
            for item in level
            if isinstance(item, (Mapping, list, tuple))
            for child in (item.values() if isinstance(item, Mapping) else item)
        ]
        depth += 1
    return depth - 1


def _path(error: exceptions.ValidationError, schema: JsonObject) -> str:
    known = {
        name
        for key, value in _keywords(schema)
        if key in ("properties", "$defs", "definitions", "dependentSchemas") and isinstance(value, Mapping)
        for name in value
    }
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step}" if step in known else ".*" for step in error.absolute_path
    )
    return "$" + "".join(steps)


def _broken_rule(error: exceptions.ValidationError) -> str:
    rule, value, instance = error.validator, error.validator_value, error.instance
    match rule:
        case "required" if isinstance(instance, Mapping) and isinstance(value, list):
            missing = ", ".join(repr(name) for name in value if name not in instance)
            return _shortened(f"lacks {missing}")
        case "type":
            return f"is not of the type {_shortened(json.dumps(value))}"
        case "additionalProperties" | "unevaluatedProperties":
            return "has a property that the schema does not allow"
        case "enum" | "const":
            return "is not one of the values that the schema allows"
        case "anyOf" | "oneOf":
            return f"fits none of {rule}, or more than it may"
    return f"breaks the rule {rule} {_shortened(json.dumps(value))}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
