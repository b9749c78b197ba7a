"""The arguments of a tool, read out of a message by what its JSON schema asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentllm.core import Json, JsonObject
from agentllm.llm.offline.words import NUMBERS, name_words, stem, word_set

_QUOTED = re.compile(r"\"([^\"]+)\"|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_TOKENS: Mapping[str, re.Pattern[str]] = {
    "url": re.compile(r"https?://[^\s<>]+[^\s<>.,;:!?)]"),
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "date": re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?\b"),
    "tag": re.compile(r"\bv\d+(?:\.\d+)*(?:-[\w.]*\w)?\b|\b\d+\.\d+\.\d+(?:-[\w.]*\w)?\b"),
    "zone": re.compile(r"\b[A-Z][A-Za-z]+(?:/[A-Z][\w+-]*)+|\b(?:UTC|GMT)\b"),
    "path": re.compile(r"(?<!\S)(?=\S*[A-Za-z])(?:\.{0,2}/)?[\w-]+(?:/[\w.-]*\w)+|(?<!\S)[\w-]+\.[a-z]{1,5}\b"),
    "commit": re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b"),
}
_OPERAND = r"[-+]?\(*\s*[-+]?(?:\d+(?:\.\d+)?|\.\d+)\s*\)*"
_EXPRESSION = re.compile(rf"{_OPERAND}(?:\s*(?:\*\*|//|[-+*/%^])\s*{_OPERAND})+")
_NUMBER = re.compile(rf"(?<![\w.])-?\d+(?:\.\d+)?(?![\d.]*\d)|\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:in|for|at|of|about|from|near|to)\s+(?:the\s+)?([^\W\d_a-z][\w'-]*(?:\s+[^\W\d_a-z][\w'-]*)*)"
)
_SPOKEN = (
    (re.compile(r"(?<=\d)\s*%\s*of\s+(?=[\d(])"), " / 100 * "),
    (re.compile(r"(?<=[\d)])\s+plus\s+(?=[\d(-])"), " + "),
    (re.compile(r"(?<=[\d)])\s+minus\s+(?=[\d(-])"), " - "),
    (re.compile(r"(?<=[\d)])\s+(?:times|multiplied by)\s+(?=[\d(-])"), " * "),
    (re.compile(r"(?<=[\d)])\s+divided by\s+(?=[\d(-])"), " / "),
)

_ASKED_BY: Mapping[str, frozenset[str]] = {
    "url": word_set("url uri link"),
    "email": word_set("email mail address"),
    "expression": word_set("expression formula calculation arithmetic"),
    "zone": word_set("timezone zone tz"),
    "tag": word_set("tag version ref revision release commit since until from to base head start end"),
    "commit": word_set("commit sha hash ref revision since until from to base head"),
    "date": word_set("date day time since until from to after before start end when"),
    "path": word_set("path file filename folder directory"),
    "place": word_set("city town place location country region timezone zone"),
}


@dataclass(frozen=True, slots=True)
class Missing:
    """An argument that a tool requires and the message does not give."""

    name: str
    type: str


def expression_in(text: str) -> str | None:
    """The first arithmetic expression of `text` with at least one operator, else None."""
    found = _EXPRESSION.search(_without_tokens(_spoken(text)))
    return _balanced(found.group().strip()) if found else None


def without_expressions(text: str) -> str:
    """`text` without its arithmetic expressions, so that the "times" of "3 times 4" is no word of it."""
    return _EXPRESSION.sub(" ", _spoken(text))


def fill(parameters: JsonObject, text: str) -> dict[str, Json] | Missing:
    """The arguments that `text` gives for the JSON schema `parameters`.

    Required arguments are served first, in their order; an optional one is filled only where
    the text names it or holds a value of just its kind.
    """
    properties = parameters.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    listed = parameters.get("required")
    required = set(listed) if isinstance(listed, Sequence) else set()
    wanted = [_Parameter.read(name, properties[name], name in required) for name in properties]
    pool = _Pool(text)
    found: dict[str, Json] = {parameter.name: pool.take_number_beside(parameter) for parameter in wanted}
    for parameter in sorted(wanted, key=lambda parameter: not parameter.required):
        if found[parameter.name] is None:
            found[parameter.name] = _value(parameter, pool)
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


class _Found(NamedTuple):
    """A number in a text, and where."""

    start: int
    end: int
    value: int | float


class _Pool:
    """The values that a text holds; taking one removes it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.quoted = [next(filter(None, match)) for match in _QUOTED.findall(text)]
        rest = _QUOTED.sub(" ", text)
        self.kinds: dict[str, list[str]] = {}
        for kind, pattern in _TOKENS.items():
            self.kinds[kind] = pattern.findall(rest)
            rest = pattern.sub(" ", rest)
        spoken = _spoken(rest)
        self.kinds["expression"] = [_balanced(found.strip()) for found in _EXPRESSION.findall(spoken)]
        self.kinds["place"] = _PLACE.findall(rest)
        self.rest = rest
        self.numbers = [_Found(*match.span(), _number(match.group())) for match in _NUMBER.finditer(rest)]

    def take(self, kind: str) -> str | None:
        values = self.kinds[kind]
        return values.pop(0) if values else None

    def take_number(self, parameter: _Parameter) -> Json:
        """The first number that fits, but for the word "one", which may well be a pronoun."""
        return self._take([entry for entry in self._fitting(parameter) if self._written(entry) != "one"])

    def take_number_beside(self, parameter: _Parameter) -> Json:
        """The number that the text puts next to the parameter's name, as in "20 sides" or "sides: 20"."""
        if parameter.choices:
            return None
        return self._take([entry for entry in self._fitting(parameter) if self._is_beside(entry, parameter.name)])

    def _fitting(self, parameter: _Parameter) -> list[_Found]:
        if parameter.type not in ("integer", "number"):
            return []
        return [entry for entry in self.numbers if parameter.type == "number" or isinstance(entry.value, int)]

    def _take(self, usable: Sequence[_Found]) -> Json:
        if not usable:
            return None
        self.numbers.remove(usable[0])
        return usable[0].value

    def _written(self, entry: _Found) -> str:
        return self.rest[entry.start : entry.end].lower()

    def _is_beside(self, entry: _Found, name: str) -> bool:
        wanted = {stem(word) for word in name_words(name)}
        after = re.match(r"[\s-]*(\w+)", self.rest[entry.end :])
        before = re.search(r"(\w+)\s*(?:of|=|:|to)?\s*$", self.rest[: entry.start])
        return any(match is not None and stem(match[1]) in wanted for match in (after, before))


