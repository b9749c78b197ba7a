"""The store of conversations: trees of turns, each of which names the turn before it.

A branch is read backwards from one turn, no further than an agent is given again, so that the
cost of a turn does not grow with the past. Agno's own tables are not used: Agno reads all runs of
a session for each run, and goes on without a word where it cannot write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from agentllm.conversations import queries
from agentllm.conversations.database import Database, make_engine, reason
from agentllm.conversations.digest import extended
from agentllm.conversations.position import Asked, Position, locate
from agentllm.conversations.reader import Turns, from_the_end, stored_turn
from agentllm.conversations.records import Status, StoredTurn, swap_to_json, to_json
from agentllm.conversations.results import check_results
from agentllm.conversations.schema import conversations, turns, upgrade
from agentllm.core import JsonObject, Message, Swap, ToolCall
from agentllm.errors import ConfigurationError, StoreUnavailable

FILE = "agentllm.sqlite3"

START_PATIENCE = 1.0
"""Seconds for which the begin of a turn is tried again; nothing has run yet."""

END_PATIENCE = 10.0
"""Seconds for which the end of a turn is tried again, before the request fails."""


NOTHING_SET = Swap()


@dataclass(frozen=True, slots=True)
class Place:
    """The conversation of a request and who owns it; `session` is None where the client named none."""

    conversation: str
    caller: str
    agent: str
    session: str | None


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that was begun: its id, where it stands, and what is pending of the turn before it and still open."""

    id: int
    position: Position
    pending: JsonObject | None = None


class Store:
    """Conversations on disk; may be used from several event loops and several processes at once."""

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self._database = Database(url)

    @property
    def database(self) -> Database:
        """The connection, on which what belongs to a turn is written with it."""
        return self._database

    def create(self) -> None:
        """Make the database where it is missing, and bring an older one up to date.

        Raises:
            ConfigurationError: it cannot be made, reached or written, or is of a newer AgentLLM.
        """
        try:
            if self.url.get_backend_name() == "sqlite" and self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = make_engine(self.url)
            try:
                upgrade(engine)
            finally:
                engine.dispose()
        except (OSError, SQLAlchemyError) as error:
            raise ConfigurationError(
                f"Conversations cannot be stored in {self.url.render_as_string(hide_password=True)!r}: "
                f"{reason(error)}. Set AGENTLLM_DATA_DIR to a folder that can be written, or AGENTLLM_DB_URL to a "
                "database that can be reached."
            ) from None

    async def warm_up(self) -> None:
        """Read once, so that the first turn need not wait for that.

        Raises:
            StoreUnavailable: it could not be read.
        """
        await self.conversation_with(["nothing"])

    async def conversation_with(self, digests: Sequence[str]) -> str | None:
        """The conversation of the newest turn after which a transcript has the last of `digests` that is found.

        Raises:
            StoreUnavailable: it could not be read.
        """

        def work(connection: sa.Connection) -> str | None:
            for some in from_the_end(digests):
                found = connection.execute(queries.BY_DIGEST, {"digests": some}).all()
                by_digest = {row.digest: str(row.conversation) for row in found}
                if by_digest:
                    return next(by_digest[digest] for digest in some if digest in by_digest)
            return None

        return await self._database.run(work, patience=START_PATIENCE)

    async def conversation_of(self, answer_id: str, caller: str, agent: str) -> str | None:
        """The conversation of that caller and agent in which the answer was given.

        Raises:
            StoreUnavailable: it could not be read.
        """
        owned = {"answer_id": answer_id, "caller": caller, "agent": agent}

        def work(connection: sa.Connection) -> str | None:
            found: str | None = connection.execute(queries.CONVERSATION_OF, owned).scalar()
            return found

        return await self._database.run(work, patience=START_PATIENCE)

    async def begin(self, place: Place, asked: Asked, *, window: int, answer_id: str | None = None) -> Begun:
        """Store what was asked, as a turn that is running; it outlives this process when this returns.

        At most `window` turns are read. A turn of the conversation that is still marked as running
        is marked as interrupted: its process is gone, for the caller holds the conversation's lock.

        Raises:
            StoreUnavailable: it could not be read or written, and nothing of it is stored.
            AlreadyDecided: it answers what was answered before.
            InvalidRequest: it brings results of tools that do not fit.
        """

        def work(connection: sa.Connection) -> Begun:
            reader = Turns(connection, place.conversation, window)
            newest = reader.last()
            if newest is None:
                connection.execute(conversations.insert(), _owned(place))
            elif newest.status == "running":
                _interrupt(connection, newest)
            position = locate(asked, reader)
            pending = reader.pending_of(position)
            *before, last = [turn.calls for turn in position.path] or [()]
            check_results(last, position.new, closed_calls=chain.from_iterable(before))
            parent = position.parent
            values = {
                "conversation": place.conversation,
                "parent": parent and _continued(connection, place, position, parent),
                "status": "running",
                "message_id": asked.message_id,
                "asked": position.asked,
                "input": to_json(position.new),
                "output": [],
                "answer": position.said_before,
                "state": parent and parent.state,
                "swap": swap_to_json(parent.swap) if parent else None,
                "answer_id": answer_id,
            }
            return Begun(connection.execute(queries.INSERT, values).scalar_one(), position, pending)

        return await self._database.run(work, patience=START_PATIENCE, durable=False)

    async def finish(
        self,
        begun: Begun,
        *,
        output: Sequence[Message],
        answer: str,
        state: JsonObject | None,
        calls: tuple[ToolCall, ...] = (),
        pending: JsonObject | None = None,
        swap: Swap = NOTHING_SET,
    ) -> None:
        """Store a whole turn; it is on disk when this returns. `answer` is all that the client shows of it,
        `calls` are those of its tools, `swap` is what is in force after it.

        Raises:
            StoreUnavailable: it could not be written, or the conversation was deleted meanwhile.
        """
        ended = _ended(begun, "complete", Message("assistant", answer, calls))
        ids = [call.id for call in calls] or None
        kept = {"calls": ids, "pending": pending, "swap": swap_to_json(swap)}
        values = {"output": to_json(output), "state": state, **kept, **ended}

        def work(connection: sa.Connection) -> None:
            if connection.execute(queries.UPDATE, {"turn": begun.id, **values}).rowcount != 1:
                raise StoreUnavailable("The conversation was deleted during this turn, so its answer is not stored.")

        await self._database.run(work, patience=END_PATIENCE)

    def keep(self, begun: Begun, answer: str, done: Sequence[Message] = ()) -> None:
        """Store soon how far the answer has come, and what the agent's tools have done."""
        values = {"turn": begun.id, "answer": answer, "output": to_json(done)}
        self._database.run_soon(lambda connection: connection.execute(queries.KEEP, values))

    async def give_up(self, begun: Begun, status: Status, answer: str, done: Sequence[Message] = ()) -> None:
        """Mark a turn that will not be finished; this is done even if the caller is cancelled meanwhile.

        `done` is what the agent's tools did, with the text before each.

        Raises:
            StoreUnavailable: it could not be written.
        """
        values = {"output": to_json(done), **_ended(begun, status, Message("assistant", answer))}

        def work(connection: sa.Connection) -> None:
            connection.execute(queries.GIVE_UP, {"turn": begun.id, **values})

        await self._database.run(work, patience=START_PATIENCE)

    async def take_back(self, begun: Begun) -> None:
        """Delete a turn of which nothing ran, as if it had not been begun: what was pending before it is open again.

        Raises:
            StoreUnavailable: it could not be written.
        """

        def work(connection: sa.Connection) -> None:
            connection.execute(queries.TAKE_BACK, {"turn": begun.id})

        await self._database.run(work, patience=START_PATIENCE)

    def close(self) -> None:
        """Write what is still to be written, and let go of the database."""
        self._database.close()


