"""The store of conversations: trees of turns, each of which names the turn before it.

A branch is read backwards from one turn, no further than an agent is given again, so that the
cost of a turn does not grow with the past. Agno's own tables are not used: Agno reads all runs of
a session for each run, and goes on without a word where it cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from agentllm.conversations.database import Database, make_engine, reason
from agentllm.conversations.digest import extended
from agentllm.conversations.position import Asked, Position, locate
from agentllm.conversations.records import Status, StoredTurn, from_json, to_json
from agentllm.conversations.results import check_results
from agentllm.conversations.schema import RUNNING, conversations, turns, upgrade
from agentllm.core import JsonObject, Message, ToolCall
from agentllm.errors import AlreadyDecided, ConfigurationError, StoreUnavailable

FILE = "agentllm.sqlite3"

START_PATIENCE = 1.0
"""Seconds for which the begin of a turn is tried again; nothing has run yet."""

END_PATIENCE = 10.0
"""Seconds for which the end of a turn is tried again, before the request fails."""

FIRST_LOOK = 1
MOST_IN_A_LOOK = 512
"""How many of a transcript's answers are looked for at once, from the last back: at first, and at most."""


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
            for some in _from_the_end(digests):
                found = connection.execute(_BY_DIGEST, {"digests": some}).all()
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
            found: str | None = connection.execute(_CONVERSATION_OF, owned).scalar()
            return found

        return await self._database.run(work, patience=START_PATIENCE)

    async def begin(self, place: Place, asked: Asked, *, window: int, answer_id: str | None = None) -> Begun:
        """Store what was asked, as a turn that is running; it is on disk when this returns.

        At most `window` turns are read. A turn of the conversation that is still marked as running
        is marked as interrupted: its process is gone, for the caller holds the conversation's lock.

        Raises:
            StoreUnavailable: it could not be read or written, and nothing of it is stored.
            AlreadyDecided: it answers questions that were answered before.
            InvalidRequest: it brings results of tools that do not fit.
        """

        def work(connection: sa.Connection) -> Begun:
            reader = _Turns(connection, place.conversation, window)
            newest = reader.last()
            if newest is None:
                connection.execute(conversations.insert(), _owned(place))
            elif newest.status == "running":
                _interrupt(connection, newest)
            position = locate(asked, reader)
            pending = reader.pending_of(position)
            check_results(position.parent.calls if position.parent else (), position.new)
            values = {
                "conversation": place.conversation,
                "parent": position.parent and position.parent.id,
                "status": "running",
                "message_id": asked.message_id,
                "asked": position.asked,
                "input": to_json(position.new),
                "output": [],
                "answer": position.said_before,
                "state": position.parent and position.parent.state,
                "answer_id": answer_id,
            }
            return Begun(connection.execute(_INSERT, values).scalar_one(), position, pending)

        return await self._database.run(work, patience=START_PATIENCE)

    async def finish(
        self,
        begun: Begun,
        *,
        output: Sequence[Message],
        answer: str,
        state: JsonObject | None,
        calls: tuple[ToolCall, ...] = (),
        pending: JsonObject | None = None,
    ) -> None:
        """Store a whole turn; it is on disk when this returns. `answer` is all that the client shows of it,
        `calls` are those of its tools.

        Raises:
            StoreUnavailable: it could not be written, or the conversation was deleted meanwhile.
        """
        ended = _ended(begun, "complete", Message("assistant", answer, calls))
        ids = [call.id for call in calls] or None
        values = {"output": to_json(output), "state": state, "calls": ids, "pending": pending, **ended}

        def work(connection: sa.Connection) -> None:
            if connection.execute(_UPDATE, {"turn": begun.id, **values}).rowcount != 1:
                raise StoreUnavailable("The conversation was deleted during this turn, so its answer is not stored.")

        await self._database.run(work, patience=END_PATIENCE)

    def keep(self, begun: Begun, answer: str) -> None:
        """Store soon how far the answer has come."""
        self._database.run_soon(
            lambda connection: connection.execute(_KEEP, {"turn": begun.id, "answer": answer}),
        )

    async def give_up(self, begun: Begun, status: Status, answer: str) -> None:
        """Mark a turn that will not be finished; this is done even if the caller is cancelled meanwhile.

        Raises:
            StoreUnavailable: it could not be written.
        """
        values = _ended(begun, status, Message("assistant", answer))

        def work(connection: sa.Connection) -> None:
            connection.execute(_GIVE_UP, {"turn": begun.id, **values})

        await self._database.run(work, patience=START_PATIENCE)

    def close(self) -> None:
        """Write what is still to be written, and let go of the database."""
        self._database.close()


class _Turns:
    """The turns of one conversation, read in a transaction."""

    def __init__(self, connection: sa.Connection, conversation: str, window: int) -> None:
        self._connection = connection
        self._conversation = conversation
        self._window = window
        self._last: StoredTurn | None = None

    def last(self) -> StoredTurn | None:
        """The turn that was begun last, whatever became of it."""
        self._last = self._one(_LAST)
        return self._last

    def newest(self) -> StoredTurn | None:
        if self._last is None or self._last.status in ("complete", "interrupted"):
            return self._last
        return self._one(_NEWEST)

    def by_message(self, message_id: str) -> StoredTurn | None:
        return self._one(_BY_MESSAGE, message_id=message_id)

    def by_answer(self, answer_id: str) -> StoredTurn | None:
        return self._one(_BY_ANSWER, answer_id=answer_id)

    def pending_of(self, position: Position) -> JsonObject | None:
        """What is pending before `position`, as long as no other turn went on from there.

        Raises:
            AlreadyDecided: one did, and this one brings results of tools for it too.
        """
        before = position.parent
        if before is None or before.pending is None or not position.new:
            return None
        if self._connection.execute(_A_CHILD, {"turn": before.id}).first() is None:
            return before.pending
        if position.new[-1].role == "tool":
            raise AlreadyDecided(
                "What the agent asked before its last answer was decided already, and is done once. "
                "Send a new user message to go on."
            )
        return None

    def by_digest(self, digests: Sequence[str]) -> StoredTurn | None:
        for some in _from_the_end(digests):
            rows = self._connection.execute(_BY_DIGEST_HERE, {"conversation": self._conversation, "digests": some})
            found = {turn.digest: turn for turn in map(stored_turn, rows)}
            if found:
                return next(found[digest] for digest in some if digest in found)
        return None

    def path(self, turn: StoredTurn) -> list[StoredTurn]:
        if turn.parent is None or self._window == 1:
            return [turn]
        rows = self._connection.execute(_PATH, {"turn": turn.parent, "turns": self._window - 1}).all()
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
    )


