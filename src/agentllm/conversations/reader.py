"""The turns of one conversation, as they are read in a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from agentllm.conversations import queries
from agentllm.conversations.position import Position
from agentllm.conversations.records import StoredTurn, from_json, swap_from_json
from agentllm.core import JsonObject
from agentllm.errors import AlreadyDecided

FIRST_LOOK = 1
MOST_IN_A_LOOK = 512
"""How many of a transcript's answers are looked for at once, from the last back: at first, and at most."""


class Turns:
    """Implements `agentllm.conversations.position.Reader`.

    A path holds at most `window` turns, where one that ended with calls or questions counts as one with the next.
    """

    def __init__(self, connection: sa.Connection, conversation: str, window: int) -> None:
        self._connection = connection
        self._conversation = conversation
        self._window = window
        self._last: StoredTurn | None = None

    def last(self) -> StoredTurn | None:
        """The turn that was begun last, whatever became of it."""
        self._last = self._one(queries.LAST)
        return self._last

    def newest(self) -> StoredTurn | None:
        if self._last is None or self._last.status in ("complete", "interrupted"):
            return self._last
        return self._one(queries.NEWEST)

    def by_message(self, message_id: str) -> StoredTurn | None:
        return self._one(queries.BY_MESSAGE, message_id=message_id)

    def by_answer(self, answer_id: str) -> StoredTurn | None:
        return self._one(queries.BY_ANSWER, answer_id=answer_id)

    def pending_of(self, position: Position) -> JsonObject | None:
        """What is pending before `position`, as long as no other turn went on from there.

        Raises:
            AlreadyDecided: one did, and this one brings results of tools for it too.
        """
        before = position.parent
        if before is None or before.pending is None or not position.new:
            return None
        if self._connection.execute(queries.A_CHILD, {"turn": before.id}).first() is None:
            return before.pending
        if position.new[-1].role == "tool":
            raise AlreadyDecided(
                "What the agent asked before its last answer was decided already, and is done once. "
                "Send a new user message to go on."
            )
        return None

    def by_digest(self, digests: Sequence[str]) -> StoredTurn | None:
        for some in from_the_end(digests):
            wanted = {"conversation": self._conversation, "digests": some}
            rows = self._connection.execute(queries.BY_DIGEST_HERE, wanted)
            found = {turn.digest: turn for turn in map(stored_turn, rows)}
            if found:
                return next(found[digest] for digest in some if digest in found)
        return None

    def path(self, turn: StoredTurn) -> list[StoredTurn]:
        if turn.parent is None:
            return [turn]
        rows = self._connection.execute(queries.PATH, {"turn": turn.parent, "turns": self._window - 1}).all()
        return [*map(stored_turn, rows), turn]

    def _one(self, query: sa.Select[tuple[object, ...]], **parameters: str) -> StoredTurn | None:
        row = self._connection.execute(query, {"conversation": self._conversation, **parameters}).first()
        return None if row is None else stored_turn(row)


def stored_turn(row: sa.Row[tuple[object, ...]]) -> StoredTurn:
    """The turn of a row of `turns`."""
    return StoredTurn(
        id=row.id,
        parent=row.parent,
        status=row.status,
        message_id=row.message_id,
        asked=row.asked,
        digest=row.digest,
        input=from_json(row.input),
        output=from_json(row.output),
        answer=row.answer,
        state=row.state,
        answer_id=row.answer_id,
        calls=tuple(row.calls or ()),
        pending=row.pending,
        swap=swap_from_json(row.swap),
    )


def from_the_end(digests: Sequence[str]) -> Iterator[list[str]]:
    """`digests`, the last first, in parts that grow: most transcripts are known up to their last answer."""
    end, size = len(digests), FIRST_LOOK
    while end > 0:
        yield list(reversed(digests[max(0, end - size) : end]))
        end, size = end - size, min(size * 8, MOST_IN_A_LOOK)
