"""Questions as calls of tools that a client answers: of a tool by its own name, or of Open WebUI's `ask_user`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agentllm.core import ClientTool, Decision, Field, Json, JsonObject, Question, ToolCall
from agentllm.runtimes.questions.text import as_json
from agentllm.runtimes.questions.values import (
    Unclear,
    decide,
    decide_values,
    json_object,
    kind_of,
    open_fields,
    refuses,
    type_of,
)

ASK_USER = "ask_user"
MOST_PANELS = 3
"""Questions in one call of `ask_user`."""

TIMEOUT_MS = 240_000
"""How long Open WebUI leaves the questions open; the longest that it takes."""

APPROVE, REFUSE, EXPLAIN = "Allow", "Do not run it", "Explain first"
_YES, _NO = "Yes", "No"
_LONGEST_QUESTION, _LONGEST_HEADER, _LONGEST_LABEL, _LONGEST_DESCRIPTION = 500, 48, 80, 240
"""Characters; Open WebUI 0.12 cuts what is longer, and takes two or three options with labels and descriptions."""

_LONGEST_NOTE = 2_000
_EXPLANATION_WANTED = "The person wants to know first what this is needed for."
_TIMED_OUT = "The person did not answer in time."


def offers_panel(tools: Iterable[ClientTool]) -> bool:
    """Whether the client has Open WebUI's `ask_user`, and not one of its own by that name."""
    for tool in tools:
        if tool.name == ASK_USER:
            properties = tool.parameters.get("properties")
            return isinstance(properties, Mapping) and "questions" in properties
    return False


def as_call(call_id: str, question: Question) -> ToolCall:
    """`question` as a call of the tool that it is about; values that are asked for stand in it as they are so far."""
    asked = {field.name: field.value for field in question.fields}
    return ToolCall(call_id, question.tool, json.dumps({**question.arguments, **asked}))


def decision_in(question: Question, result: str) -> Decision | Unclear:
    """What a client's `result` of the call decides.

    That is `{"accepted": true}` or `{"accepted": false, "note": "…"}`, or `{"values": {"name": …}}`
    where values or a choice are asked for. Anything else refuses.
    """
    said = json_object(result)
    if said is None:
        return Decision(question.id, approved=False, note=_note(result))
    accepted, values = said.get("accepted"), said.get("values")
    if question.kind == "confirmation" and accepted is True:
        return Decision(question.id, approved=True)
    has_values = isinstance(values, Mapping) and accepted is not False
    if question.kind != "confirmation" and (has_values or accepted is True):
        return decide_values(question, values if isinstance(values, Mapping) else {})
    return Decision(question.id, approved=False, note=_note(said.get("note")))


def _note(said: Json) -> str | None:
    return said.strip()[:_LONGEST_NOTE] or None if isinstance(said, str) else None


def panels_of(question: Question) -> int:
    """How many questions of `ask_user` it takes; 0 where they cannot hold it."""
    if question.kind == "confirmation":
        return 1
    if question.kind == "values":
        return count if (count := len(open_fields(question))) <= MOST_PANELS else 0
    for choice in question.choices:
        labels = {label.strip() for label, _ in choice.options}
        if choice.many or len(choice.question) > _LONGEST_QUESTION or len(labels) != len(choice.options):
            return 0
        if len(labels) not in (2, 3) or not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
            return 0
    return len(question.choices) if len(question.choices) <= MOST_PANELS else 0


def fits_in_panel(question: Question) -> bool:
    """Whether the panel shows all of what a confirmation is about."""
    return len(_confirmation(question)) <= _LONGEST_QUESTION


def as_panel_call(call_id: str, questions: Sequence[Question]) -> ToolCall:
    """`questions`, of `MOST_PANELS` panels together, as one call of `ask_user`."""
    panels: list[Json] = [
        {"id": f"q{number}", **panel}
        for number, panel in enumerate((panel for question in questions for panel in _panels(question)), 1)
    ]
    return ToolCall(call_id, ASK_USER, json.dumps({"questions": panels, "allow_other": True, "timeout_ms": TIMEOUT_MS}))


