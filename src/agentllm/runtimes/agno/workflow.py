"""Runs an Agno workflow: its answer is what its last step says."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import fields
from typing import Any

from agno.run.workflow import WorkflowCompletedEvent
from agno.workflow import StepOutput, Workflow

from agentllm.core import Event, Finished, Message, Text, Turn, Usage
from agentllm.errors import UnsupportedParameter
from agentllm.runtimes.agno.model import Outcome
from agentllm.runtimes.agno.results import (
    ModelAnswered,
    as_text,
    closing,
    failure,
    raise_if_ended,
    raise_if_incomplete,
    usage_of_call,
)


async def run_workflow(workflow: Workflow, turn: Turn, arguments: dict[str, Any]) -> AsyncGenerator[Event, None]:
    """Run `workflow` on the newest message, which is all that a workflow takes.

    The steps' text is not the answer, so the answer comes as one piece at the end.

    Raises:
        UnsupportedParameter: the request sets a sampling parameter; a workflow has no one model.
    """
    _refuse_parameters(turn)
    outcome, usage, text = Outcome(turn.agent), Usage(), ""
    stream: AsyncIterator[Any] = copy.copy(workflow).arun(
        input=turn.messages[-1].content, stream=True, stream_events=True, **arguments
    )
    async with closing(stream, outcome):
        async for event in stream:
            if isinstance(event, ModelAnswered):
                usage += usage_of_call(event)
                yield usage
            elif isinstance(event, WorkflowCompletedEvent):
                _raise_if_last_step_failed(event, turn)
                text = as_text(event.content)
            else:
                raise_if_ended(event, outcome, turn)
    raise_if_incomplete(text, outcome)
    yield Text(text)
    yield Finished("stop", (Message("assistant", text),))


def _raise_if_last_step_failed(event: WorkflowCompletedEvent, turn: Turn) -> None:
    """A step that fails is skipped by default, and what went wrong becomes the workflow's content."""
    last = event.step_results[-1] if event.step_results else None
    if isinstance(last, StepOutput) and not last.success:
        raise failure(last.error or as_text(last.content), Outcome(turn.agent), turn)


def _refuse_parameters(turn: Turn) -> None:
    if turn.drop_unsupported:
        return
    for parameter in fields(turn.parameters):
        if getattr(turn.parameters, parameter.name) is not None:
            raise UnsupportedParameter(parameter.name, turn.agent)