def _value(parameter: _Parameter, pool: _Pool) -> Json:
    explicit = _explicit(parameter, pool.text)
    if explicit is not None:
        return explicit
    if parameter.choices:
        return next((choice for choice in parameter.choices if _is_named(str(choice), pool.text)), None)
    match parameter.type:
        case "integer" | "number":
            return pool.take_number(parameter)
        case "boolean":
            return _flag(parameter.name, pool.text)
        case "array":
            return _several(parameter, pool)
        case "string":
            return _string(parameter, pool)
        case _:
            return None


def _string(parameter: _Parameter, pool: _Pool) -> str | None:
    for kind in parameter.kinds:
        if (value := pool.take(kind)) is not None:
            return value
    if not parameter.required:
        return None
    return pool.quoted.pop(0) if pool.quoted else pool.take("place")


def _several(parameter: _Parameter, pool: _Pool) -> Sequence[Json] | None:
    if parameter.items in ("integer", "number"):
        values: list[Json] = [entry.value for entry in pool.numbers]
        pool.numbers.clear()
        return values or None
    if parameter.items == "string" and parameter.required:
        quoted: list[Json] = [*pool.quoted]
        pool.quoted.clear()
        return quoted or None
    return None


def _explicit(parameter: _Parameter, text: str) -> Json:
    """What the text gives as `name=value` or `name: value`."""
    spaced = r"[\s_-]?".join(map(re.escape, name_words(parameter.name)))
    match = re.search(rf"(?<!\w){spaced}\s*[=:]\s*(?:\"([^\"]*)\"|'([^']*)'|`([^`]*)`|([^\s,;]+))", text, re.IGNORECASE)
    if not spaced or match is None:
        return None
    value = next(group for group in match.groups() if group is not None).rstrip(".!?")
    return _converted(value, parameter)


def _converted(value: str, parameter: _Parameter) -> Json:
    if parameter.choices:
        return next((choice for choice in parameter.choices if str(choice).lower() == value.lower()), None)
    match parameter.type:
        case "string":
            return value
        case "boolean":
            return {"true": True, "yes": True, "false": False, "no": False}.get(value.lower())
        case "integer" | "number" if _NUMBER.fullmatch(value):
            number = _number(value)
            return number if parameter.type == "number" or isinstance(number, int) else None
        case _:
            return None


def _flag(name: str, text: str) -> bool | None:
    spaced = r"[\s_-]?".join(map(re.escape, name_words(name)))
    match = re.search(rf"(\b(?:no|not|without|don't)\s+(?:a\s+|the\s+)?)?(?<!\w){spaced}(?!\w)", text, re.IGNORECASE)
    return None if match is None else match[1] is None


def _is_named(choice: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", text, re.IGNORECASE) is not None


def _kinds(name: str, description: str) -> tuple[str, ...]:
    """The kinds of value that a parameter asks for: first those its name says, then its description."""
    by_name = frozenset(name_words(name))
    by_description = frozenset(re.findall(r"[a-z]+", description.lower()))
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


def _number(text: str) -> int | float:
    if text.lower() in NUMBERS:
        return NUMBERS[text.lower()]
    return float(text) if "." in text else int(text)


def _spoken(text: str) -> str:
    text = " ".join(text.split())
    for pattern, operator in _SPOKEN:
        text = pattern.sub(operator, text)
    return text


def _without_tokens(text: str) -> str:
    for pattern in _TOKENS.values():
        text = pattern.sub(" ", text)
    return text


def _balanced(expression: str) -> str:
    """`expression` without the brackets at its ends that have no partner."""
    while expression.count("(") > expression.count(")") and expression.startswith("("):
        expression = expression[1:].strip()
    while expression.count(")") > expression.count("(") and expression.endswith(")"):
        expression = expression[:-1].strip()
    return expression
