"""What Agno tells of the work in a run, as `Work`: tools, members of teams, and steps of workflows.

A call of a tool that hands a task to a member is told as that member's work. A call that the
client runs, or that waits for a person, is no work before it runs here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, TypeAlias

from agno.models.response import ToolExecution
from agno.run import agent as agent_events
from agno.run import team as team_events
from agno.run import workflow as workflow_events
from agno.run.base import RunStatus
from agno.run.team import TeamRunOutput
from agno.utils.string import url_safe_string

from agentllm.core import WORK_ID, ClientCalls, Event, Finished, JsonObject, Message, Questions, Work
from agentllm.runtimes.agno.results import Output, as_text

FAILED = "It failed; the agent was told why."
"""What may be told of a failure: its text can hold what is not for the person who asked."""

UNFINISHED = "It ended without a result."

_RunEvent: TypeAlias = agent_events.BaseAgentRunEvent | team_events.BaseTeamRunEvent
_Key: TypeAlias = tuple[str, str | None, str | None]
"""Of a piece that is at work: its kind, the run it is in, and Agno's id of it."""

_CALLED = (agent_events.ToolCallStartedEvent, team_events.ToolCallStartedEvent)
_RETURNED = (agent_events.ToolCallCompletedEvent, team_events.ToolCallCompletedEvent)
_BEGUN = (
    agent_events.RunStartedEvent,
    team_events.RunStartedEvent,
    agent_events.RunContinuedEvent,
    team_events.RunContinuedEvent,
)
_DONE = (agent_events.RunCompletedEvent, team_events.RunCompletedEvent)
_PAUSED = (agent_events.RunPausedEvent, team_events.RunPausedEvent)
_BROKEN_OFF = (
    agent_events.RunErrorEvent,
    team_events.RunErrorEvent,
    agent_events.RunCancelledEvent,
    team_events.RunCancelledEvent,
)
_STEP_ENDED = (workflow_events.StepCompletedEvent, workflow_events.StepErrorEvent)
_TELLING = frozenset(
    (*_CALLED, *_RETURNED, *_BEGUN, *_DONE, *_PAUSED, *_BROKEN_OFF, *_STEP_ENDED, workflow_events.StepStartedEvent)
)
_DOING = frozenset(
    (
        agent_events.RunContentEvent,
        team_events.RunContentEvent,
        agent_events.ModelRequestCompletedEvent,
        team_events.ModelRequestCompletedEvent,
    )
)
"""What shows that an agent is being answered by its model."""

_LAST = (ClientCalls, Questions, Finished)
_TO_MEMBER = "delegate_task_to_member"
_TO_ALL = "delegate_task_to_members"


@dataclass(frozen=True, slots=True)
class _Delegation:
    """A task for the member with that id, or for all of them where it is None."""

    run_id: str | None
    call_id: str | None
    member_id: str | None
    task: JsonObject

    def is_for(self, name: str, member_id: str | None) -> bool:
        safe: str = url_safe_string(name)  # type: ignore[no-untyped-call]  # Agno has no types for it
        return self.member_id is None or self.member_id in (member_id, name, safe)