def _from_the_end(digests: Sequence[str]) -> Iterator[list[str]]:
    """`digests`, the last first, in parts that grow: most transcripts are known up to their last answer."""
    end, size = len(digests), FIRST_LOOK
    while end > 0:
        yield list(reversed(digests[max(0, end - size) : end]))
        end, size = end - size, min(size * 8, MOST_IN_A_LOOK)


def _owned(place: Place) -> dict[str, str | None]:
    return {"id": place.conversation, "caller": place.caller, "agent": place.agent, "session": place.session}


def _ended(begun: Begun, status: Status, answer: Message) -> dict[str, str]:
    return {"status": status, "answer": answer.content, "digest": _digest(begun.position.asked, answer)}


def _digest(asked: str, answer: Message) -> str:
    return extended(asked, [answer]) if answer.content or answer.tool_calls else asked


def _interrupt(connection: sa.Connection, turn: StoredTurn) -> None:
    digest = _digest(turn.asked, Message("assistant", turn.answer))
    values = {"status": "interrupted", "answer": turn.answer, "digest": digest}
    connection.execute(_GIVE_UP, {"turn": turn.id, **values})


def interrupt_running(connection: sa.Connection, conversation: str) -> int:
    """Mark the running turns of `conversation` as interrupted, whose lock the caller holds; returns their number."""
    rows = connection.execute(_RUNNING, {"conversation": conversation}).all()
    for row in rows:
        _interrupt(connection, stored_turn(row))
    return len(rows)


_COLUMNS = [column for column in turns.c if column.name not in ("conversation", "created_at")]
_HERE = turns.c.conversation == sa.bindparam("conversation")
_LAST = sa.select(*_COLUMNS).where(_HERE).order_by(turns.c.id.desc()).limit(1)
_NEWEST = sa.select(*_COLUMNS).where(_HERE, turns.c.status != "failed").order_by(turns.c.id.desc()).limit(1)
_RUNNING = sa.select(*_COLUMNS).where(_HERE, RUNNING)
_BY_MESSAGE = (
    sa.select(*_COLUMNS)
    .where(_HERE, turns.c.message_id == sa.bindparam("message_id"))
    .order_by(turns.c.id.desc())
    .limit(1)
)
_BY_ANSWER = sa.select(*_COLUMNS).where(_HERE, turns.c.answer_id == sa.bindparam("answer_id")).limit(1)
_CONVERSATION_OF = (
    sa.select(turns.c.conversation)
    .join(conversations, conversations.c.id == turns.c.conversation)
    .where(
        turns.c.answer_id == sa.bindparam("answer_id"),
        conversations.c.caller == sa.bindparam("caller"),
        conversations.c.agent == sa.bindparam("agent"),
    )
)
_A_CHILD = sa.select(turns.c.id).where(turns.c.parent == sa.bindparam("turn")).limit(1)
_DIGESTS = turns.c.digest.in_(sa.bindparam("digests", expanding=True))
_NEWEST_OF_EACH = sa.select(sa.func.max(turns.c.id)).where(_DIGESTS).group_by(turns.c.digest)
_BY_DIGEST = sa.select(turns.c.digest, turns.c.conversation).where(turns.c.id.in_(_NEWEST_OF_EACH))
_BY_DIGEST_HERE = sa.select(*_COLUMNS).where(turns.c.id.in_(_NEWEST_OF_EACH.where(_HERE)))
_INSERT = turns.insert().returning(turns.c.id)
_THIS = turns.c.id == sa.bindparam("turn")
_WRITTEN_AT_END = ("output", "state", "calls", "pending", "status", "answer", "digest")
_UPDATE = (
    turns.update()
    .where(_THIS)
    .values(
        {name: sa.bindparam(name) for name in ("output", "state", "calls", "pending", "status", "answer", "digest")}
    )
)
_KEEP = turns.update().where(_THIS, turns.c.status == "running").values(answer=sa.bindparam("answer"))
_GIVE_UP = (
    turns.update()
    .where(_THIS, turns.c.status == "running")
    .values({name: sa.bindparam(name) for name in ("status", "answer", "digest")})
)


def _path_query() -> sa.Select[tuple[object, ...]]:
    path = sa.select(*_COLUMNS, sa.literal(1).label("depth")).where(_THIS).cte("path", recursive=True)
    before = (
        sa.select(*_COLUMNS, path.c.depth + 1)
        .join(path, turns.c.id == path.c.parent)
        .where(path.c.depth < sa.bindparam("turns"))
    )
    whole = path.union_all(before)
    return sa.select(*(whole.c[column.name] for column in _COLUMNS)).order_by(whole.c.depth.desc())


_PATH = _path_query()
