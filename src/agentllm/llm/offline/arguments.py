"""The arguments of a tool, read out of a message by what its JSON schema asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentllm.core import Json, JsonObject
from agentllm.llm.offline.values import Values, number
from agentllm.llm.offline.words import name_words, word_set

_ASKED_BY: Mapping[str, frozenset[str]] = {
    "uuid": word_set("uuid guid id identifier"),
    "url": word_set("url uri link"),
    "email": word_set("email mail address recipient sender from to"),
    "expression": word_set("expression formula calculation arithmetic"),
    "zone": word_set("timezone zone tz"),
    "tag": word_set("tag version ref revision release commit since until from to base head start end"),
    "commit": word_set("commit sha hash ref revision since until from to base head"),
    "date": word_set("date day time since until from to after before start end when"),
    "path": word_set("path file filename folder directory"),
    "place": word_set("city town place location country region timezone zone"),
}
_ONLY_IN_NAMES = word_set("address since until from to start end before after when time day base head")


@dataclass(frozen=True, slots=True)
class Missing:
    """An argument that a tool requires and the message does not give."""

    name: str
    type: str


def fill(parameters: JsonObject, text: str) -> dict[str, Json] | Missing:
    """The arguments that `text` gives for the JSON schema `parameters`.

    Required arguments are served first, in their order; an optional one is filled only where
    the text names it or holds a value of just its kind.
    """
    properties = parameters.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    listed = parameters.get("required")
    required = {name for name in listed if isinstance(name, str)} if isinstance(listed, Sequence) else set()
    wanted = [_Parameter.read(name, properties[name], name in required) for name in properties]
    values = Values(text)
    found: dict[str, Json] = {parameter.name: parameter.number_beside(values) for parameter in wanted}
    for parameter in sorted(wanted, key=lambda parameter: not parameter.required):
        if found[parameter.name] is None:
            found[parameter.name] = _value(parameter, values)
        if found[parameter.name] is None and parameter.required:
            return Missing(parameter.name, parameter.type)
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    type: str
    required: bool
    choices: tuple[Json, ...]
    items: str
    kinds: tuple[str, ...]

    @classmethod
    def read(cls, name: str, schema: Json, required: bool) -> _Parameter:
        schema = _not_null(schema)
        choices = schema.get("enum")
        items = schema.get("items")
        return cls(
            name=name,
            type=_type_of(schema),
            required=required,
            choices=tuple(choices) if isinstance(choices, Sequence) and not isinstance(choices, str) else (),
            items=_type_of(_not_null(items)),
            kinds=_kinds(name, str(schema.get("description", ""))),
        )

    @property
    def pattern(self) -> str:
        """A regular expression for the name as people write it."""
        return r"[\s_-]?".join(map(re.escape, name_words(self.name))) or re.escape(self.name)

    def takes(self, value: int | float) -> bool:
        return self.type == "number" or isinstance(value, int)

    def number_beside(self, values: Values) -> int | float | None:
        if self.choices or self.type not in ("integer", "number"):
            return None
        return values.take_number_beside(self.name, self.takes)


def _value(parameter: _Parameter, values: Values) -> Json:
    explicit = _explicit(parameter, values.text)
    if explicit is not None:
        return explicit
    if parameter.choices:
        return next((choice for choice in parameter.choices if _is_named(str(choice), values.text)), None)
    match parameter.type:
        case "integer" | "number":
            return values.take_number(parameter.takes)
        case "boolean":
            return _flag(parameter, values.text)
        case "array":
            return _several(parameter, values)
        case "string":
            return _string(parameter, values)
        case _:
            return None


def _string(parameter: _Parameter, values: Values) -> str | None:
    for kind in parameter.kinds:
        if (value := values.take(kind)) is not None:
            return value
    if not parameter.required:
        return None
    return values.quoted.pop(0) if values.quoted else values.take("place")


def _several(parameter: _Parameter, values: Values) -> Sequence[Json] | None:
    if parameter.items in ("integer", "number"):
        numbers: list[Json] = [entry.value for entry in values.numbers]
        values.numbers.clear()
        return numbers or None
    if parameter.items == "string" and parameter.required:
        quoted: list[Json] = [*values.quoted]
        values.quoted.clear()
        return quoted or None
    return None


def _explicit(parameter: _Parameter, text: str) -> Json:
    """What the text gives as `name=value` or `name: value`."""
    value = r"(?:\"([^\"]*)\"|'([^']*)'|`([^`]*)`|([^\s,;]+))"
    match = re.search(rf"(?<!\w){parameter.pattern}\s*[=:]\s*{value}", text, re.IGNORECASE)
    if match is None:
        return None
    given = next(group for group in match.groups() if group is not None)
    return _converted(given.rstrip(".!?"), parameter)


def _converted(value: str, parameter: _Parameter) -> Json:
    if parameter.choices:
        return next((choice for choice in parameter.choices if str(choice).lower() == value.lower()), None)
    match parameter.type:
        case "string":
            return value
        case "boolean":
            return {"true": True, "yes": True, "false": False, "no": False}.get(value.lower())
        case "integer" | "number":
            return _given_number(value, parameter)
        case _:
            return None


def _given_number(text: str, parameter: _Parameter) -> int | float | None:
    try:
        value = number(text)
    except ValueError:
        return None
    return value if parameter.takes(value) else None


def _flag(parameter: _Parameter, text: str) -> bool | None:
    negated = r"(\b(?:no|not|without|don't)\s+(?:a\s+|the\s+)?)?"
    match = re.search(rf"{negated}(?<!\w){parameter.pattern}(?!\w)", text, re.IGNORECASE)
    return None if match is None else match[1] is None


def _is_named(choice: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", text, re.IGNORECASE) is not None


def _kinds(name: str, description: str) -> tuple[str, ...]:
    """The kinds of value that a parameter asks for: first those its name says, then its description."""
    by_name = frozenset(name_words(name))
    by_description = frozenset(re.findall(r"[a-z]+", description.lower())) - _ONLY_IN_NAMES
    sure = [kind for kind, words in _ASKED_BY.items() if words & by_name]
    return tuple(sure or [kind for kind, words in _ASKED_BY.items() if words & by_description])


def _not_null(schema: Json) -> JsonObject:
    if not isinstance(schema, Mapping):
        return {}
    options = schema.get("anyOf")
    if not isinstance(options, Sequence):
        return schema
    usable = [option for option in options if isinstance(option, Mapping) and option.get("type") != "null"]
    return {**schema, **usable[0]} if usable else schema


def _type_of(schema: JsonObject) -> str:
    found = schema.get("type", "string" if "enum" in schema else "value")
    if isinstance(found, str):
        return found
    return next((str(name) for name in found if name != "null"), "value") if isinstance(found, Sequence) else "value"