def decisions_in_panel(questions: Sequence[Question], result: str) -> list[Decision | Unclear]:
    """What Open WebUI's `result` of that call decides, in the order of the questions.

    All of them are refused where it holds no answers.
    """
    said = json_object(result)
    answers = said.get("answers") if said and said.get("status") == "answered" else None
    if not isinstance(answers, Mapping):
        note = _note(result) if said is None else _TIMED_OUT if said.get("timed_out") else None
        return [Decision(question.id, approved=False, note=note) for question in questions]
    decided: list[Decision | Unclear] = []
    number = 1
    for question in questions:
        numbers = range(number, number := number + panels_of(question))
        decided.append(_decided(question, [_said(answers.get(f"q{n}")) for n in numbers]))
    return decided


def _panels(question: Question) -> Iterator[JsonObject]:
    header = question.tool[:_LONGEST_HEADER]
    if question.kind == "confirmation":
        text = _confirmation(question) if fits_in_panel(question) else f"May I call {question.tool} as shown above?"
        options = [_option(APPROVE, "The tool is run as shown."), _option(REFUSE, "The tool is not run.")]
        yield {"header": header, "question": text[:_LONGEST_QUESTION], "options": options}
    for field in open_fields(question):
        text = f"{field.name}: {field.description}" if field.description else f"{field.name}?"
        asked = f"{text} ({kind_of(field)})"[:_LONGEST_QUESTION]
        yield {"header": header, "question": asked, "options": _field_options(field)}
    for choice in question.choices:
        options = [_option(label, meaning or label) for label, meaning in choice.options]
        named = (choice.header or question.tool)[:_LONGEST_HEADER]
        yield {"header": named, "question": choice.question, "options": options}


def _confirmation(question: Question) -> str:
    given = f" with {as_json(question.arguments)}" if question.arguments else ""
    return f"May I call {question.tool}{given}?"


def _option(label: str, meaning: str) -> JsonObject:
    return {"label": label.strip(), "description": meaning[:_LONGEST_DESCRIPTION]}


def _field_options(field: Field) -> list[Json]:
    refuse = _option(REFUSE, "The tool is not run.")
    if type_of(field) == "bool":
        return [_option(_YES, f"{field.name} is true."), _option(_NO, f"{field.name} is false."), refuse]
    if (keep := _keep(field)) is not None:
        return [_option(keep, "The value that it has."), refuse]
    return [_option(EXPLAIN, "The tool is not run, and I tell you what I need this for."), refuse]


def _keep(field: Field) -> str | None:
    """The label of the option to leave the value of `field` as it is, where it has one that can be shown whole."""
    if field.value is None:
        return None
    label = f"Keep {as_json(field.value)}"
    return label if len(label) <= _LONGEST_LABEL else None


def _said(answer: Json) -> tuple[str, bool]:
    """The label that was chosen, or the person's own words; and whether they are their own."""
    if not isinstance(answer, Mapping):
        return "", False
    own = answer.get("type") == "other"
    said = answer.get("text" if own else "label")
    return (said.strip() if isinstance(said, str) else ""), own


def _decided(question: Question, answers: Sequence[tuple[str, bool]]) -> Decision | Unclear:
    if question.kind == "confirmation":
        (said, own), *_ = answers
        return decide(question, said) if own else Decision(question.id, approved=said == APPROVE)
    if not all(said for said, _ in answers):
        return Decision(question.id, approved=False)
    if question.kind == "choices":
        chosen: dict[str, Json] = {c.question: said for c, (said, _) in zip(question.choices, answers, strict=True)}
        return decide_values(question, chosen)
    values: dict[str, Json] = {}
    for field, (said, own) in zip(open_fields(question), answers, strict=True):
        is_bool = type_of(field) == "bool"
        if refuses([field], said) if own else said not in ((_YES, _NO) if is_bool else (_keep(field),)):
            return Decision(question.id, approved=False, note=_EXPLANATION_WANTED if said == EXPLAIN else None)
        if own or said != _keep(field):
            values[field.name] = said
    return decide_values(question, values)
