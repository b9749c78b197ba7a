"""Runs an Agno workflow: its answer is what its last step says."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import fields, replace
from typing import Any

from agno.run.workflow import WorkflowCompletedEvent
from agno.utils.merge_dict import merge_dictionaries
from agno.workflow import StepOutput, Workflow

from agentllm.core import Event, Finished, Message, Text, Turn, Usage
from agentllm.errors import UnsupportedParameter
from agentllm.runtimes.agno.calls import Calls
from agentllm.runtimes.agno.copies import Copies
from agentllm.runtimes.agno.media import Exhibits, to_agno_media
from agentllm.runtimes.agno.outcome import Outcome
from agentllm.runtimes.agno.results import (
    ModelAnswered,
    as_text,
    failure,
    raise_if_ended,
    raise_if_incomplete,
    state_to_keep,
    usage_of_call,
)
from agentllm.runtimes.agno.tool_choice import refuse_client_tools
from agentllm.runtimes.agno.work import WorkOfRun


async def run_workflow(
    shared: Workflow, turn: Turn, arguments: dict[str, Any], work: WorkOfRun
) -> AsyncGenerator[Event, None]:
    """Run a copy of `shared` on the newest message, which is all that a workflow takes.

    The steps' text is not the answer, so the answer comes as one piece at the end, and ends as
    the model of its step says; what a function makes ends by itself.

    Raises:
        UnsupportedParameter: the request sets a parameter of the model or the form of the answer, or offers tools;
            a workflow has no one model.
    """
    _refuse_parameters(turn)
    refuse_client_tools(turn)
    calls, usage, text, outcome = Calls(), Usage(), "", Outcome(turn.agent)
    workflow = Copies(calls).workflow(shared)
    state = _take_state(workflow, arguments["session_state"])
    newest, exhibits = turn.messages[-1], Exhibits(turn.id, turn.messages[-1].media)
    arguments = {**arguments, "session_state": state, "input": newest.content, **to_agno_media(newest.media)}
    stream: AsyncIterator[Any] = workflow.arun(stream=True, stream_events=True, **arguments)
    async with calls.reading(stream) as events:
        async for event in events:
            for told in work.of(event):
                yield told
            if isinstance(event, ModelAnswered):
                usage = replace(usage + usage_of_call(event), cost=calls.cost)
                yield usage
            elif isinstance(event, WorkflowCompletedEvent):
                text, outcome = as_text(event.content), _outcome_of_answer(event, calls) or Outcome(turn.agent)
                _raise_if_last_step_failed(event, outcome, turn)
                for shown in exhibits.of_steps(event.step_results):
                    yield shown
            elif not _is_of_member(event):
                raise_if_ended(event, calls.outcome_of(getattr(event, "run_id", None)) or Outcome(turn.agent), turn)
    raise_if_incomplete(text, outcome, is_shown=exhibits.is_shown)
    if text:
        yield Text(text)
    messages = (Message("assistant", text),)
    yield Finished(outcome.reason, messages, state_to_keep(state), model=outcome.answered_by)


def _take_state(workflow: Workflow, given: dict[str, Any]) -> dict[str, Any]:
    """The dict that all steps of this run read and write: what is `given`, over what the workflow begins with."""
    state: dict[str, Any] = copy.deepcopy(workflow.session_state or {})
    merge_dictionaries(state, given)
    workflow.session_state = state
    return state


def _is_of_member(event: object) -> bool:
    """Whether it is a team member's, which is its leader's to deal with."""
    return getattr(event, "parent_run_id", None) is not None


def _outcome_of_answer(event: WorkflowCompletedEvent, calls: Calls) -> Outcome | None:
    """Of the run of the agent whose words a workflow's content is; None where a function made it."""
    if event.metadata and event.metadata.get("agent_direct_response"):
        return calls.last
    last: Any = event.step_results[-1] if event.step_results else None
    while steps := getattr(last, "steps", None):
        last = steps[-1]
    return calls.outcome_of(last.step_run_id) if isinstance(last, StepOutput) else None


def _raise_if_last_step_failed(event: WorkflowCompletedEvent, outcome: Outcome, turn: Turn) -> None:
    """A step that fails is skipped by default, and what went wrong becomes the workflow's content."""
    last = event.step_results[-1] if event.step_results else None
    if isinstance(last, StepOutput) and not last.success:
        raise failure(last.error or as_text(last.content), outcome, turn)


def _refuse_parameters(turn: Turn) -> None:
    if turn.drop_unsupported:
        return
    if turn.output_format is not None:
        raise UnsupportedParameter("response_format", turn.agent)
    for parameter in fields(turn.parameters):
        if getattr(turn.parameters, parameter.name) is not None:
            raise UnsupportedParameter(parameter.name, turn.agent)
