"""Tasks in the database of conversations, where they outlive the process.

a2a-sdk's own store has an engine of its own, which SQLite's one writer would be shared with, writes a task whole for
each piece of its answer, and has room for contexts of 36 characters only.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
from a2a.server.cluster.task_store import ConcurrentTaskModificationError
from a2a.server.context import ServerCallContext
from a2a.server.tasks import TaskStore
from a2a.types import ListTasksRequest, ListTasksResponse, Task, TaskState, TaskStatus
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import ListTasksCursor, decode_list_tasks_cursor, encode_list_tasks_cursor

from agentllm.a2a import table
from agentllm.a2a.asker import asker_of
from agentllm.a2a.messages import agent_message
from agentllm.a2a.table import RUNNING, Row
from agentllm.conversations import Conversations
from agentllm.conversations.identity import conversation_id
from agentllm.conversations.schema import KEPT_SECONDS
from agentllm.conversations.store import END_PATIENCE, START_PATIENCE

log = logging.getLogger("agentllm.a2a")

KEEP_EVERY = 0.5
"""Seconds of a running task that a process which is killed may leave unstored."""

PAGE = 50
"""Tasks on a page where the client does not say how many."""

_BROKEN_OFF = "The process that ran this task ended before the task did. Send the message again to have it done."


@dataclass(slots=True)
class _Kept:
    """A task that runs here: what there is of it, and what of that is on its way to the database."""

    row: Row
    flushing: asyncio.TimerHandle | None = None
    is_lost: bool = field(default=False)
    """Whether it was ended or deleted by another process."""


class Tasks(TaskStore):
    """The tasks of all callers, each of whom finds their own of one agent and no others.

    What is said of a running task is stored twice a second; its beginning, and the end of each turn, are on disk
    when `save` returns. To be used on one event loop.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._database = conversations.store.database
        self._secret = conversations.secret
        self._locks = conversations.locks.across
        self._process = secrets.token_hex(16)
        self._kept: dict[str, _Kept] = {}

    async def open(self) -> None:
        """Make the table where it is missing, and end the tasks that processes left which are gone.

        Raises:
            StoreUnavailable: it cannot be read or written.
        """
        await self._database.run(table.create, patience=END_PATIENCE)
        await self._locks.try_lock(_lock_of(self._process))
        for process in await self._database.run(table.running_processes, patience=START_PATIENCE):
            await self._end_if_gone(process)

    async def forget(self) -> int:
        """Delete the tasks that ended long ago and are in no conversation; returns their number."""
        before = time.time_ns() - int(KEPT_SECONDS * 1e9)
        return await self._database.run(partial(table.forget, before=before), patience=START_PATIENCE)

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Keep `task`, which its caller's `context` says the owner of.

        Raises:
            ConcurrentTaskModificationError: it was ended or deleted meanwhile, and stays so.
            StoreUnavailable: it could not be written.
        """
        kept = self._kept.get(task.id)
        row = self._row(task, context)
        if kept is not None and kept.is_lost:
            self._drop(task.id)
            raise ConcurrentTaskModificationError(task.id)
        if kept is not None and task.status.state in RUNNING and kept.row.task.status.state == task.status.state:
            kept.row = row
            if kept.flushing is None:
                kept.flushing = asyncio.get_running_loop().call_later(KEEP_EVERY, self._flush, kept)
            return
        is_new = kept is None and task.status.state == TaskState.TASK_STATE_SUBMITTED
        self._drop(task.id)
        if task.status.state in RUNNING:
            self._kept[task.id] = _Kept(row)
        is_written = await self._database.run(partial(table.write, row=row, is_new=is_new), patience=END_PATIENCE)
        if not is_written:
            self._drop(task.id)
            raise ConcurrentTaskModificationError(task.id)

    async def get(self, task_id: str, context: ServerCallContext) -> Task | None:
        """The caller's task of that id, None where they have none.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        owner = self._owner(context)
        kept = self._kept.get(task_id)
        if kept is not None and not kept.is_lost:
            return _copy(kept.row.task) if kept.row.owner == owner else None
        found = await self._read(task_id, owner)
        if found is not None and found[0].status.state in RUNNING and await self._end_if_gone(found[1]):
            found = await self._read(task_id, owner)
        return None if found is None else found[0]

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Delete the caller's task of that id, where they have it.

        Raises:
            StoreUnavailable: it cannot be.
        """
        self._drop(task_id)
        owner = self._owner(context)
        await self._database.run(partial(table.delete, task_id=task_id, owner=owner), patience=END_PATIENCE)

    def _owner(self, context: ServerCallContext) -> str:
        asker = asker_of(context)
        return conversation_id(self._secret, asker.caller, asker.agent, None)

    def _row(self, task: Task, context: ServerCallContext) -> Row:
        asker = asker_of(context)
        conversation = conversation_id(self._secret, asker.caller, asker.agent, task.context_id)
        return Row(_copy(task), self._owner(context), conversation, self._process)

    def _flush(self, kept: _Kept) -> None:
        kept.flushing = None
        row = kept.row

        def work(connection: sa.Connection) -> None:
            kept.is_lost = not table.write(connection, row, is_new=False)

        self._database.run_soon(work)

    def _drop(self, task_id: str) -> None:
        kept = self._kept.pop(task_id, None)
        if kept is not None and kept.flushing is not None:
            kept.flushing.cancel()

    async def _read(self, task_id: str, owner: str) -> tuple[Task, str] | None:
        return await self._database.run(partial(table.read, task_id=task_id, owner=owner), patience=START_PATIENCE)

    async def _end_if_gone(self, process: str) -> bool:
        """End what is left of a process that has ended; False where it runs."""
        lock = _lock_of(process)
        if process == self._process or not await self._locks.try_lock(lock):
            return False
        try:
            work = partial(table.end_those_of, process=process, end=_broken_off())
            if count := await self._database.run(work, patience=END_PATIENCE):
                log.warning("%d tasks whose process is gone are marked as failed", count)
        finally:
            self._locks.unlock(lock)
        return True

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """The caller's tasks of the agent, the last changed first.

        Raises:
            InvalidParamsError: the page token is none of ours.
            StoreUnavailable: they cannot be read.
        """
        matching = [table.tasks.c.owner == self._owner(context)]
        if params.context_id:
            matching.append(table.tasks.c.context == params.context_id)
        if params.status:
            matching.append(table.tasks.c.state == int(params.status))
        if params.HasField("status_timestamp_after"):
            matching.append(table.tasks.c.changed >= params.status_timestamp_after.ToNanoseconds())
        size = params.page_size or PAGE
        work = partial(table.page, matching=matching, after=_after(params.page_token), size=size + 1)
        found, count = await self._database.run(work, patience=START_PATIENCE)
        token = encode_list_tasks_cursor(_cursor(found[size - 1])) if len(found) > size else ""
        shown = [_copy(kept.row.task) if (kept := self._kept.get(one.id)) else one for one in found[:size]]
        return ListTasksResponse(tasks=shown, next_page_token=token, page_size=size, total_size=count)


def _lock_of(process: str) -> str:
    return f"a2a process {process}"


def _broken_off() -> Task:
    status = TaskStatus(
        state=TaskState.TASK_STATE_FAILED, message=agent_message(_BROKEN_OFF, secrets.token_hex(16), "", "")
    )
    status.timestamp.GetCurrentTime()
    return Task(status=status)


def _copy(task: Task) -> Task:
    copy = Task()
    copy.CopyFrom(task)
    return copy


def _cursor(task: Task) -> ListTasksCursor:
    return ListTasksCursor(task.status.timestamp.ToNanoseconds(), task.id)


def _after(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    cursor = decode_list_tasks_cursor(token)
    if cursor is None or cursor.timestamp_ns is None:
        raise InvalidParamsError(message="'pageToken' is none of those that were given here.")
    return cursor.timestamp_ns, cursor.task_id
