"""Where in the tree of a conversation a request stands: after which turn, and what of it is new.

In this order: our own id of the answer before; the ids that a front end gives its messages; the session
alone, where only something new was sent; the transcript, as far as it is exactly what was sent and
given; else a beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentllm.conversations.digest import extended
from agentllm.conversations.records import CONTINUE, StoredTurn
from agentllm.conversations.seen import Versions, as_seen
from agentllm.core import Message

INSTRUCTION_ROLES = frozenset({"system", "developer"})


class Reader(Versions, Protocol):
    """The turns of one conversation."""

    def newest(self) -> StoredTurn | None:
        """The turn that was begun last, of those that did not fail."""

    def by_message(self, message_id: str) -> StoredTurn | None:
        """The newest turn whose answer a front end gave that id."""

    def by_answer(self, answer_id: str) -> StoredTurn | None:
        """The turn whose answer has that id of ours."""

    def by_digest(self, digests: Sequence[str]) -> StoredTurn | None:
        """The newest turn after which the conversation has the last of `digests` that is found."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request says where it stands.

    `begin` is the digest of nothing. `messages` are without instructions. `message_id` and
    `parent_id` are a front end's ids of the answer to be and of the answer before it: None where
    it gives none, '' where there is no answer before. `after` is our own id of the answer before.
    """

    begin: str
    messages: tuple[Message, ...]
    message_id: str | None = None
    parent_id: str | None = None
    after: str | None = None
    appends: bool = False
    """Whether messages without any answer among them follow what was said before."""

    @property
    def continues(self) -> bool:
        """Whether more of the last answer is wanted."""
        return self.messages[-1].role == "assistant"

    @property
    def results(self) -> tuple[Message, ...]:
        """The results of the client's tools that it ends with."""
        last_other = max((i for i, message in enumerate(self.messages) if message.role != "tool"), default=-1)
        return self.messages[last_other + 1 :]

    def digests(self) -> dict[str, int]:
        """The digest after each answer of the transcript, and how many messages it covers."""
        found: dict[str, int] = {}
        digest = self.begin
        for count, message in enumerate(self.messages, 1):
            digest = extended(digest, [message])
            if message.role == "assistant":
                found[digest] = count
        return found


@dataclass(frozen=True, slots=True)
class Position:
    """The `path` of turns before as they are seen, oldest first, and the `new` messages after it.

    Where nothing is new, more of the last turn's answer is wanted; with `begun`, more of that
    answer to the new messages, which is not among the stored ones.
    """

    path: tuple[StoredTurn, ...]
    new: tuple[Message, ...]
    begin: str
    begun: str = ""

    @property
    def parent(self) -> StoredTurn | None:
        return self.path[-1] if self.path else None

    @property
    def asked(self) -> str:
        """The digest of the visible conversation before the answer."""
        if self.parent is None:
            return extended(self.begin, self.new)
        return extended(self.parent.digest or self.parent.asked, self.new) if self.new else self.parent.asked

    @property
    def said_before(self) -> str:
        """The part of the answer that the client has already."""
        return self.parent.answer if self.parent is not None and not self.new else self.begun

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What the agent is given after the new messages."""
        if self.begun:
            return (Message("assistant", self.begun), CONTINUE)
        return () if self.new and self.new[-1].role != "assistant" else (CONTINUE,)


def locate(asked: Asked, turns: Reader) -> Position:
    """Where the request stands among the stored turns of its conversation."""
    if asked.after is not None and (before := turns.by_answer(asked.after)):
        return _placed(turns.path(before), asked.messages, asked.begin)
    if asked.message_id is not None and (by_ids := _by_ids(asked, turns)):
        return by_ids
    if asked.message_id is None and asked.appends and not _holds_answers(asked.messages):
        newest = turns.newest()
        return _placed(turns.path(newest) if newest else (), asked.messages, asked.begin)
    return _by_transcript(asked, turns)


def _by_ids(asked: Asked, turns: Reader) -> Position | None:
    """A front end's ids place a request, except that results of calls that the answer did not make are of the
    calls that the front end shows."""
    if asked.continues or asked.results:
        before: str | None = asked.message_id
        new = asked.results
    elif asked.parent_id:
        before, new = asked.parent_id, asked.messages[_last_question(asked.messages) :]
    else:
        return _placed((), asked.messages, asked.begin)
    turn = turns.by_message(before or "")
    if turn is None or not {result.tool_call_id for result in asked.results}.issubset(turn.calls):
        return None
    return _as_seen(turns.path(turn), new, asked, turns)


def _by_transcript(asked: Asked, turns: Reader) -> Position:
    digests = asked.digests()
    turn = turns.by_digest(list(digests)) if digests else None
    if turn is None or turn.digest is None:
        return _placed((), asked.messages, asked.begin)
    return _as_seen(turns.path(turn), asked.messages[digests[turn.digest] :], asked, turns)


def _as_seen(path: Sequence[StoredTurn], new: tuple[Message, ...], asked: Asked, turns: Reader) -> Position:
    shown = asked.messages[: len(asked.messages) - len(new)]
    seen = as_seen(path, shown, new, asked.begin, turns)
    return _placed((), asked.messages, asked.begin) if seen is None else _placed(*seen, asked.begin)


def _placed(path: Sequence[StoredTurn], new: tuple[Message, ...], begin: str) -> Position:
    if len(new) > 1 and new[-1].role == "assistant":
        return Position(tuple(path), new[:-1], begin, begun=new[-1].content)
    return Position(tuple(path), new, begin)


def _holds_answers(messages: Sequence[Message]) -> bool:
    return any(message.role == "assistant" for message in messages)


def _last_question(messages: Sequence[Message]) -> int:
    """Where the person spoke last; what comes after are calls of tools for them, and results."""
    return max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
