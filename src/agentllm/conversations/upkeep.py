"""What is done beside the turns: those that a killed process left are ended, and what is too old is deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from agentllm.conversations.archive import Archive, Deleted
from agentllm.conversations.database import make_engine, reason
from agentllm.conversations.process_locks import ProcessLocks
from agentllm.conversations.schema import KEPT_SECONDS, RUNNING, turns
from agentllm.conversations.store import interrupt_running
from agentllm.conversations.urls import process_locks, store_url
from agentllm.errors import AgentLLMError
from agentllm.settings import Settings

log = logging.getLogger("agentllm.store")

EVERY = 24 * 3600.0
"""Seconds between two looks for conversations that are too old."""

ANSWERS_EVERY = 3600.0
"""Seconds between two looks for answers that were kept long enough for a repeated request."""

AGAIN = 15 * 60.0
"""Seconds to the next look after one that failed."""

BATCH = 100
"""Conversations that are read together, and deleted one after another before others are let through."""

_PAUSE = 0.05


async def keep_up(settings: Settings) -> None:
    """End the turns that no process works on any more, then delete what is older than the settings keep; for ever.

    May run in several processes of a store at once. A store that fails is logged and tried again later.
    """
    try:
        url = store_url(settings)
        await recover(url, process_locks(url))
    except (AgentLLMError, SQLAlchemyError) as error:
        log.error("turns that a process left behind could not be marked: %s", reason(error))
    while settings.retention_days is not None:
        try:
            await apply_retention(store_url(settings), timedelta(days=settings.retention_days))
        except AgentLLMError as error:
            log.error("conversations that are too old could not be deleted: %s", reason(error))
            await asyncio.sleep(AGAIN)
        else:
            await asyncio.sleep(EVERY)


async def keep_answers(settings: Settings) -> None:
    """Delete the answers that were kept for `KEPT_SECONDS` for a repeated request; for ever.

    May run in several processes of a store at once. A store that fails is logged and tried again later.
    """
    while True:
        try:
            await forget_answers(store_url(settings))
        except AgentLLMError as error:
            log.error("answers that are too old could not be deleted: %s", reason(error))
            await asyncio.sleep(AGAIN)
        else:
            await asyncio.sleep(ANSWERS_EVERY)


async def recover(url: sa.URL, locks: ProcessLocks) -> int:
    """Mark the running turns as interrupted whose conversation no process has the lock of; returns their number.

    Raises:
        StoreUnavailable: it cannot be found out whether a lock is held.
        SQLAlchemyError: the store cannot be read or written.
    """
    engine = make_engine(url)
    count = 0
    last = ""
    try:
        while batch := await asyncio.to_thread(_running, engine, last):
            for conversation in batch:
                if await locks.try_lock(conversation):
                    try:
                        count += await asyncio.to_thread(_interrupt, engine, conversation)
                    finally:
                        locks.unlock(conversation)
            last = batch[-1]
    finally:
        locks.close()
        await asyncio.to_thread(engine.dispose)
    if count:
        log.warning("%d turns whose process is gone are marked as interrupted", count)
    return count


async def apply_retention(url: sa.URL, age: timedelta) -> Deleted:
    """Delete the conversations whose last turn began longer ago than `age`, those that run aside, in small steps.

    Raises:
        ConfigurationError: there is no store of this version.
        StoreUnavailable: it cannot be read or written.
    """
    before = datetime.now(UTC) - age
    deleted = Deleted()
    archive = await asyncio.to_thread(Archive, url)
    try:
        while (batch := await asyncio.to_thread(archive.prune, before, most=BATCH)).conversations:
            deleted += batch
            await asyncio.sleep(_PAUSE)
        if not await asyncio.to_thread(archive.scrub):
            log.warning(
                "the log of SQLite may still have what was deleted, as another process reads; that is tried again"
            )
    finally:
        await asyncio.to_thread(archive.close)
    if deleted.conversations:
        log.info(
            "%d conversations with %d turns are deleted, as their last turn is older than %d days",
            *(deleted.conversations, deleted.turns, age.days),
        )
    return deleted


async def forget_answers(url: sa.URL) -> int:
    """Delete the answers that were kept long enough, in small steps; returns their number.

    Raises:
        ConfigurationError: there is no store of this version.
        StoreUnavailable: it cannot be read or written.
    """
    before = datetime.now(UTC) - timedelta(seconds=KEPT_SECONDS)
    count = 0
    archive = await asyncio.to_thread(Archive, url)
    try:
        while forgotten := await asyncio.to_thread(archive.forget_answers, before, most=BATCH):
            count += forgotten
            await asyncio.sleep(_PAUSE)
        if count:
            await asyncio.to_thread(archive.scrub)
    finally:
        await asyncio.to_thread(archive.close)
    return count


def _running(engine: sa.Engine, after: str) -> Sequence[str]:
    query = sa.select(turns.c.conversation).where(RUNNING, turns.c.conversation > after).distinct()
    with engine.connect().execution_options(only_reads=True) as connection:
        return connection.scalars(query.order_by(turns.c.conversation).limit(BATCH)).all()


def _interrupt(engine: sa.Engine, conversation: str) -> int:
    with engine.begin() as connection:
        return interrupt_running(connection, conversation)
