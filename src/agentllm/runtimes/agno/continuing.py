"""Going on with a paused run of Agno, from its conversation, what was kept of it, and what the person decided."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from agno.agent import Agent
from agno.exceptions import RunNotFoundError
from agno.metrics import RunMetrics
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.models.response import ToolExecution
from agno.run import RunContext
from agno.run.agent import RunInput, RunOutput
from agno.run.base import RunStatus
from agno.run.requirement import RunRequirement
from agno.run.team import TeamRunInput, TeamRunOutput
from agno.team import Team
from agno.utils.callables import (
    aresolve_callable_knowledge,
    aresolve_callable_members,
    aresolve_callable_tools,
    get_resolved_members,
)
from agno.utils.hooks import normalize_post_hooks

from agentllm.core import Decision, Turn
from agentllm.errors import InvalidRequest
from agentllm.runtimes.agno.calls import Calls
from agentllm.runtimes.agno.model import keep_progress
from agentllm.runtimes.agno.outcome import Outcome
from agentllm.runtimes.agno.results import Output, failure


async def continued(
    agent: Agent | Team, turn: Turn, said: Sequence[AgnoMessage], context: RunContext
) -> dict[str, Any]:
    """Agno's arguments for going on with the paused run of `turn`; `said` are the messages of its conversation.

    `agent` is the copy for this run. It is given no history but `said`. Where it tries again after an error, what
    was decided is not run a second time.

    Raises:
        InvalidRequest: a decision, or the result of a call of the client, is missing or fits no call.
    """
    agent.add_history_to_context = False
    _prepare(agent)
    pending: Mapping[str, Any] = json.loads(json.dumps(turn.pending))
    tools, of_members = _tools(turn, pending)
    own = [RunRequirement(tool) for tool in tools if tool.result is None]
    run: Output
    if isinstance(agent, Team):
        await aresolve_callable_tools(agent, context)
        await aresolve_callable_knowledge(agent, context)
        await aresolve_callable_members(agent, context)
        _prepare_members(get_resolved_members(agent, context) or (), context)
        run = TeamRunOutput(input=TeamRunInput(_asked(turn)))
        run.member_responses = [_member_run(kept) for kept in pending["runs"]]
    else:
        run = RunOutput(input=RunInput(_asked(turn)))
    system = [AgnoMessage.from_dict(pending["system"])] if pending["system"] else []
    run.run_id, run.session_id, run.user_id = context.run_id, context.session_id, context.user_id
    run.session_state, run.status, run.metrics = context.session_state, RunStatus.paused, RunMetrics()
    run.messages = [*system, *said, *(_unfinished(tool) for tool in tools if tool.result is not None)]
    run.tools = tools
    return {
        "run_response": run,
        "requirements": [*own, *of_members],
        "run_context": context,
        "user_id": context.user_id,
        "session_id": context.session_id,
    }


@contextlib.contextmanager
def reporting(turn: Turn, calls: Calls) -> Iterator[None]:
    """Turn what a continued run raises into an error of ours; Agno has other runs end in an error of its own.

    Raises:
        AgentFailed: Agno could not go on with the run, or it failed.
    """
    try:
        yield
    except (ValueError, RunNotFoundError) as error:
        if turn.pending is None:
            raise
        raise failure(type(error).__name__, calls.outcome_of(turn.id) or Outcome(turn.agent), turn) from None


def _tools(turn: Turn, pending: Mapping[str, Any]) -> tuple[list[ToolExecution], list[RunRequirement]]:
    """The calls that waited, those of the agent and those of its members, as they were decided."""
    decisions = {decision.id: decision for decision in turn.decisions}
    kept, of_members = pending["tools"], pending["members"]
    asked = [_call_id(tool) for tool in kept if tool.get("result") is None]
    _check_complete(turn, decisions, [*asked, *(_call_id(one["tool"]) for one in of_members)], map(_call_id, kept))
    tools = [_decided(ToolExecution.from_dict(tool), decisions.get(_call_id(tool))) for tool in kept]
    return tools, [_requirement_of_member(one, decisions) for one in of_members]


def _call_id(kept: Mapping[str, Any]) -> str:
    return str(kept.get("tool_call_id") or "")


def _asked(turn: Turn) -> str:
    return next((message.content for message in reversed(turn.messages) if message.role == "user"), "")


def _unfinished(tool: ToolExecution) -> AgnoMessage:
    """The result of a call of a member, which Agno replaces when the member is done."""
    return AgnoMessage(role="tool", tool_call_id=tool.tool_call_id, tool_name=tool.tool_name, content=tool.result)


def _prepare(agent: Agent | Team) -> None:
    """Have what checks answers be called, which Agno prepares where a run begins only, and no result be lost."""
    agent.post_hooks = normalize_post_hooks(agent.post_hooks, async_mode=True)  # type: ignore[assignment]
    if isinstance(agent.model, Model):
        keep_progress(agent.model)


def _prepare_members(members: Iterable[Any], context: RunContext) -> None:
    """Have members that go on read and write the session state of the run; Agno gives them an empty one."""
    for member in members:
        if isinstance(member, Agent | Team):
            _prepare(member)
            cast("Any", member).acontinue_run = _with_state(member.acontinue_run, context)
        if isinstance(member, Team) and isinstance(member.members, list):
            _prepare_members(member.members, context)


def _with_state(begin: Callable[..., Any], context: RunContext) -> Callable[..., Any]:
    @functools.wraps(begin)
    def begun(*args: Any, **more: Any) -> Any:
        state = context.session_state
        own = RunContext(context.run_id, context.session_id, context.user_id, session_state=state)
        return begin(*args, run_context=own, **more)

    return begun


def _member_run(kept: dict[str, Any]) -> Output:
    run: Output = RunOutput.from_dict(kept) if "agent_id" in kept else TeamRunOutput.from_dict(kept)
    _count_calls(run)
    return run


def _count_calls(run: Output) -> None:
    run.metrics = RunMetrics()
    for member in getattr(run, "member_responses", None) or ():
        _count_calls(member)


def _check_complete(
    turn: Turn, decisions: Mapping[str, Decision], asked: Sequence[str], waiting: Iterable[str]
) -> None:
    if decisions.keys() != set(asked):
        raise InvalidRequest(
            f"Decisions are given for the calls {', '.join(sorted(decisions)) or 'none'}, but those that wait for one "
            f"are: {', '.join(sorted(asked))}. Decide all of them, once each; nothing was run.",
        )
    called = next((message.tool_calls for message in reversed(turn.messages) if message.tool_calls), ())
    results = {message.tool_call_id for message in turn.messages if message.role == "tool"}
    missing = sorted({call.id for call in called} - results - set(waiting))
    if missing:
        raise InvalidRequest(
            f"Results are missing for the calls: {', '.join(missing)}. Send them together with what was decided; "
            "nothing was run.",
            param="messages",
        )


def _requirement_of_member(kept: Mapping[str, Any], decisions: Mapping[str, Decision]) -> RunRequirement:
    tool = ToolExecution.from_dict(kept["tool"])
    requirement = RunRequirement(_decided(tool, decisions.get(str(tool.tool_call_id))))
    requirement.member_agent_id = kept["member_agent_id"]
    requirement.member_agent_name = kept["member_agent_name"]
    requirement.member_run_id = kept["member_run_id"]
    return requirement


def _decided(tool: ToolExecution, decision: Decision | None) -> ToolExecution:
    """`tool` as the person decided of it; one that waits for a member stays as it is."""
    if decision is None:
        return tool
    if not decision.approved:
        tool.requires_user_input = tool.user_input_schema = tool.user_feedback_schema = None
        tool.requires_confirmation, tool.confirmed = True, False
        tool.confirmation_note = f"The user refused this call, and it did not run. {decision.note or ''}".strip()
    elif tool.user_feedback_schema:
        _choose(tool, decision)
    elif tool.requires_user_input:
        _fill_in(tool, decision)
    else:
        tool.confirmed = True
    return tool


def _choose(tool: ToolExecution, decision: Decision) -> None:
    questions = tool.user_feedback_schema or []
    _refuse_unknown(decision, [question.question for question in questions])
    for question in questions:
        chosen = decision.values.get(question.question) or []
        labels = [chosen] if isinstance(chosen, str) or not isinstance(chosen, Sequence) else chosen
        question.selected_options = [str(label) for label in labels]
    tool.answered = True


def _fill_in(tool: ToolExecution, decision: Decision) -> None:
    """A value that nobody gave is left to the tool's own default, except where the model asked for the values."""
    fields = tool.user_input_schema or []
    _refuse_unknown(decision, [field.name for field in fields])
    for field in fields:
        field.value = decision.values.get(field.name, field.value)
    if tool.tool_name != "get_user_input":
        tool.user_input_schema = [field for field in fields if field.value is not None]
    tool.answered = True


def _refuse_unknown(decision: Decision, names: Sequence[str]) -> None:
    if unknown := sorted(decision.values.keys() - set(names)):
        raise InvalidRequest(
            f"The decision of the call {decision.id!r} gives values for {', '.join(map(repr, unknown))}; "
            f"it was asked for: {', '.join(map(repr, names))}."
        )
