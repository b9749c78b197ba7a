"""Puts an agent's questions to the person, in the form that the client of a turn has for it, and takes the answers.

The forms, in this order: Open WebUI's own panel, where the request offers its tool `ask_user`; a call of the
tool that the agent asks about, where the client has tools at all; else words, whose next message decides.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from agentllm.around import Around
from agentllm.conversations.results import in_order
from agentllm.core import (
    ClientCalls,
    Event,
    Finished,
    Message,
    Question,
    Questions,
    Text,
    Turn,
    Usage,
)
from agentllm.errors import AlreadyDecided, InvalidRequest
from agentllm.runtimes.questions.calls import as_call, as_panel_call, fits_in_panel
from agentllm.runtimes.questions.pause import CALL_PREFIX, Pause, is_answer
from agentllm.runtimes.questions.text import arguments_as_text, as_text, problems_as_text
from agentllm.runtimes.questions.values import open_fields


class Asking(Around):
    """A runtime whose `Questions` have become words or calls; implements `agentllm.core.Runtime`.

    A turn with `pending` is given the answers as its `decisions`. Only a clear yes approves. Where
    the person sends something else instead of an answer to a call, nothing is approved: the run is
    let go, and the agent answers that.
    """

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`.

        Raises:
            AlreadyDecided: what the turn `answers` is no longer open; nothing was run.
            InvalidRequest: the agent has a question in a conversation that is not stored, where no answer could be
                bound to it, or in words where the answer is to be JSON; what it asks about has not been run.
        """
        pause = None if turn.pending is None else Pause.from_json(turn.pending)
        if turn.answers and (pause is None or pause.turn != turn.answers):
            raise AlreadyDecided(
                "What this message answers is no longer open: the conversation went on after that was asked. Nothing "
                "was run. Say what is to be done in a new message."
            )
        if pause is None or turn.answers == "" or not pause.is_answered_by(turn.messages):
            given = replace(turn, pending=None, messages=in_order(_without_lost_answers(turn.messages)))
        else:
            left = pause.without_answers(turn.messages)
            pause, problems = pause.answered(turn.messages)
            if pause.waiting or pause.calls:
                yield Usage()
                for event in _asked(pause, turn, Finished("stop", state=turn.state), problems=problems):
                    yield event
                return
            given = replace(turn, pending=pause.run, decisions=pause.decided, messages=left)
        if all(message.role in ("system", "developer") for message in given.messages):
            raise InvalidRequest("'messages' holds nothing to answer; add a message of the role 'user'.")
        async with aclosing(self._inner.run(given)) as events, aclosing(_put(events, turn)) as put:
            async for event in put:
                yield event


async def _put(events: AsyncGenerator[Event, None], turn: Turn) -> AsyncGenerator[Event, None]:
    """The events of a run, its questions put to the person at the end."""
    calls, questions, said = ClientCalls(()), Questions(()), ""
    async for event in events:
        match event:
            case ClientCalls():
                calls = event
            case Questions():
                questions = event
                _check_stored(turn, questions)
            case Finished() if questions.questions:
                pause = Pause(event.pending, waiting=questions.questions, calls=calls.calls)
                for one in _asked(pause, turn, event, said=said):
                    yield one
            case Finished():
                if calls.calls:
                    yield calls
                yield event
            case _:
                said = event.text if isinstance(event, Text) and event.text else said
                yield event


def _check_stored(turn: Turn, questions: Questions) -> None:
    if turn.place is None:
        raise InvalidRequest(
            f"{_must_ask(turn, questions.questions)}, and the answer can only be taken in a conversation that is "
            "stored. Nothing of that was run. Send the request without 'store': false, or in a chat that is not "
            "temporary.",
            param="store",
        )


def _check_words_fit(turn: Turn, asked: Sequence[Question]) -> None:
    if turn.output_format is not None:
        raise InvalidRequest(
            f"{_must_ask(turn, asked)}, and a question in words has not the form of 'response_format'. Nothing of that "
            "was run. Send the request without it, or with a tool, so that the question comes as a call.",
            param="response_format",
        )


def _must_ask(turn: Turn, questions: Sequence[Question]) -> str:
    tools = ", ".join(repr(question.tool) for question in questions)
    return f"The agent {turn.agent!r} must ask a person before it calls {tools}"


def _asked(
    pause: Pause, turn: Turn, ended: Finished, *, said: str = "", problems: Sequence[str] = ()
) -> Iterator[Event]:
    """The events that ask the next questions of `pause`, or call the client's tools, and end the turn."""
    pause = pause.next_asked(turn.id, turn.client_tools)
    words, calls = [problems_as_text(problems)] if problems else [], []
    if pause.asked and pause.form == "text":
        _check_words_fit(turn, pause.asked)
        words += map(as_text, pause.asked)
    elif pause.asked and pause.form == "panel":
        words += filter(None, map(_shown_above, pause.asked))
        calls = [as_panel_call(pause.call_id(pause.asked[0]), pause.asked)]
    else:
        calls = [*pause.calls, *(as_call(pause.call_id(question), question) for question in pause.asked)]
        pause = replace(pause, calls=())
    if words:
        yield Text(("\n\n" if said and not said[-1].isspace() else "") + "\n\n".join(words))
    if calls:
        yield ClientCalls(tuple(calls))
    asked = turn.id if pause.asked else None
    yield replace(ended, reason="tool_calls" if calls else "stop", pending=pause.to_json(), asked=asked)


def _shown_above(question: Question) -> str:
    """What Open WebUI's panel has no room for."""
    if question.kind == "choices" or (question.kind == "confirmation" and fits_in_panel(question)):
        return ""
    arguments = arguments_as_text(question, without=open_fields(question))
    return f"`{question.tool}` would be called with:\n\n{arguments}" if arguments else ""


def _without_lost_answers(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A transcript without calls that asked a person; their run cannot be gone on with.

    Where it ends with the answers, the agent is told that they came to nothing.
    """
    asked = {call.id: call.name for m in messages for call in m.tool_calls if call.id.startswith(CALL_PREFIX)}
    lost: list[str] = []
    left: list[Message] = []
    for message in messages:
        if is_answer(message):
            lost += [name] if (name := asked.get(message.tool_call_id or "")) else []
            continue
        if message.role == "assistant":
            lost = []
            message = replace(message, tool_calls=tuple(c for c in message.tool_calls if c.id not in asked))
            if not (message.content or message.tool_calls or message.media):
                continue
        left.append(message)
    if lost and messages[-1].role == "tool":
        names = ", ".join(f"`{name}`" for name in lost)
        left.append(
            Message("user", f"My answer about {names} counts no longer: that run is over. What it ran is not known.")
        )
    return tuple(left)
