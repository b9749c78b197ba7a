"""What a person's answer to a question means: a yes or a no, values of fields, or a choice."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agentllm.core import Choice, Decision, Field, Json, JsonObject, Question
from agentllm.runtimes.questions.words import is_cancel, is_no, is_yes

_KINDS: Mapping[str, str] = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "yes or no",
    "list": "a list",
    "dict": "a JSON object",
}
_TYPE = re.compile(r"(?:optional\[)?(\w+)", re.IGNORECASE)
_NAMED = re.compile(r"\s*[-*]?\s*[`\"']?([^`\"':=]+?)[`\"']?\s*[:=]\s*(.*?)\s*")
_NUMBER = re.compile(r"(\d{1,3})[.)]?")


@dataclass(frozen=True, slots=True)
class Unclear:
    """An answer that cannot be read, and what is wrong with it."""

    problem: str


def type_of(field: Field) -> str:
    """The name of the field's type in lower case, without what it holds: "list" for "list[str]"."""
    found = _TYPE.match(field.type.strip())
    return found[1].lower() if found else field.type


def kind_of(field: Field) -> str:
    """What a value of `field` must be, in words; a type that is not known takes any text."""
    return _KINDS.get(type_of(field), "a text")


def open_fields(question: Question) -> tuple[Field, ...]:
    """The fields that have no value yet; all of them where each has one."""
    return tuple(field for field in question.fields if field.value is None) or question.fields


def decide(question: Question, text: str) -> Decision | Unclear:
    """What a person who was asked `question` decided with `text`.

    Whatever is no clear yes to a confirmation refuses it, and the agent is told the words.
    """
    if question.kind == "confirmation":
        approved = is_yes(text)
        return Decision(question.id, approved, note=None if approved or is_no(text) else text.strip() or None)
    if question.kind == "choices":
        return _chosen(question, text)
    if refuses(question.fields, text):
        return Decision(question.id, approved=False)
    return decide_values(question, _values_in(text, [field.name for field in question.fields]))


def refuses(fields: Sequence[Field], text: str) -> bool:
    """Whether who was asked for values of `fields` gives none with `text`; "no" may be the value of a single one."""
    may_be_no = len(fields) == 1 and type_of(fields[0]) == "bool"
    return is_cancel(text) if may_be_no else is_no(text)


def decide_values(question: Question, values: JsonObject | None) -> Decision | Unclear:
    """The decision to run with `values`: of fields by their names, or of choices by their question or header.

    None stands for an answer in which no names are found. A field that has a value already keeps it
    where none is given.
    """
    readers: dict[str, Callable[[JsonObject], Json]] = {}
    readers |= {field.name: partial(_value, field) for field in question.fields}
    readers |= {choice.question: partial(_labels, choice) for choice in question.choices}
    if values is None:
        return Unclear(f"Give each value in a line of its own, as `name: value`, for: {', '.join(readers)}.")
    taken: dict[str, Json] = {}
    problems: list[str] = []
    for name, read in readers.items():
        try:
            taken[name] = read(values)
        except ValueError as error:
            problems.append(str(error))
    known = {name.casefold() for name in (*readers, *(choice.header for choice in question.choices))}
    problems += [f"There is no `{name}` to give a value for." for name in values if name.casefold() not in known]
    return Unclear(" ".join(problems)) if problems else Decision(question.id, approved=True, values=taken)


def json_object(text: str) -> JsonObject | None:
    """`text` as a JSON object, None where it is anything else."""
    try:
        found = _loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _loads(text: str) -> Json:
    def refuse(constant: str) -> Json:
        raise ValueError(constant)  # NaN and Infinity, which are no JSON

    found: Json = json.loads(text, parse_constant=refuse)
    return found


