"""What a client of A2A is told of a turn, event by event."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from a2a.server.events import EventQueue
from a2a.types import Artifact, Part, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from agentllm.a2a.messages import agent_message, media_parts, text_parts
from agentllm.core import Event, Finished, Shown, Text, Usage, Work
from agentllm.errors import AgentLLMError, AlreadyDecided

METADATA = "agentllm"
"""The key of all that we add to metadata."""

ANSWER = "answer"
"""The name of the artifact that holds the text of an answer."""

_QUESTION = "question"
"""The key, in our metadata of a task that waits, of the `Finished.asked` that it waits with."""


def question_of(task: Task) -> str | None:
    """The `Finished.asked` of the questions that `task` waits with; None where it waits with none."""
    if task.status.state != TaskState.TASK_STATE_INPUT_REQUIRED or METADATA not in task.metadata:
        return None
    question: str | None = MessageToDict(task.metadata)[METADATA].get(_QUESTION)
    return question


class Updates:
    """The updates of one turn of a task, to be told in order.

    The text goes out as one artifact: pieces that are appended, and at its end the whole of it in their place.
    Thoughts, arguments and results of tools, and the agent's state stay here. `question` is what the task waited
    with for the turn, as `question_of` has it.
    """

    def __init__(
        self, queue: EventQueue, task_id: str, context_id: str, turn_id: str, question: str | None = None
    ) -> None:
        self._queue = queue
        self._task_id = task_id
        self._context_id = context_id
        self._turn_id = turn_id
        self._question = question
        self._texts: list[str] = []
        self._media = 0
        self._work: list[dict[str, Any]] = []
        self._usage: Usage | None = None
        self._is_over = False

    async def begin(self, task: Task | None) -> None:
        """The task has begun to work; `task` is told of first where it is new."""
        if task is not None:
            await self._queue.enqueue_event(task)
        await self._tell_state(TaskState.TASK_STATE_WORKING)

    async def take(self, event: Event) -> None:
        """Tell of `event`; after the end, nothing is told."""
        if self._is_over:
            return
        match event:
            case Text(text) if text:
                is_first = not self._texts
                self._texts.append(text)
                await self._tell_artifact(self._turn_id, ANSWER, text_parts(text), append=not is_first)
            case Shown(media, transcript):
                self._media += 1
                parts = media_parts(media, transcript)
                await self._tell_artifact(f"{self._turn_id}-{self._media}", media.kind, parts, last=True)
            case Work():
                told = {"id": event.id, "kind": event.kind, "name": event.name, "status": event.status, "by": event.by}
                if event.status != "started":
                    self._work.append(told)
                await self._tell_state(TaskState.TASK_STATE_WORKING, metadata={"work": told})
            case Usage():
                self._usage = event
            case Finished():
                await self._finish(event)
            case _:
                pass

    async def fail(self, error: AgentLLMError) -> None:
        """The turn ended in `error`, whose text is for clients; what the task waited with may still be open then."""
        told = {"status": error.status, "type": error.type, "retry_after": error.retry_after}
        is_open = error.ran_nothing and not isinstance(error, AlreadyDecided)
        if is_open and self._question is not None:
            metadata = {"error": told, _QUESTION: self._question}
            await self._end(TaskState.TASK_STATE_INPUT_REQUIRED, error.message, metadata)
        else:
            await self._end(TaskState.TASK_STATE_FAILED, error.message, {"error": told})

    async def cancel(self) -> None:
        """The client wants no more of the task."""
        await self._end(TaskState.TASK_STATE_CANCELED)

    async def _finish(self, end: Finished) -> None:
        told = {"finish_reason": end.reason, "model": end.model}
        question = end.asked or (self._question if end.pending is not None else None)
        if question is not None:
            await self._end(TaskState.TASK_STATE_INPUT_REQUIRED, "".join(self._texts), {**told, _QUESTION: question})
        else:
            await self._end(TaskState.TASK_STATE_COMPLETED, metadata=told)

    async def _end(self, state: TaskState, text: str = "", metadata: dict[str, Any] | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._texts:
            await self._tell_artifact(self._turn_id, ANSWER, text_parts("".join(self._texts)), last=True)
        usage = None if self._usage is None else asdict(self._usage)
        await self._tell_state(state, text, {**(metadata or {}), "usage": usage, "work": self._work or None})

    async def _tell_artifact(
        self, artifact_id: str, name: str, parts: list[Part], *, append: bool = False, last: bool = False
    ) -> None:
        artifact = Artifact(artifact_id=artifact_id, name=name, parts=parts)
        await self._queue.enqueue_event(
            TaskArtifactUpdateEvent(
                task_id=self._task_id,
                context_id=self._context_id,
                artifact=artifact,
                append=append,
                last_chunk=last,
            )
        )

    async def _tell_state(self, state: TaskState, text: str = "", metadata: dict[str, Any] | None = None) -> None:
        message = agent_message(text, str(uuid.uuid4()), self._task_id, self._context_id) if text else None
        status = TaskStatus(state=state, message=message)
        status.timestamp.GetCurrentTime()
        event = TaskStatusUpdateEvent(
            task_id=self._task_id,
            context_id=self._context_id,
            status=status,
            metadata=_metadata(metadata or {}),
        )
        await self._queue.enqueue_event(event)


def _metadata(told: dict[str, Any]) -> Struct | None:
    known = {name: value for name, value in told.items() if value is not None}
    if not known:
        return None
    struct = Struct()
    struct.update({METADATA: known})
    return struct
