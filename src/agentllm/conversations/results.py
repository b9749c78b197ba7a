"""Results of tools: each must belong to a call, and models take them only right behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from agentllm.core import Message, ToolCall
from agentllm.errors import AlreadyDecided, InvalidRequest

NO_RESULT = "No result of this call is known."
"""What a model is told of a call that nobody gave a result for."""


def check_results(open_calls: Iterable[str], new: Sequence[Message], *, closed_calls: Iterable[str] = ()) -> None:
    """See that the results in `new` are those of the calls that are open, and that none is missing at its end.

    `open_calls` are those before `new`, `closed_calls` those that something followed already. Where a
    user's message follows, the rest of the open ones is let go.

    Raises:
        AlreadyDecided: a result is of a call that is closed.
        InvalidRequest: a result has no call, or the last results are not all.
    """
    wanted, closed = set(open_calls), set(closed_calls)
    for message in new:
        if message.role == "assistant":
            wanted = {call.id for call in message.tool_calls}
        elif message.role == "user":
            wanted = set()
        elif message.role == "tool":
            if message.tool_call_id in closed - wanted:
                raise AlreadyDecided(
                    f"The conversation went on after the call {message.tool_call_id!r} already, and its result counts "
                    "once. Send a new user message to go on."
                )
            if message.tool_call_id is None or message.tool_call_id not in wanted:
                raise InvalidRequest(
                    f"The result for the call {message.tool_call_id!r} has no open call of that id before it. "
                    "Send each result once, right after the answer that asked for it.",
                    param="messages",
                )
            wanted.remove(message.tool_call_id)
    if new and new[-1].role == "tool" and wanted:
        missing = ", ".join(sorted(wanted))
        raise InvalidRequest(
            f"Results are missing for the calls: {missing}. Send those of all calls of an answer together; "
            "nothing was run.",
            param="messages",
        )


def in_order(messages: Sequence[Message], *, last_may_be_open: bool = False) -> tuple[Message, ...]:
    """`messages` with the result of each call right behind it, in the order of the calls, by the name of its tool.

    Of several results of a call the last counts. A call that has none gets `NO_RESULT`, except, with
    `last_may_be_open`, those of the last answer with calls. A result without a call before it is left out.
    """
    if not any(message.tool_calls or message.role == "tool" for message in messages):
        return tuple(messages)
    last_call = max((index for index, message in enumerate(messages) if message.tool_calls), default=-1)
    ordered: list[Message] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            continue
        ordered.append(message)
        may_be_open = last_may_be_open and index == last_call
        for call in message.tool_calls:
            result = _result_of(call, islice(messages, index + 1, None))
            if result is not None:
                ordered.append(replace(result, name=call.name))
            elif not may_be_open:
                ordered.append(Message("tool", NO_RESULT, tool_call_id=call.id, name=call.name))
    return tuple(ordered)


def followed_by(before: Sequence[Message], new: Sequence[Message]) -> tuple[Message, ...]:
    """`before` in order, the last calls open, and `new` as it came, its results by the names of their tools.

    Some of them may be of questions whose calls are not in `before`.
    """
    names = {call.id: call.name for message in before for call in message.tool_calls}
    named = (replace(m, name=names.get(m.tool_call_id or "", m.name)) if m.role == "tool" else m for m in new)
    return (*in_order(before, last_may_be_open=True), *named)


def _result_of(call: ToolCall, later: Iterable[Message]) -> Message | None:
    """The last result of `call` before the next answer."""
    found = None
    for message in later:
        if message.role == "assistant":
            break
        if message.role == "tool" and message.tool_call_id == call.id:
            found = message
    return found
