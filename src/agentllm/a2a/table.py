"""The table of tasks, in the database of conversations, and the statements that it is read and written with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from a2a.types import Task, TaskState

from agentllm.conversations.schema import conversations

RUNNING = (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
ENDED = (
    TaskState.TASK_STATE_COMPLETED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_REJECTED,
)

_CREATE_LOCK = 0x61326174736B73

tasks = sa.Table(
    "a2a_tasks",
    sa.MetaData(),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("context", sa.Text, nullable=False),
    sa.Column("conversation", sa.ForeignKey(conversations.c.id, ondelete="CASCADE")),
    sa.Column("process", sa.String(64), nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("task", sa.LargeBinary, nullable=False),
    sa.Index("a2a_tasks_by_owner", "owner", "changed", "id"),
    sa.Index("a2a_tasks_by_conversation", "conversation"),
    sa.Index("a2a_tasks_by_state", "state"),
)
"""`owner` stands for a caller and an agent, `conversation` for what the task's turns are stored in, once they are: a
task is deleted with it. `process` is the one that runs it. `state` is A2A's number, `changed` the time of the
state in nanoseconds since 1970, `task` the whole as A2A's protobuf message."""

_CONVERSATION = (
    sa.select(conversations.c.id)
    .where(conversations.c.id == sa.bindparam("wanted"))
    .with_for_update(read=True, key_share=True)
)


@dataclass(frozen=True, slots=True)
class Row:
    """A task as it stands in the table; `conversation` is where its turns are stored, if they are yet."""

    task: Task
    owner: str
    conversation: str
    process: str


def create(connection: sa.Connection) -> None:
    """Make the table where it is missing; of several processes one does it, and the others wait."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
    tasks.create(connection, checkfirst=True)


def write(connection: sa.Connection, row: Row, *, is_new: bool) -> bool:
    """Write `row`; False where that is not possible, as the task has ended or was deleted meanwhile."""
    values = {
        "conversation": connection.execute(_CONVERSATION, {"wanted": row.conversation}).scalar(),
        "process": row.process,
        "state": int(row.task.status.state),
        "changed": row.task.status.timestamp.ToNanoseconds(),
        "task": row.task.SerializeToString(),
    }
    if is_new:
        given = {"id": row.task.id, "owner": row.owner, "context": row.task.context_id}
        connection.execute(tasks.insert().values(**given, **values))
        return True
    open_one = sa.and_(_this(row.task.id, row.owner), tasks.c.state.not_in(map(int, ENDED)))
    return connection.execute(tasks.update().where(open_one).values(**values)).rowcount > 0


def read(connection: sa.Connection, task_id: str, owner: str) -> tuple[Task, str] | None:
    """The task and the process that runs it."""
    query = sa.select(tasks.c.task, tasks.c.process).where(_this(task_id, owner))
    found = connection.execute(query).one_or_none()
    return None if found is None else (Task.FromString(found.task), str(found.process))


def delete(connection: sa.Connection, task_id: str, owner: str) -> None:
    connection.execute(tasks.delete().where(_this(task_id, owner)))


def page(
    connection: sa.Connection, matching: Sequence[sa.ColumnElement[bool]], after: tuple[int, str] | None, size: int
) -> tuple[list[Task], int]:
    """At most `size` tasks of those that match, the last changed first, beginning after a time and an id; and how
    many match."""
    count = connection.execute(sa.select(sa.func.count()).select_from(tasks).where(*matching)).scalar_one()
    query = sa.select(tasks.c.task).where(*matching)
    if after is not None:
        query = query.where(sa.tuple_(tasks.c.changed, tasks.c.id) < sa.tuple_(*map(sa.literal, after)))
    found = connection.execute(query.order_by(tasks.c.changed.desc(), tasks.c.id.desc()).limit(size))
    return [Task.FromString(one) for one in found.scalars()], int(count)


def running_processes(connection: sa.Connection) -> list[str]:
    """Those that run tasks, or did when they ended."""
    query = sa.select(tasks.c.process).where(tasks.c.state.in_(map(int, RUNNING))).distinct()
    return [str(process) for process in connection.execute(query).scalars()]


def end_those_of(connection: sa.Connection, process: str, end: Task) -> int:
    """Give the running tasks of `process` the status of `end`; returns their number."""
    running = sa.and_(tasks.c.process == process, tasks.c.state.in_(map(int, RUNNING)))
    count = 0
    for stored in connection.execute(sa.select(tasks.c.task).where(running)).scalars().all():
        task = Task.FromString(stored)
        task.status.CopyFrom(end.status)
        values = {
            "state": int(task.status.state),
            "changed": task.status.timestamp.ToNanoseconds(),
            "task": task.SerializeToString(),
        }
        count += connection.execute(tasks.update().where(tasks.c.id == task.id, running).values(**values)).rowcount
    return count


def forget(connection: sa.Connection, before: int) -> int:
    """Delete the tasks without a conversation that ended before a time in nanoseconds; returns their number."""
    lost = sa.and_(tasks.c.conversation.is_(None), tasks.c.changed < before, tasks.c.state.in_(map(int, ENDED)))
    return connection.execute(tasks.delete().where(lost)).rowcount


def _this(task_id: str, owner: str) -> sa.ColumnElement[bool]:
    return sa.and_(tasks.c.id == task_id, tasks.c.owner == owner)
