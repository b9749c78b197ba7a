"""Conversations made by hand: messages, trees of stored turns, and what a client shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentllm.conversations.digest import extended
from agentllm.conversations.records import Status, StoredTurn
from agentllm.core import JsonObject, Message
from tests.conversations.speaking import worked

BEGIN = "the digest of nothing"


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def system(text: str) -> Message:
    return Message("system", text)


def texts(messages: Iterable[Message]) -> list[str]:
    return [message.content for message in messages]


class Tree:
    """The turns of one conversation, in memory; implements `agentllm.conversations.position.Reader`."""

    def __init__(self) -> None:
        self.turns: list[StoredTurn] = []

    def add(
        self,
        *said: str | Message,
        answer: str,
        after: StoredTurn | None = None,
        message_id: str | None = None,
        status: Status = "complete",
        state: JsonObject | None = None,
        answer_id: str | None = None,
        calls: tuple[str, ...] = (),
        output: tuple[Message, ...] | None = None,
    ) -> StoredTurn:
        """A turn in which the agent also called a tool, unseen, where no `output` is given. Without `said` it
        continues the answer of `after`."""
        new = tuple(user(message) if isinstance(message, str) else message for message in said)
        before = BEGIN if after is None else (after.digest or after.asked)
        asked = extended(before, new) if new or after is None else after.asked
        turn = StoredTurn(
            id=len(self.turns) + 1,
            parent=after.id if after else None,
            status=status,
            message_id=message_id,
            asked=asked,
            digest=extended(asked, [assistant(answer)]) if answer else asked,
            input=new,
            output=output or (worked(texts(new)[-1] if new else "more", answer) if status == "complete" else ()),
            answer=answer,
            state=state,
            answer_id=answer_id,
            calls=calls,
        )
        self.turns.append(turn)
        return turn

    def newest(self) -> StoredTurn | None:
        return next((turn for turn in reversed(self.turns) if turn.status != "failed"), None)

    def by_message(self, message_id: str) -> StoredTurn | None:
        return next((turn for turn in reversed(self.turns) if turn.message_id == message_id), None)

    def versions(self, message_id: str) -> list[StoredTurn]:
        return [turn for turn in reversed(self.turns) if turn.message_id == message_id]

    def by_answer(self, answer_id: str) -> StoredTurn | None:
        return next((turn for turn in self.turns if turn.answer_id == answer_id), None)

    def by_digest(self, digests: Sequence[str]) -> StoredTurn | None:
        found = {turn.digest: turn for turn in self.turns}
        return next((found[digest] for digest in reversed(digests) if digest in found), None)

    def path(self, turn: StoredTurn) -> list[StoredTurn]:
        return [*(self.path(self.turns[turn.parent - 1]) if turn.parent else []), turn]


def transcript(path: Iterable[StoredTurn]) -> list[Message]:
    """What a client shows of turns that follow each other."""
    shown: list[Message] = []
    for turn in path:
        if not turn.input:
            del shown[-1]
        shown += [*turn.input, *([assistant(turn.answer)] if turn.answer else [])]
    return shown