def _owned(place: Place) -> dict[str, str | None]:
    return {"id": place.conversation, "caller": place.caller, "agent": place.agent, "session": place.session}


def _ended(begun: Begun, status: Status, answer: Message) -> dict[str, str]:
    return {"status": status, "answer": answer.content, "digest": _digest(begun.position.asked, answer)}


def _digest(asked: str, answer: Message) -> str:
    return extended(asked, [answer]) if answer.content or answer.tool_calls else asked


def _interrupt(connection: sa.Connection, turn: StoredTurn) -> None:
    digest = _digest(turn.asked, Message("assistant", turn.answer))
    values = {"status": "interrupted", "output": to_json(turn.output), "answer": turn.answer, "digest": digest}
    connection.execute(queries.GIVE_UP, {"turn": turn.id, **values})


def _continued(connection: sa.Connection, place: Place, position: Position, parent: StoredTurn) -> int:
    """The turn to stand on. Where more of an answer is wanted that was stopped, and of which the client has
    another part than was stored, that is stored as it has it."""
    if position.new or parent.status != "interrupted":
        return parent.id
    if connection.execute(queries.ANSWER, {"turn": parent.id}).scalar_one() == parent.answer:
        return parent.id
    values = {
        "conversation": place.conversation,
        "parent": parent.parent,
        "status": parent.status,
        "message_id": parent.message_id,
        "asked": parent.asked,
        "digest": parent.digest,
        "input": to_json(parent.input),
        "output": to_json(parent.output),
        "answer": parent.answer,
        "state": parent.state,
        "swap": swap_to_json(parent.swap),
    }
    return int(connection.execute(turns.insert().returning(turns.c.id), values).scalar_one())


def interrupt_running(connection: sa.Connection, conversation: str) -> int:
    """Mark the running turns of `conversation` as interrupted, whose lock the caller holds; returns their number."""
    rows = connection.execute(queries.RUNNING, {"conversation": conversation}).all()
    for row in rows:
        _interrupt(connection, stored_turn(row))
    return len(rows)
