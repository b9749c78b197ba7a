"""The one executor of all agents: a message becomes a turn, its events become updates of the task."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from a2a.server.agent_execution import AgentExecutor, RequestContext, RequestContextBuilder
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskStore
from a2a.types import SendMessageRequest, Task, TaskState, TaskStatus
from a2a.utils.errors import A2AError, InternalError, InvalidParamsError
from google.protobuf.json_format import MessageToDict

from agentllm.a2a.asker import Received, asker_of
from agentllm.a2a.messages import content_of, without_bytes
from agentllm.a2a.updates import Updates, question_of
from agentllm.core import Turn
from agentllm.errors import AgentLLMError, InvalidRequest

_TURN = "agentllm.turn"
"""The key in the state of a call of the `Turn` that its message asks for."""


class Reading(RequestContextBuilder):
    """Reads a message before there is a task for it, so that one that cannot be read makes none."""

    def __init__(self, tasks: TaskStore) -> None:
        self._tasks = tasks

    async def build(
        self,
        context: ServerCallContext,
        params: SendMessageRequest | None = None,
        task_id: str | None = None,
        context_id: str | None = None,
        task: Task | None = None,
    ) -> RequestContext:
        """The SDK's context of `params`, in the conversation of the turn that was made of it.

        Raises:
            A2AError: the message cannot be read, or the caller may not send it now.
        """
        assert params is not None
        metadata = MessageToDict(params.message.metadata)
        try:
            if task_id and not context_id and (before := await self._tasks.get(task_id, context)) is not None:
                context_id = before.context_id
            received = Received(content_of(params.message), context_id, metadata)
            turn = await asker_of(context).turn(received)
        except AgentLLMError as error:
            raise _as_protocol(error) from None
        without_bytes(params.message)
        context.state[_TURN] = turn
        assert turn.place is not None
        return RequestContext(
            call_context=context,
            request=params,
            task_id=task_id or str(uuid.uuid4()),
            context_id=turn.place.session,
            task=task,
        )


class Executor(AgentExecutor):
    """Runs the turns of all callers of one agent, several at once."""

    def __init__(self) -> None:
        self._running: dict[str, Updates] = {}

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Run the turn of the message and tell the queue of it. Only a cancellation is raised."""
        task = context.current_task
        turn: Turn = context.call_context.state[_TURN]
        question = None if task is None else question_of(task)
        task_id, context_id = _ids(context)
        updates = self._running[task_id] = Updates(event_queue, task_id, context_id, turn.id, question)
        try:
            await updates.begin(_new_task(context) if task is None else None)
            asked = replace(turn, answers=question or "")
            async with aclosing(asker_of(context.call_context).run(asked)) as events:
                async for event in events:
                    await updates.take(event)
        except AgentLLMError as error:
            await updates.fail(error)
        finally:
            del self._running[task_id]

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Tell of the end of the task; the SDK then cancels `execute`, which stops the agent."""
        updates = self._running.get(context.task_id or "")
        await (updates or Updates(event_queue, *_ids(context), turn_id="")).cancel()


def _ids(context: RequestContext) -> tuple[str, str]:
    return context.task_id or "", context.context_id or ""


def _new_task(context: RequestContext) -> Task:
    task_id, context_id = _ids(context)
    status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
    status.timestamp.GetCurrentTime()
    history = [context.message] if context.message is not None else []
    return Task(id=task_id, context_id=context_id, status=status, history=history)


def _as_protocol(error: AgentLLMError) -> A2AError:
    if isinstance(error, InvalidRequest):
        return InvalidParamsError(message=error.message)
    data: dict[str, Any] = {"status": str(error.status), "type": error.type}
    if error.retry_after is not None:
        data["retry_after"] = str(error.retry_after)
    return InternalError(message=error.message, data=data)
