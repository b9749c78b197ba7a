"""Where in a conversation a request stands: what is remembered before it and what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentllm.conversations.records import StoredTurn
from agentllm.core import Message

INSTRUCTION_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class Position:
    """`remembered` turns, oldest first, come before the `new` messages, after which `parent` is the last."""

    remembered: tuple[StoredTurn, ...]
    new: tuple[Message, ...]

    @property
    def parent(self) -> int | None:
        return self.remembered[-1].id if self.remembered else None


def locate(branch: Sequence[StoredTurn], messages: Sequence[Message]) -> Position:
    """Where a request with `messages` stands on the stored `branch` (oldest turn first).

    New messages alone are appended. A client that sends the transcript so far is believed: the
    stored turns count as far as it agrees with them, and from where they part what the client
    sent is the conversation. A branch that is only the end of a longer conversation counts
    where the transcript ends with it: of several places that match, the last.
    """
    said = [message for message in messages if message.role not in INSTRUCTION_ROLES]
    if not any(message.role == "assistant" for message in said):
        return Position(tuple(branch), tuple(said))
    begins_at_root = not branch or branch[0].parent is None
    starts = [0] if begins_at_root else reversed(range(len(said)))
    for start in starts:
        matched, end = _match(branch, said, start)
        if matched == len(branch) or (begins_at_root and start == 0):
            return Position(tuple(branch[:matched]), tuple(said[end if matched else 0 :]))
    return Position((), tuple(said))


def _match(branch: Sequence[StoredTurn], said: Sequence[Message], start: int) -> tuple[int, int]:
    """How many turns of `branch` stand in `said` from `start` on, and where the last of them ends."""
    at = start
    for count, turn in enumerate(branch):
        visible = _visible(turn)
        if [(m.role, m.content.strip()) for m in said[at : at + len(visible)]] != visible:
            return count, at
        at += len(visible)
    return len(branch), at


def _visible(turn: StoredTurn) -> list[tuple[str, str]]:
    """What the client was shown of a turn: its own messages and the text of the answer."""
    return [*((m.role, m.content.strip()) for m in turn.input), ("assistant", turn.answer.strip())]
