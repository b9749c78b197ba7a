"""What a run of Agno came to: its text, usage and state, or the error that it ended in."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from agno.metrics import BaseMetrics, ModelType
from agno.run import agent as agent_events
from agno.run import team as team_events
from agno.run import workflow as workflow_events
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno.run.team import TeamRunOutput
from pydantic import BaseModel

from agentllm.core import JsonObject, Turn, Usage
from agentllm.errors import AgentFailed, AgentLLMError, InvalidRequest, ModelFailed
from agentllm.llm.costs import model_name, price
from agentllm.runtimes.agno.outcome import Outcome

log = logging.getLogger("agentllm.agno")

Output: TypeAlias = RunOutput | TeamRunOutput
ModelAnswered: TypeAlias = agent_events.ModelRequestCompletedEvent | team_events.ModelRequestCompletedEvent

_GOOGLE = "Google"
_OF_THE_RUN = frozenset({"current_user_id", "current_session_id", "current_run_id"})
"""What Agno itself writes into a session state."""

_FAILED = (agent_events.RunErrorEvent, team_events.RunErrorEvent)
_PAUSED = (
    agent_events.RunPausedEvent,
    team_events.RunPausedEvent,
    workflow_events.WorkflowPausedEvent,
    workflow_events.StepPausedEvent,
    workflow_events.StepExecutorPausedEvent,
    workflow_events.RouterPausedEvent,
)
_CANCELLED = (
    agent_events.RunCancelledEvent,
    team_events.RunCancelledEvent,
    workflow_events.WorkflowCancelledEvent,
)


def as_text(content: object) -> str:
    """An answer's content as text; a structured answer as JSON."""
    if content is None:
        return ""
    if isinstance(content, BaseModel):
        return content.model_dump_json()
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)


def usage_of_call(event: ModelAnswered) -> Usage:
    """The tokens of one model call."""
    return _usage(event, event.model_provider)


def usage_of_metrics(metrics: BaseMetrics, provider: str) -> Usage:
    """The tokens that Agno counted of a model of one of its classes, and what they cost as far as it was told."""
    return replace(_usage(metrics, provider), cost=metrics.cost)


def usage_of_run(output: Output) -> Usage:
    """The tokens and the cost of all model calls of a run, those of team members too."""
    usage = Usage()
    for kind, of_kind in ((output.metrics and output.metrics.details) or {}).items():
        for metrics in of_kind:
            used = usage_of_metrics(metrics, metrics.provider)
            # An agent's own model was told what each call cost, and may stand for another that was called in its place.
            if used.cost is None and kind != ModelType.MODEL.value:
                used = replace(used, cost=price(model_name(metrics.provider, metrics.id), used))
            usage += used
    for member in getattr(output, "member_responses", None) or ():
        usage += usage_of_run(member)
    return usage


def is_same(one: Usage, other: Usage) -> bool:
    """Whether they tell the same tokens and cost, which may be summed in another order."""
    return math.isclose(one.cost or 0.0, other.cost or 0.0) and replace(one, cost=other.cost) == other


def _usage(counts: ModelAnswered | BaseMetrics, provider: str | None) -> Usage:
    """In OpenAI's way of counting, where what was thought is part of the completion; Google counts it beside."""
    reasoning = counts.reasoning_tokens or 0
    completion = (counts.output_tokens or 0) + (reasoning if provider == _GOOGLE else 0)
    return Usage(counts.input_tokens or 0, completion, reasoning, counts.cache_read_tokens or 0)


def state_to_keep(session_state: Mapping[str, Any] | None) -> JsonObject | None:
    """The session state for the next turn; what JSON cannot hold fails here, before anything is stored."""
    state = {name: value for name, value in (session_state or {}).items() if name not in _OF_THE_RUN}
    if not state:
        return None
    try:
        kept: JsonObject = json.loads(json.dumps(state))
    except (TypeError, ValueError) as error:
        log.error("session state cannot be stored: %s", error)
        raise AgentFailed("The agent's session state holds a value that cannot be stored as JSON.") from None
    return kept


def raise_if_failed(output: Output, outcome: Outcome, turn: Turn) -> None:
    """Raise what a plain run ended in, where it is neither an answer nor a pause."""
    if output.status is RunStatus.error:
        raise failure(as_text(output.content), outcome, turn)
    if output.status is RunStatus.cancelled:
        raise _cancelled(turn)


def raise_if_ended(event: object, outcome: Outcome, turn: Turn) -> None:
    """Raise what a streamed run ended in, where `event` says that it did without an answer."""
    if isinstance(event, _FAILED):
        raise failure(event.content or "", outcome, turn, event.error_type)
    if isinstance(event, workflow_events.WorkflowErrorEvent):
        raise failure(event.error or "", outcome, turn)
    if isinstance(event, _PAUSED):
        raise cannot_pause(turn)
    if isinstance(event, _CANCELLED):
        raise _cancelled(turn)


def raise_if_incomplete(text: str, outcome: Outcome, *, is_paused: bool = False, is_shown: bool = False) -> None:
    """Raise where the model's answer is empty or was cut off, which providers do not report as errors.

    A run that pauses need not have said anything, nor one of which a picture or a sound `is_shown`.
    """
    may_be_silent = is_paused or is_shown
    if not text and not may_be_silent and (of_model := outcome.failure()):
        raise of_model
    if outcome.open_answer:
        raise ModelFailed(f"The language model {outcome.model!r} broke off in the middle of its answer.")
    if not text and not may_be_silent and outcome.reason == "stop":
        raise ModelFailed(f"The language model {outcome.model!r} returned an empty answer.")


def failure(detail: str, outcome: Outcome, turn: Turn, error_type: str | None = None) -> AgentLLMError:
    """The error that a client is told, with `detail` where the agent refused the input with it."""
    if of_model := outcome.failure():
        return of_model
    if error_type == "input_check_error":
        return InvalidRequest(detail)
    log.error("agent %r failed in run %s: %s", turn.agent, turn.id, error_type or "Agno tells the error before this")
    return AgentFailed(f"The agent {turn.agent!r} failed in run {turn.id}. Its operator finds the cause in the log.")


def cannot_pause(turn: Turn) -> AgentFailed:
    """The error for a run that waits for what nobody can give it here."""
    return AgentFailed(
        f"The agent {turn.agent!r} stopped to ask for an approval or an input, which cannot be given here; "
        "its tools must not need one."
    )


def _cancelled(turn: Turn) -> AgentFailed:
    return AgentFailed(f"The run of the agent {turn.agent!r} was cancelled.")
