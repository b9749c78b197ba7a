"""Runs of Agno that pause: for calls that the client is to run, and for what the person is to decide.

Between the pause and the decision a run is nowhere but in its conversation. What Agno needs of it
beside the messages is in `Finished.pending`: the system message that it had, the calls that wait
for the person, and the runs of team members that wait.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agno.models.response import ToolExecution
from agno.run.base import RunStatus
from agno.run.requirement import RunRequirement
from agno.run.team import TeamRunOutput

from agentllm.core import Choice, Field, JsonObject, Message, Question, ToolCall, Turn
from agentllm.errors import AgentFailed
from agentllm.runtimes.agno.results import Output, cannot_pause

_WAITS_FOR_MEMBER = "requires human input"
"""What Agno gives a team's leader for the result of a call of a member that waits, in any case of letters."""

_OF_MEMBER_RUN = (
    "run_id",
    "agent_id",
    "agent_name",
    "team_id",
    "team_name",
    "session_id",
    "user_id",
    "parent_run_id",
    "status",
    "messages",
    "tools",
)


@dataclass(frozen=True, slots=True)
class Pause:
    """What a paused run waits for. `messages` are what it added so far; `pending` is as in `Finished`."""

    messages: tuple[Message, ...]
    calls: tuple[ToolCall, ...]
    questions: tuple[Question, ...]
    pending: JsonObject | None


def pause_of(output: Output, messages: Sequence[Message], turn: Turn) -> Pause | None:
    """What the run waits for that ended in `output` and added `messages`; None where it is not paused.

    Raises:
        AgentFailed: it waits for something that nobody here can give.
    """
    if output.status is not RunStatus.paused:
        return None
    open_ones = [one for one in output.requirements or () if one.tool_execution and not one.is_resolved()]
    of_client = {_id(one) for one in open_ones if _is_for_client(one, turn)}
    asked = [one for one in open_ones if _id(one) not in of_client]
    for one in asked:
        _raise_if_for_others(one, turn)
    if len({one.member_agent_id is None for one in asked}) > 1:
        # Agno would not tell the leader what the member then did.
        raise cannot_pause(turn)
    called = next((message.tool_calls for message in reversed(messages) if message.tool_calls), ())
    calls = tuple(call for call in called if call.id in of_client)
    if not calls and not asked:
        raise cannot_pause(turn)
    waits = any(one.member_agent_id is not None for one in asked)
    known = tuple(message for message in messages if not (waits and _is_of_waiting_member(message)))
    questions = tuple(_question(one.tool_execution) for one in asked if one.tool_execution)
    return Pause(known, calls, questions, _pending(output, asked) if asked else None)


def _id(requirement: RunRequirement) -> str:
    execution = requirement.tool_execution
    return str((execution and execution.tool_call_id) or "")


def _is_for_client(requirement: RunRequirement, turn: Turn) -> bool:
    execution = requirement.tool_execution
    return (
        requirement.member_agent_id is None
        and requirement.needs_external_execution
        and execution is not None
        and execution.tool_name in {tool.name for tool in turn.client_tools}
    )


def _raise_if_for_others(requirement: RunRequirement, turn: Turn) -> None:
    """Raise where neither the client nor the person who asked is to answer."""
    execution = requirement.tool_execution
    if execution is None:
        return
    if requirement.needs_external_execution:
        raise AgentFailed(
            f"The agent {turn.agent!r} called its tool {execution.tool_name!r}, which is marked to be run outside of "
            "the agent; nothing here does that. Its tools must run by themselves."
        )
    if execution.approval_type == "required":
        raise AgentFailed(
            f"The agent {turn.agent!r} called its tool {execution.tool_name!r}, which waits for the approval of its "
            "operator and not of the person who asks; that cannot be given here. Nothing of it was run."
        )


def _is_of_waiting_member(message: Message) -> bool:
    return message.role == "tool" and _WAITS_FOR_MEMBER in message.content.lower()


def _question(tool: ToolExecution) -> Question:
    asked = {"id": tool.tool_call_id or "", "tool": tool.tool_name or "", "arguments": _json(tool.tool_args or {})}
    if tool.user_feedback_schema:
        choices = tuple(
            Choice(
                one.question,
                one.header or "",
                tuple((option.label, option.description or "") for option in one.options or ()),
                one.multi_select,
            )
            for one in tool.user_feedback_schema
        )
        return Question(kind="choices", choices=choices, **asked)
    if tool.requires_user_input:
        fields = tuple(
            Field(one["name"], one["field_type"], one["description"] or "", one["value"])
            for one in _as_json(tool)["user_input_schema"] or ()
        )
        return Question(kind="values", fields=fields, **asked)
    return Question(kind="confirmation", **asked)


def _pending(output: Output, asked: Iterable[RunRequirement]) -> JsonObject:
    system = next((message for message in output.messages or () if message.role in ("system", "developer")), None)
    of_members = [
        {
            "tool": _as_json(one.tool_execution),
            "member_agent_id": one.member_agent_id,
            "member_agent_name": one.member_agent_name,
            "member_run_id": one.member_run_id,
        }
        for one in asked
        if one.member_agent_id is not None and one.tool_execution
    ]
    own = {_id(one) for one in asked if one.member_agent_id is None}
    waiting = [
        tool
        for tool in output.tools or ()
        if (tool.is_paused and tool.tool_call_id in own) or (of_members and _waits_for_member(tool))
    ]
    runs = output.member_responses if isinstance(output, TeamRunOutput) else []
    pending: JsonObject = _json(
        {
            "system": {"role": system.role, "content": system.get_content_string()} if system else None,
            "tools": [_as_json(tool) for tool in waiting],
            "members": of_members,
            "runs": [_run_as_json(run) for run in runs if run.is_paused],
        }
    )
    return pending


def _waits_for_member(tool: ToolExecution) -> bool:
    return isinstance(tool.result, str) and _WAITS_FOR_MEMBER in tool.result.lower()


def _as_json(tool: ToolExecution) -> dict[str, Any]:
    """Without what is unset. Calls of one tool share their fields in Agno, so each takes its values from its call."""
    kept = {name: value for name, value in tool.to_dict().items() if value is not None and name != "metrics"}
    for field in kept.get("user_input_schema", ()):
        field["value"] = (tool.tool_args or {}).get(field["name"])
    return kept


def _run_as_json(run: Output) -> dict[str, Any]:
    whole = run.to_dict()
    kept = {name: whole[name] for name in _OF_MEMBER_RUN if name in whole}
    for message in kept.get("messages", ()):
        message.pop("metrics", None)
    if isinstance(run, TeamRunOutput):
        kept["member_responses"] = [_run_as_json(member) for member in run.member_responses if member.is_paused]
    return kept


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
