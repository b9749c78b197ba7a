"""Control messages: what a person writes in the place of a message to set the model or the prompt, or to ask for them.

A message is one if it begins with `[HOTSWAP:` and is nothing but control messages, each on lines of its own:

    [HOTSWAP:MODEL:provider/model]    a model; with nothing after the colon the agent's own again
    [HOTSWAP:PROMPT:text]             a prompt, of several lines if need be; with nothing the agent's own again
    [HOTSWAP:GET_CONFIG]              what is in force

White space around them does not count. A prompt may hold brackets, and ends with the last one before the next
control message or the end. What begins like a control message and is none is refused; any other message,
whatever stands in it further on, is the agent's to answer. So is one that begins with the text of a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from agentllm.core import Change, Message
from agentllm.errors import MalformedSwap

LONGEST_MODEL = 256
LONGEST_PROMPT = 32_768
"""Characters."""

GRAMMAR = (
    "A message of control messages has nothing else in it, each on lines of its own:\n"
    "[HOTSWAP:MODEL:provider/model]\n"
    "[HOTSWAP:PROMPT:text, of several lines if need be]\n"
    "[HOTSWAP:GET_CONFIG]\n"
    "With nothing after its colon, MODEL or PROMPT brings back that of the agent."
)

_BEGIN = "[HOTSWAP:"
_ONE = re.compile(r"\[HOTSWAP:(?:(MODEL|PROMPT):(.*)|GET_CONFIG)\]", re.DOTALL)
_BETWEEN = re.compile(r"\](\s*)\[HOTSWAP:")


def read_control(message: Message) -> tuple[Change, ...] | None:
    """What `message` sets, in its order; None where it is no control message.

    Raises:
        MalformedSwap: it begins like one, but is none.
    """
    text = message.content.strip()
    if message.role != "user" or not _begins_like_one(message):
        return None
    if message.media or message.document_at is not None:
        raise _malformed("it came with pictures, sounds or files")
    return tuple(change for part in _parted(text) if (change := _change(part)) is not None)


def write_control(changes: Iterable[Change]) -> str:
    """The control messages that set `changes`; those that ask what is in force where there are none.

    Raises:
        MalformedSwap: a value cannot stand in one.
    """
    lines = [f"[HOTSWAP:{change.what.upper()}:{change.value or ''}]" for change in map(checked, changes)]
    if any(_BETWEEN.search(line) for line in lines):
        raise _malformed("a prompt must not hold the end of one and the beginning of another")
    return "\n".join(lines or ["[HOTSWAP:GET_CONFIG]"])


def checked(change: Change) -> Change:
    """`change` without white space around its value, None for the value where nothing is left.

    Raises:
        MalformedSwap: the value is too long, or no name of a model.
    """
    value = (change.value or "").strip()
    longest = LONGEST_MODEL if change.what == "model" else LONGEST_PROMPT
    if len(value) > longest:
        raise MalformedSwap(f"The {change.what} to set has {len(value):,} characters; {longest:,} are the limit.")
    if change.what == "model" and (not value.isprintable() or "[" in value or "]" in value):
        raise _malformed("the name of a model is one line without brackets")
    return Change(change.what, value or None)


def without_control(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` without control messages and what was answered to them, which are no part of the conversation."""
    return tuple(_spoken(messages))


def _spoken(messages: Sequence[Message]) -> Iterator[Message]:
    was_control = False
    for message in messages:
        if message.role == "user":
            was_control = _begins_like_one(message)
        is_answer_to_it = message.role == "assistant" and not message.tool_calls
        if not was_control or (message.role != "user" and not is_answer_to_it):
            yield message


def _begins_like_one(message: Message) -> bool:
    return message.content[: message.document_at].lstrip().startswith(_BEGIN)


def _parted(text: str) -> Iterator[str]:
    begin = 0
    for found in _BETWEEN.finditer(text):
        if "\n" not in found[1]:
            raise _malformed("two of them stand on one line")
        yield text[begin : found.start() + 1]
        begin = found.end(1)
    yield text[begin:]


def _change(part: str) -> Change | None:
    found = _ONE.fullmatch(part)
    if found is None:
        raise _malformed("it holds something else, or ends without a bracket")
    if found[1] is None:
        return None
    return checked(Change("model" if found[1] == "MODEL" else "prompt", found[2]))


def _malformed(why: str) -> MalformedSwap:
    return MalformedSwap(f"This is no control message: {why}. Nothing was changed.\n{GRAMMAR}", param="messages")