def _values_in(text: str, names: Sequence[str]) -> JsonObject | None:
    """The values by their names, of a JSON object or of lines; a single one may be all there is."""
    known = {name.casefold() for name in names}
    found = json_object(text)
    if found is None:
        found = _in_lines(text, known)
    if len(names) == 1 and (found is None or known.isdisjoint(name.casefold() for name in found)):
        return {names[0]: text.strip()}
    return found


def _in_lines(text: str, known: set[str]) -> JsonObject | None:
    values: dict[str, Json] = {}
    for line in filter(str.strip, text.splitlines()):
        named = _NAMED.fullmatch(line)
        if named is None or named[1].casefold() not in known:
            return None
        values[named[1]] = named[2]
    return values or None


def _given(names: Iterable[str], values: JsonObject) -> Json:
    wanted = {name.casefold() for name in names}
    return next((value for name, value in values.items() if name.casefold() in wanted), None)


def _value(field: Field, values: JsonObject) -> Json:
    given = _given([field.name], values)
    if given is None or (isinstance(given, str) and not given.strip()):
        if field.value is None:
            raise ValueError(f"A value of `{field.name}` is missing.")
        return field.value
    try:
        return _converted(type_of(field), given)
    except (ValueError, OverflowError, RecursionError):
        raise ValueError(f"`{field.name}` must be {kind_of(field)}.") from None


def _converted(kind: str, given: Json) -> Json:
    """Raises ValueError or OverflowError where `given` is no value of that kind."""
    if kind not in _KINDS:
        return given
    value = given if kind == "str" or not isinstance(given, str) else _read(kind, given.strip())
    match kind, value:
        case ("bool", bool()) | ("str", str()) | ("list", list()) | ("dict", dict()):
            return value
        case ("str", bool() | int() | float()):
            return json.dumps(value)
        case ("int" | "float", int() | float()) if not isinstance(value, bool) and math.isfinite(value):
            number = int(value) if kind == "int" else float(value)
            if number == value:
                return number
    raise ValueError(kind)


def _read(kind: str, text: str) -> Json:
    """A value of that kind in the form in which people write it."""
    if kind == "bool":
        if is_yes(text) or is_no(text):
            return is_yes(text)
        return {"true": True, "1": True, "false": False, "0": False}.get(text.casefold(), text)
    if kind == "list" and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    return int(text) if kind == "int" else float(text) if kind == "float" else _loads(text)


def _chosen(question: Question, text: str) -> Decision | Unclear:
    choices = question.choices
    labels = {label.casefold() for choice in choices for label, _ in choice.options}
    if is_no(text) and text.strip().casefold() not in labels:
        return Decision(question.id, approved=False)
    if len(choices) == 1:
        return decide_values(question, {choices[0].question: text})
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    known = {name.casefold() for choice in choices for name in (choice.header, choice.question) if name}
    named = json_object(text) or _in_lines(text, known)
    if named is None and len(lines) == len(choices):
        named = {choice.question: line for choice, line in zip(choices, lines, strict=True)}
    if named is None:
        return Unclear(f"Give {len(choices)} answers, each in a line of its own, in the order of the questions.")
    return decide_values(question, named)


def _labels(choice: Choice, values: JsonObject) -> list[str]:
    """The labels that are chosen, by their number or name; other words are an answer of the person's own."""
    given = _given(filter(None, [choice.question, choice.header]), values)
    if isinstance(given, str):
        given = re.split(r"[,;\n]", given) if choice.many else [given]
    named = [str(one).strip() for one in given] if isinstance(given, list) else []
    chosen = [_label(choice, one) for one in named if one]
    if not chosen or (len(chosen) > 1 and not choice.many):
        raise ValueError(f"Choose {'at least one' if choice.many else 'one'} of the answers to: {choice.question}")
    return chosen


def _label(choice: Choice, text: str) -> str:
    number = _NUMBER.fullmatch(text)
    if number and 1 <= int(number[1]) <= len(choice.options):
        return choice.options[int(number[1]) - 1][0]
    return next((label for label, _ in choice.options if label.casefold() == text.casefold()), text)
