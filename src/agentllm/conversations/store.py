"""The store of conversations: SQLite in the data directory.

Every turn is a row that names the turn before it, so a conversation is a tree and a branch is
read backwards from its newest turn, no further than an agent is given again. A write that
fails is an error of the request; nothing is swallowed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from agentllm.conversations.records import StoredTurn, from_json, to_json
from agentllm.core import JsonObject, Message
from agentllm.errors import ConfigurationError, StoreUnavailable

log = logging.getLogger("agentllm.store")

_FILE = "agentllm.sqlite3"
_BUSY_SECONDS = 15

_metadata = sa.MetaData()

_turns = sa.Table(
    "turns",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("conversation", sa.String(64), nullable=False),
    sa.Column("parent", sa.ForeignKey("turns.id")),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("input", sa.JSON, nullable=False),
    sa.Column("output", sa.JSON, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("state", sa.JSON(none_as_null=True)),
    sa.Index("turns_by_conversation", "conversation", "id"),
)


class Store:
    """Turns on disk; may be used from several event loops and several processes at once."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = WeakKeyDictionary()

    def create(self) -> None:
        """Make the file and its tables where they are missing.

        Raises:
            ConfigurationError: the folder cannot be made or written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(f"sqlite:///{self._path}", connect_args={"timeout": _BUSY_SECONDS})
            with engine.begin() as connection:
                _use_write_ahead_log(connection)
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                _metadata.create_all(connection)
            engine.dispose()
        except (OSError, SQLAlchemyError) as error:
            raise ConfigurationError(
                f"Conversations cannot be stored in {str(self._path)!r}: {_reason(error)}. "
                "Set AGENTLLM_DATA_DIR to a folder that can be written."
            ) from None

    async def branch(self, conversation: str, *, turns: int) -> list[StoredTurn]:
        """The newest branch of a conversation, oldest turn first, its last `turns` turns only.

        Raises:
            StoreUnavailable: it could not be read.
        """
        async with self._connection("read") as connection:
            rows = (await connection.execute(_BRANCH, {"conversation": conversation, "turns": turns})).all()
        return [
            StoredTurn(row.id, row.parent, from_json(row.input), from_json(row.output), row.answer, row.state)
            for row in rows
        ]

    async def add(
        self,
        conversation: str,
        *,
        parent: int | None,
        new: Sequence[Message],
        output: Sequence[Message],
        answer: str,
        state: JsonObject | None,
    ) -> None:
        """Store a turn after `parent`; it is on disk when this returns.

        Raises:
            StoreUnavailable: it could not be written, and nothing of it is stored.
        """
        values = {
            "conversation": conversation,
            "parent": parent,
            "input": to_json(new),
            "output": to_json(output),
            "answer": answer,
            "state": state,
        }
        async with self._connection("written") as connection:
            await connection.execute(_turns.insert(), values)
            await connection.commit()

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        if engine := self._engines.pop(asyncio.get_running_loop(), None):
            await engine.dispose()

    @asynccontextmanager
    async def _connection(self, done: str) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine().connect() as connection:
                yield connection
        except (SQLAlchemyError, UnicodeError) as error:
            log.error("conversations could not be %s: %s", done, _reason(error))
            raise StoreUnavailable(f"The conversation could not be {done}: its store is not available.") from None

    def _engine(self) -> AsyncEngine:
        loop = asyncio.get_running_loop()
        if loop not in self._engines:
            engine = create_async_engine(
                f"sqlite+aiosqlite:///{self._path}",
                connect_args={"timeout": _BUSY_SECONDS},
                pool_size=2,
                max_overflow=0,
            )
            self._engines[loop] = engine
        return self._engines[loop]


def _use_write_ahead_log(connection: sa.Connection) -> None:
    """SQLite's busy timeout does not hold for this one; another process may be making the same file."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            return
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _branch_query() -> sa.Select[tuple[int, int | None, object, object, str, object]]:
    newest = (
        sa.select(sa.func.max(_turns.c.id))
        .where(_turns.c.conversation == sa.bindparam("conversation"))
        .scalar_subquery()
    )
    branch = sa.select(_turns, sa.literal(1).label("depth")).where(_turns.c.id == newest).cte("branch", recursive=True)
    before = (
        sa.select(_turns, branch.c.depth + 1)
        .join(branch, _turns.c.id == branch.c.parent)
        .where(branch.c.depth < sa.bindparam("turns"))
    )
    whole = branch.union_all(before)
    return sa.select(whole.c.id, whole.c.parent, whole.c.input, whole.c.output, whole.c.answer, whole.c.state).order_by(
        whole.c.depth.desc()
    )


_BRANCH = _branch_query()


def _reason(error: Exception) -> str:
    """What went wrong, without the SQL and its parameters, which hold what people said."""
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "strerror", None) or cause).partition("\n")[0]