class WorkOfRun:
    """The work of one run, told from its events or from what a plain run came to.

    Each piece is told twice under one id: as it starts, and as it ends.
    """

    def __init__(self) -> None:
        self._open: dict[_Key, Work] = {}
        self._begun: Counter[str] = Counter()
        self._members: dict[str, str] = {}
        """The names of members by the ids of their runs."""
        self._delegations: list[_Delegation] = []
        self._held: list[Work] = []
        """The starts of the first steps, until one of them does something: an error before has its HTTP status."""
        self._has_told = False

    def of(self, event: object) -> Iterable[Work]:
        """What an event of the run tells, those of members and steps too."""
        if type(event) not in _TELLING:
            return self._release() if self._held and type(event) in _DOING else ()
        pieces = list(self._told(event))
        if isinstance(event, workflow_events.StepStartedEvent) and not self._has_told:
            self._held += pieces
            return ()
        return [*self._release(), *pieces] if pieces else ()

    def _release(self) -> list[Work]:
        held, self._held, self._has_told = self._held, [], True
        return held

    def of_output(self, output: Output) -> Iterator[Work]:
        """What a plain run did."""
        members = list(output.member_responses) if isinstance(output, TeamRunOutput) else []
        for tool in output.tools or ():
            if tool.tool_name == _TO_MEMBER:
                delegation = _delegation(tool, output.run_id)
                if member := next((m for m in members if delegation.is_for(*_name_and_id(m))), None):
                    members.remove(member)
                    yield from self._member(member, output.run_id, delegation.task)
            elif tool.tool_name != _TO_ALL and tool.result is not None:
                yield from self._call(tool, output.run_id, self._members.get(output.run_id or ""))
                yield from self._return(tool, output.run_id)
        for member in members:
            yield from self._member(member, output.run_id, {})

    def of_failed(self, messages: Iterable[Message], run_id: str | None) -> Iterator[Work]:
        """What the tools did whose calls and results are in the `messages` of a plain run that failed after them."""
        results = {message.tool_call_id: message.content for message in messages if message.role == "tool"}
        for call in chain.from_iterable(message.tool_calls for message in messages):
            if call.id in results and not self._begun[call.id]:
                made = ToolExecution(call.id, call.name, tool_args=_read(call.arguments), result=results[call.id])
                yield from self._call(made, run_id, None)
                yield from self._return(made, run_id)

    async def ending(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The `events` of the run, in which what began also ends, however the run does; closing this closes them."""
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, _LAST):
                        for piece in self._left():
                            yield piece
                    yield event
        except Exception:
            for piece in self._left():
                yield piece
            raise

    def _left(self) -> list[Work]:
        told = [work for work in self._open.values() if work not in self._held]
        pieces = [replace(work, status="failed", result=UNFINISHED) for work in told]
        self._open.clear()
        self._held.clear()
        return pieces

    def _told(self, event: object) -> Iterator[Work]:
        if isinstance(event, _CALLED) and event.tool is not None:
            yield from self._call(event.tool, event.run_id, self._by(event))
        elif isinstance(event, _RETURNED) and event.tool is not None:
            yield from self._return(event.tool, event.run_id)
        elif isinstance(event, workflow_events.StepStartedEvent):
            yield from self._start(_step(event), event.step_id, "step", event.step_name or "step")
        elif isinstance(event, _STEP_ENDED):
            yield from self._step_end(event)
        elif isinstance(event, _BEGUN) and event.parent_run_id is not None:
            name, member_id = _name_and_id(event)
            task = self._task(event.parent_run_id, name, member_id)
            yield from self._begin_member(event.run_id, name, task, self._over(event))
        elif isinstance(event, (*_DONE, *_PAUSED)):
            result = as_text(event.content) if isinstance(event, _DONE) else ""
            yield from self._end(("member", event.run_id, None), "finished", result)
        elif isinstance(event, _BROKEN_OFF):
            yield from self._end(("member", event.run_id, None), "failed", FAILED)

    def _by(self, event: _RunEvent) -> str | None:
        return self._members.get(event.run_id or "") or event.step_name

    def _over(self, event: _RunEvent) -> str | None:
        """The team that a member belongs to, where that is a member or a step itself."""
        return self._members.get(event.parent_run_id or "") or event.step_name

    def _task(self, team_run_id: str, name: str, member_id: str | None) -> JsonObject:
        mine = (d for d in self._delegations if d.run_id == team_run_id and d.is_for(name, member_id))
        return next((d.task for d in mine), {})

    def _call(self, tool: ToolExecution, run_id: str | None, by: str | None) -> Iterator[Work]:
        if tool.external_execution_required:
            return
        if tool.tool_name in (_TO_MEMBER, _TO_ALL):
            self._delegations.append(_delegation(tool, run_id))
            return
        name = tool.tool_name or "tool"
        yield from self._start(_tool(tool, run_id), tool.tool_call_id or name, "tool", name, _arguments(tool), by)

    def _return(self, tool: ToolExecution, run_id: str | None) -> Iterator[Work]:
        self._delegations = [d for d in self._delegations if (d.run_id, d.call_id) != (run_id, tool.tool_call_id)]
        if tool.tool_call_error:
            yield from self._end(_tool(tool, run_id), "failed", FAILED)
        else:
            yield from self._end(_tool(tool, run_id), "finished", as_text(tool.result))

    def _begin_member(self, run_id: str | None, name: str, task: JsonObject, by: str | None) -> Iterator[Work]:
        self._members[run_id or ""] = name
        yield from self._start(("member", run_id, None), run_id, "member", name, task, by)

    def _member(self, output: Output, over: str | None, task: JsonObject) -> Iterator[Work]:
        """What a member's plain run did."""
        yield from self._begin_member(output.run_id, _name_and_id(output)[0], task, self._members.get(over or ""))
        yield from self.of_output(output)
        failed = output.status in (RunStatus.error, RunStatus.cancelled)
        result = FAILED if failed else as_text(output.content)
        yield from self._end(("member", output.run_id, None), "failed" if failed else "finished", result)

    def _step_end(self, event: workflow_events.StepCompletedEvent | workflow_events.StepErrorEvent) -> Iterator[Work]:
        done = event.step_response if isinstance(event, workflow_events.StepCompletedEvent) else None
        if done is not None and done.success:
            yield from self._end(_step(event), "finished", as_text(done.content))
        else:
            yield from self._end(_step(event), "failed", FAILED)

    def _start(
        self,
        key: _Key,
        agnos_id: str | None,
        kind: Literal["tool", "member", "step"],
        name: str,
        arguments: JsonObject | None = None,
        by: str | None = None,
    ) -> Iterator[Work]:
        if key in self._open:
            return
        known_as = agnos_id or name
        self._begun[known_as] += 1
        again = f"_{self._begun[known_as]}" if self._begun[known_as] > 1 else ""
        self._open[key] = Work(f"{WORK_ID}{known_as}{again}", kind, name, "started", arguments or {}, by=by)
        yield self._open[key]

    def _end(self, key: _Key, status: Literal["finished", "failed"], result: str) -> Iterator[Work]:
        if (work := self._open.pop(key, None)) is not None:
            yield replace(work, status=status, result=result)


def _tool(tool: ToolExecution, run_id: str | None) -> _Key:
    return ("tool", run_id, tool.tool_call_id or tool.tool_name)


def _step(
    event: workflow_events.StepStartedEvent | workflow_events.StepCompletedEvent | workflow_events.StepErrorEvent,
) -> _Key:
    return ("step", event.run_id, event.step_id or event.step_name)


def _delegation(tool: ToolExecution, run_id: str | None) -> _Delegation:
    arguments = _arguments(tool)
    member = None if tool.tool_name == _TO_ALL else str(arguments.get("member_id"))
    task = {"task": arguments["task"]} if "task" in arguments else {}
    return _Delegation(run_id, tool.tool_call_id, member, task)


def _name_and_id(who: _RunEvent | Output) -> tuple[str, str | None]:
    """The name of an agent or a team, or else its id, and the id."""
    if isinstance(who, (team_events.BaseTeamRunEvent, TeamRunOutput)):
        return who.team_name or who.team_id or "member", who.team_id
    return who.agent_name or who.agent_id or "member", who.agent_id


def _read(arguments: str) -> dict[str, Any]:
    """The arguments that a model wrote; none where they are no JSON object."""
    try:
        found = json.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _arguments(tool: ToolExecution) -> JsonObject:
    """As JSON; what JSON cannot hold, a person's input for one, as its text."""
    found: JsonObject = json.loads(json.dumps(tool.tool_args or {}, default=str))
    return found
