"""The keys of all processes that share a store, and the answers to the requests that came with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import sqlalchemy as sa

from agentllm.conversations.database import Database
from agentllm.conversations.process_locks import ProcessLocks
from agentllm.conversations.schema import answers, conversations, turns
from agentllm.conversations.store import END_PATIENCE, START_PATIENCE
from agentllm.idempotency.entry import Entry

FIRST_PAUSE = 0.02
LAST_PAUSE = 0.5
"""Seconds between two looks at an answer that another process works on; they double from the first to the last."""

_COLUMNS = [answers.c[name] for name in ("key", "asked", "answer_id", "created", "status", "events", "error")]
_OF_KEY = sa.select(*_COLUMNS).where(answers.c.key == sa.bindparam("of_key"))
_THIS = sa.and_(
    answers.c.key == sa.bindparam("of_key"),
    answers.c.answer_id == sa.bindparam("of_answer"),
    answers.c.status == "running",
)
_END = answers.update().where(_THIS)
_RELEASE = answers.delete().where(_THIS)
_FORGET = answers.delete().where(answers.c.key == sa.bindparam("of_key"))
_CONVERSATION = (
    sa.select(conversations.c.id)
    .join(turns, turns.c.conversation == conversations.c.id)
    .where(turns.c.answer_id == sa.bindparam("of_answer"))
    .with_for_update(read=True, key_share=True, of=conversations)
)
"""Locked, so that the conversation is deleted either before its answer is kept or with it."""


class Ledger:
    """Claims keys, one process at a time, and keeps what came of it.

    Whoever has claimed a key holds a lock of the processes until `end` or `release`, so that the claim of
    a process that ended is known for one.
    """

    def __init__(self, database: Database, locks: ProcessLocks) -> None:
        self._database = database
        self._locks = locks

    async def claim(self, entry: Entry, *, patience: float) -> Entry | None:
        """Claim the key for `entry`; None where it is claimed now, else what is kept under it.

        The claim is on disk when this returns. One of a process that is gone is given as interrupted. One that
        another process works on is waited for, at most `patience` seconds, and then given as running;
        where it is for another request, it is given at once.

        Raises:
            StoreUnavailable: the store cannot be read or written; nothing is claimed.
        """
        deadline = asyncio.get_running_loop().time() + patience
        pause = FIRST_PAUSE
        while not await self._locks.try_lock(_lock_of(entry)):
            found = await self.read(entry.key)
            if found is not None and _is_told(found, entry):
                return found
            if asyncio.get_running_loop().time() > deadline:
                return found or entry
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
        found = entry
        try:
            found = await self._claim_locked(entry)
        except asyncio.CancelledError:
            self._database.run_soon(lambda connection: connection.execute(_RELEASE, _named(entry)))
            raise
        finally:
            if found is not None:
                self._unlock(entry)
        return found

    async def read(self, key: str) -> Entry | None:
        """What is kept under `key`.

        Raises:
            StoreUnavailable: it could not be read.
        """
        return await self._database.run(lambda connection: _entry(connection, key), patience=START_PATIENCE)

    async def end(self, entry: Entry) -> None:
        """Keep what came of a claim, beside the conversation of its turn; of a deleted one only that it was.

        Raises:
            StoreUnavailable: it could not be written.
        """

        def work(connection: sa.Connection) -> None:
            conversation = connection.execute(_CONVERSATION, {"of_answer": entry.answer_id}).scalar()
            kept = entry if conversation else replace(entry, status="deleted", events=None, error=None)
            values = {"status": kept.status, "events": kept.events, "error": kept.error, "conversation": conversation}
            connection.execute(_END.values(values), _named(entry))

        try:
            await self._database.run(work, patience=END_PATIENCE)
        finally:
            self._unlock(entry)

    async def release(self, entry: Entry) -> None:
        """Give up a claim under which nothing was done.

        Raises:
            StoreUnavailable: it could not be written.
        """
        try:
            await self._database.run(
                lambda connection: connection.execute(_RELEASE, _named(entry)), patience=START_PATIENCE
            )
        finally:
            self._unlock(entry)

    async def _claim_locked(self, entry: Entry) -> Entry | None:
        def work(connection: sa.Connection) -> Entry | None:
            found = _entry(connection, entry.key)
            if found is not None and found.is_over(entry.created):
                connection.execute(_FORGET, {"of_key": entry.key})
                found = None
            if found is None:
                values = {name: getattr(entry, name) for name in ("key", "asked", "answer_id", "created", "status")}
                connection.execute(answers.insert(), values)
                return None
            if found == entry:  # what is tried again may have been written the first time
                return None
            if found.status == "running":
                connection.execute(_END.values(status="interrupted"), _named(found))
                return replace(found, status="interrupted")
            return found

        return await self._database.run(work, patience=START_PATIENCE)

    def _unlock(self, entry: Entry) -> None:
        self._locks.unlock(_lock_of(entry))


def _is_told(found: Entry, asked: Entry) -> bool:
    """Whether `found` is what the one who asks is told, and none that is just being replaced."""
    return not found.is_over(asked.created) and (found.status != "running" or found.asked != asked.asked)


def _lock_of(entry: Entry) -> str:
    return f"idempotency key {entry.key}"


def _named(entry: Entry) -> dict[str, str]:
    return {"of_key": entry.key, "of_answer": entry.answer_id}


def _entry(connection: sa.Connection, key: str) -> Entry | None:
    row = connection.execute(_OF_KEY, {"of_key": key}).first()
    return None if row is None else Entry(**row._mapping)
