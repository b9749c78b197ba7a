"""What is kept of a run that waits for a person: what they were asked and how, and what was decided already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from agentllm.core import Choice, ClientTool, Decision, Field, JsonObject, Message, Question, ToolCall
from agentllm.runtimes.questions.calls import MOST_PANELS, decision_in, decisions_in_panel, offers_panel, panels_of
from agentllm.runtimes.questions.values import Unclear, decide

Form = Literal["panel", "calls", "text"]

CALL_PREFIX = "agentllm-ask-"
"""How the ids of calls begin that ask a person; never those of a model, which the agent's own history has."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A run that waits, as JSON in `Finished.pending`.

    `asked` are the questions that were asked last, in `form`, the `tries`-th time that answers are
    asked for, by the `turn` of that id; `waiting` come after them, and then the client's own `calls`.
    `run` is what the runtime needs to go on.
    """

    run: JsonObject | None
    waiting: tuple[Question, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    decided: tuple[Decision, ...] = ()
    asked: tuple[Question, ...] = ()
    form: Form = "text"
    tries: int = 1
    turn: str = ""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What `to_json` made."""
        return cls(
            run=stored["run"],
            waiting=tuple(map(_question, stored["waiting"])),
            calls=tuple(ToolCall(**call) for call in stored["calls"]),
            decided=tuple(Decision(**decision) for decision in stored["decided"]),
            asked=tuple(map(_question, stored["asked"])),
            form=stored["form"],
            tries=stored["tries"],
            turn=stored["turn"],
        )

    def to_json(self) -> JsonObject:
        """All of it as JSON."""
        return asdict(self)

    def call_id(self, question: Question) -> str:
        """The id of the call that asks `question`, or it and those after it."""
        return f"{CALL_PREFIX}{question.id}{f'-{self.tries}' if self.tries > 1 else ''}"

    def is_answered_by(self, messages: Sequence[Message]) -> bool:
        """Whether the newest message answers what was asked, and is not something else instead."""
        return messages[-1].role == ("user" if self.asked and self.form == "text" else "tool")

    def answered(self, messages: Sequence[Message]) -> tuple[Pause, list[str]]:
        """The pause after the answers in the newest of `messages`, and what is wrong with those that cannot be read.

        Questions whose answers cannot be read wait again.
        """
        decided, unclear, problems = [*self.decided], [], []
        for question, decision in zip(self.asked, self._decisions(messages), strict=True):
            if isinstance(decision, Unclear):
                unclear.append(question)
                problems.append(decision.problem)
            else:
                decided.append(decision)
        waiting, tries = (*unclear, *self.waiting), self.tries + bool(unclear)
        return replace(self, decided=tuple(decided), asked=(), waiting=waiting, tries=tries), problems

    def _decisions(self, messages: Sequence[Message]) -> Iterable[Decision | Unclear]:
        if not self.asked:
            return []
        if self.form == "text":
            return [decide(self.asked[0], messages[-1].content)]
        results = {message.tool_call_id: message.content for message in messages if message.role == "tool"}
        if self.form == "panel":
            return decisions_in_panel(self.asked, results.get(self.call_id(self.asked[0]), ""))
        return [decision_in(question, results.get(self.call_id(question), "")) for question in self.asked]

    def without_answers(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """`messages` without what was said since the run paused; results of the client's own tools stay."""
        paused = max((index for index, message in enumerate(messages) if message.tool_calls), default=len(messages))
        since = (message for message in messages[paused + 1 :] if message.role == "tool" and not is_answer(message))
        return (*messages[: paused + 1], *since)

    def next_asked(self, turn: str, tools: Sequence[ClientTool]) -> Pause:
        """The pause with the next questions asked by `turn`, in the form that the client's `tools` allow."""
        if not self.waiting:
            return self
        form, count = _form(self.waiting, tools)
        return replace(self, asked=self.waiting[:count], waiting=self.waiting[count:], form=form, turn=turn)


def is_answer(message: Message) -> bool:
    """Whether it is the result of a call that asked a person."""
    return message.role == "tool" and (message.tool_call_id or "").startswith(CALL_PREFIX)


def _form(questions: Sequence[Question], tools: Sequence[ClientTool]) -> tuple[Form, int]:
    """How to ask, and how many of `questions` at once."""
    if not offers_panel(tools):
        return ("calls", len(questions)) if tools else ("text", 1)
    room = MOST_PANELS
    for count, question in enumerate(questions):
        panels = panels_of(question)
        if not 0 < panels <= room:
            return ("panel", count) if count else ("text", 1)
        room -= panels
    return "panel", len(questions)


def _question(stored: Mapping[str, Any]) -> Question:
    choices = (
        Choice(**{**choice, "options": tuple((label, meaning) for label, meaning in choice["options"])})
        for choice in stored["choices"]
    )
    fields = tuple(Field(**field) for field in stored["fields"])
    return Question(**{**stored, "fields": fields, "choices": tuple(choices)})
