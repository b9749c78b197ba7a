"""Stored conversations as people see them: to find, read, export and delete.

For the command line and for tasks beside the proxy, in a process of its own or not. Nothing here
waits for turns that run: reading takes no lock, and deleting holds one conversation at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, get_args

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from agentllm.conversations.database import BUSY_SECONDS, make_engine, reason
from agentllm.conversations.reader import stored_turn
from agentllm.conversations.records import Status, StoredTurn
from agentllm.conversations.schema import RUNNING, answers, check, conversations, turns
from agentllm.conversations.spend import By, Total, totals
from agentllm.errors import ConfigurationError, StoreUnavailable

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for which something that another process keeps from being done is tried again."""

_PAUSE = 0.05
_CHECKPOINT_MILLISECONDS = 100
"""How long a checkpoint waits for those who read, in which time no one can write."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which conversations: all that is set must hold.

    `caller` is a part of `Conversation.owner`; `owner`, `agent` and `session` are whole. The last turn
    began before `older_than`, and not before `newer_than`; both have a time zone.
    """

    caller: str | None = None
    owner: str | None = None
    agent: str | None = None
    session: str | None = None
    older_than: datetime | None = None
    newer_than: datetime | None = None


def owner_line(caller: Sequence[str]) -> str:
    """A `core.Caller.principal` in one line, as `user:ada` or `front-end:webui end-user:42`."""
    return " ".join(f"{kind}:{name}" for kind, name in zip(caller[::2], caller[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class Conversation:
    """A stored conversation, without what was said in it.

    `caller` is a `core.Caller.principal`, empty where only the id is known, as of the first form of
    the store. `last_turn_at` is when its last turn began. Times are in UTC.
    """

    id: str
    caller: tuple[str, ...]
    agent: str
    session: str | None
    created_at: datetime
    last_turn_at: datetime
    statuses: Mapping[Status, int]

    @property
    def owner(self) -> str:
        """The caller in one line, as `user:ada` or `front-end:webui end-user:42`."""
        return owner_line(self.caller)

    @property
    def turns(self) -> int:
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class DatedTurn:
    """A stored turn, and when it began, in UTC."""

    turn: StoredTurn
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Deleted:
    """How much was deleted."""

    conversations: int = 0
    turns: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(self.conversations + other.conversations, self.turns + other.turns)


class Archive:
    """The conversations of a store, which exists; to be closed. One thread may use it at a time.

    Raises:
        ConfigurationError: there is no store, it cannot be reached, or it is of another version.
        StoreUnavailable: from each method: it can no longer be read or written.
    """

    def __init__(self, url: sa.URL) -> None:
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise ConfigurationError(
                f"There is no store of conversations {url.database!r}. Set AGENTLLM_DATA_DIR or AGENTLLM_DB_URL "
                "as for the proxy, or start the proxy first."
            )
        self._engine = make_engine(url)
        try:
            check(self._engine)
        except SQLAlchemyError as error:
            self.close()
            raise ConfigurationError(
                f"The store of conversations {url.render_as_string(hide_password=True)!r} cannot be used: "
                f"{reason(error)}. Set AGENTLLM_DATA_DIR or AGENTLLM_DB_URL as for the proxy."
            ) from None
        except ConfigurationError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def conversations(self, wanted: Filter | None = None, *, most: int | None = None) -> list[Conversation]:
        """The conversations of `wanted`, those with the newest turn first; all without it, and at most `most`."""
        wanted = wanted or Filter()
        found: list[Conversation] = []
        with self._reading() as connection:
            for conversation in map(_conversation, connection.execute(_wanted(wanted)).yield_per(1_000)):
                if len(found) == most:
                    break
                if _is_owned(conversation, wanted):
                    found.append(conversation)
        return found

    def with_prefix(self, prefix: str, *, most: int) -> list[Conversation]:
        """At most `most` conversations whose id begins with `prefix`; the one alone whose id it is."""
        begins = sa.func.substr(conversations.c.id, 1, len(prefix)) == prefix
        query = _ALL.where(begins).order_by(conversations.c.id).limit(most)
        with self._reading() as connection:
            found = [_conversation(row) for row in connection.execute(query)]
        return [one for one in found if one.id == prefix] or found

    def turns(self, conversation: str) -> list[DatedTurn]:
        """The turns of a conversation, oldest first; each names its parent."""
        query = sa.select(turns).where(turns.c.conversation == conversation).order_by(turns.c.id)
        with self._reading() as connection:
            return [DatedTurn(stored_turn(row), _utc(row.created_at)) for row in connection.execute(query)]

    def delete(self, conversation: str) -> Deleted:
        """Delete a conversation with all its turns, those that run too; nothing happens where there is none.

        A turn that runs goes on, and its end fails. In SQLite, `scrub` makes the deletion final.
        """
        return self._write(partial(_delete, conversation=conversation))

    def prune(self, before: datetime, *, most: int) -> Deleted:
        """Delete at most `most` conversations whose last turn began before `before` and of which none runs.

        If fewer were deleted, there may still be some that were continued meanwhile, and no others.
        """
        query = sa.select(conversations.c.id).where(*_expired(before)).limit(most)
        with self._reading() as connection:
            expired = list(connection.scalars(query))
        deleted = Deleted()
        for conversation in expired:
            deleted += self._write(partial(_delete, conversation=conversation, before=before))
        return deleted

    def forget_answers(self, before: datetime, *, most: int) -> int:
        """Delete at most `most` answers that were kept for a repeated request since before `before`; their number."""
        old = sa.select(answers.c.key).where(answers.c.created < int(before.timestamp())).limit(most)
        query = answers.delete().where(answers.c.key.in_(old))
        return self._write(lambda connection: connection.execute(query).rowcount)

    def totals(self, by: By, *, since: datetime | None = None, until: datetime | None = None) -> list[Total]:
        """What the calls of models cost that ended from `since` on and before `until`, the dearest first.

        Callers are named as `owner_line` does.
        """
        with self._reading() as connection:
            found = list(totals(connection, by, since=since, until=until))
        return [replace(one, name=owner_line(json.loads(one.name or "[]"))) if by == "caller" else one for one in found]

    def scrub(self) -> bool:
        """Have SQLite take what was deleted out of its files too: it overwrote it, but keeps a log of pages before.

        Returns whether that could be done within `PATIENCE` seconds; another process that reads keeps
        it from being done. PostgreSQL does it by itself, with its vacuum.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        deadline = time.monotonic() + PATIENCE
        while not self._truncate_log():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def _truncate_log(self) -> bool:
        with _known_errors():
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout={_CHECKPOINT_MILLISECONDS}")
                row = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1_000:.0f}")
                return bool(row[0] == 0)
            finally:
                connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _known_errors(), self._engine.connect().execution_options(only_reads=True) as connection:
            yield connection

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` in a transaction, again where another process was in its way."""
        deadline = time.monotonic() + PATIENCE
        with _known_errors():
            while True:
                try:
                    with self._engine.begin() as connection:
                        return work(connection)
                except DBAPIError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_PAUSE)


@contextmanager
def _known_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"The store of conversations is not available: {reason(error)}.") from None


def _delete(connection: sa.Connection, conversation: str, *, before: datetime | None = None) -> Deleted:
    """Delete `conversation`, with `before` only if it has expired.

    Its row is locked first, so that no turn of it begins meanwhile. Parents are forgotten before the turns
    are deleted, because SQLite nests a deletion for each turn that follows another, up to 1,000.
    """
    this = conversations.c.id == conversation
    found = connection.execute(sa.select(conversations.c.id).where(this).with_for_update()).first()
    if found is None:
        return Deleted()
    if (
        before is not None
        and connection.execute(sa.select(conversations.c.id).where(this, *_expired(before))).first() is None
    ):
        return Deleted()
    its = turns.c.conversation == conversation
    if connection.dialect.name == "sqlite":
        connection.execute(turns.update().where(its).values(parent=None))
    count = connection.execute(turns.delete().where(its)).rowcount
    forgotten = {"status": "deleted", "conversation": None, "events": None, "error": None}
    connection.execute(answers.update().where(answers.c.conversation == conversation).values(forgotten))
    connection.execute(conversations.delete().where(this))
    return Deleted(1, count)


def _expired(before: datetime) -> Sequence[sa.ColumnElement[bool]]:
    here = turns.c.conversation == conversations.c.id
    is_in_use = sa.or_(~_is_before(turns.c.created_at, before), RUNNING)
    return _is_before(conversations.c.created_at, before), ~sa.exists().where(here, is_in_use)


def _wanted(wanted: Filter) -> sa.Select[tuple[object, ...]]:
    query = _ALL.order_by(_last_turn_at.desc(), conversations.c.id)
    if wanted.agent is not None:
        query = query.where(conversations.c.agent == wanted.agent)
    if wanted.session is not None:
        query = query.where(conversations.c.session == wanted.session)
    if wanted.older_than is not None:
        query = query.where(_is_before(_last_turn_at, wanted.older_than))
    if wanted.newer_than is not None:
        query = query.where(~_is_before(_last_turn_at, wanted.newer_than))
    return query


def _is_before(column: sa.ColumnElement[datetime], moment: datetime) -> sa.ColumnElement[bool]:
    """SQLite compares texts, where a whole second without a fraction comes before the same one with it."""
    return column <= moment.astimezone(UTC) - timedelta(microseconds=1)


def _is_owned(conversation: Conversation, wanted: Filter) -> bool:
    owner = conversation.owner
    return (wanted.caller is None or wanted.caller in owner) and wanted.owner in (None, owner)


def _conversation(row: sa.Row[tuple[object, ...]]) -> Conversation:
    return Conversation(
        id=row.id,
        caller=tuple(json.loads(row.caller)) if row.caller else (),
        agent=row.agent,
        session=row.session,
        created_at=_utc(row.created_at),
        last_turn_at=_utc(row.last_turn_at),
        statuses={status: count for status in _STATUSES if (count := getattr(row, status))},
    )


def _utc(moment: datetime) -> datetime:
    """SQLite keeps times in UTC without saying so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_STATUSES: tuple[Status, ...] = get_args(Status)
_COUNTS = (
    sa.select(
        turns.c.conversation,
        sa.func.max(turns.c.created_at).label("last_turn_at"),
        *(sa.func.sum(sa.case((turns.c.status == status, 1), else_=0)).label(status) for status in _STATUSES),
    )
    .group_by(turns.c.conversation)
    .subquery()
)
_last_turn_at = sa.func.coalesce(_COUNTS.c.last_turn_at, conversations.c.created_at)
_ALL: sa.Select[tuple[object, ...]] = sa.select(
    conversations, _last_turn_at.label("last_turn_at"), *(_COUNTS.c[status] for status in _STATUSES)
).join(_COUNTS, _COUNTS.c.conversation == conversations.c.id, isouter=True)
