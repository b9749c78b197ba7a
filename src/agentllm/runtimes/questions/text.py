"""Questions in words, for a person who reads them in a chat."""

from __future__ import annotations

import json
from collections.abc import Iterable

from agentllm.core import Choice, Field, Json, Question
from agentllm.runtimes.questions.values import kind_of


def as_text(question: Question) -> str:
    """`question` as Markdown, with what the tool would be called with and how to answer in the next message."""
    if question.kind == "confirmation":
        how = "Answer **yes** to allow it. Any other answer refuses it, and I am told what you wrote."
        return _paragraphs(f"May I call the tool `{question.tool}`?", arguments_as_text(question), how)
    if question.kind == "choices":
        return _paragraphs(*map(_choice, question.choices), _how_to_choose(question))
    intro = f"To call the tool `{question.tool}` I need something from you."
    fields = "\n".join(map(_field, question.fields))
    return _paragraphs(intro, arguments_as_text(question, without=question.fields), fields, _how_to_give(question))


def arguments_as_text(question: Question, *, without: Iterable[Field] = ()) -> str:
    """The arguments of the call as a block of JSON, `without` those that are asked for; empty where there are none."""
    wanted = {field.name for field in without}
    arguments = {name: value for name, value in question.arguments.items() if name not in wanted}
    return f"```json\n{as_json(arguments, indent=2)}\n```" if arguments else ""


def as_json(value: Json, *, indent: int | None = None) -> str:
    """`value` as JSON in which no character is invisible or turns the direction of the text."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _field(field: Field) -> str:
    description = f": {field.description}" if field.description else ""
    now = "" if field.value is None else f", now {as_json(field.value)}"
    return f"- `{field.name}` ({kind_of(field)}{now}){description}"


def _how_to_give(question: Question) -> str:
    names = [field.name for field in question.fields]
    if len(names) == 1:
        return f"Answer with the value of `{names[0]}`, or with **cancel**."
    lines = ", ".join(f"`{name}: …`" for name in names)
    return f"Answer with a line for each ({lines}) or with a JSON object, or with **cancel**."


def _choice(choice: Choice) -> str:
    options = (f"{number}. {_option(label, means)}" for number, (label, means) in enumerate(choice.options, 1))
    header = f"**{choice.header}** — " if choice.header else ""
    return "\n".join([f"{header}{choice.question}", "", *options])


def _option(label: str, meaning: str) -> str:
    return f"{label}: {meaning}" if meaning and meaning != label else label


def _how_to_choose(question: Question) -> str:
    lines = " For each question write a line of its own." if len(question.choices) > 1 else ""
    many = ", several with commas between them" if any(choice.many for choice in question.choices) else ""
    return f"Answer with a number{many}, or in your own words, or with **cancel**.{lines}"


def problems_as_text(problems: Iterable[str]) -> str:
    """What was wrong with answers, before their questions are asked again."""
    return _paragraphs("I could not read your answer, so nothing has been run.", *problems)
