"""The work in a run is told as it goes on: tools, members of teams, and steps of workflows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agno.agent import Agent
from agno.exceptions import ModelProviderError
from agno.team import Team
from agno.tools.function import Function
from agno.workflow import Loop, OnError, Parallel, Step, StepInput, StepOutput, Workflow
from agno.workflow.types import HumanReview

from agentllm.core import WORK_ID, Event, Finished, Text, ToolCall, Work
from agentllm.errors import AgentLLMError
from agentllm.runtimes import runtime_for
from agentllm.runtimes.agno.work import FAILED
from tests.runtimes.agno.spoken import Hang, Piece, Spoken, agent, calling, run, text_of, turn

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def explode() -> str:
    """Fail."""
    raise RuntimeError("secret-detail")


def work_of(events: list[Event]) -> list[Work]:
    return [event for event in events if isinstance(event, Work)]


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(work.kind, work.name, work.status) for work in work_of(events)]


async def failing(who: object, *, stream: bool = True) -> tuple[list[Event], AgentLLMError | None]:
    """The events of a turn until it failed, and its error; None where it did not."""
    events: list[Event] = []
    try:
        async for event in runtime_for(who).run(turn(stream=stream)):
            events.append(event)  # noqa: PERF401 - they are looked at after it raised
    except AgentLLMError as error:
        return events, error
    return events, None


def each_piece_ends_once(events: list[Event]) -> None:
    started = [work.id for work in work_of(events) if work.status == "started"]
    ended = [work.id for work in work_of(events) if work.status != "started"]
    assert sorted(started) == sorted(ended)
    assert len(set(started)) == len(started)


def delegating(task: str = "say it", member: str = "member") -> tuple[Any, ...]:
    return calling("delegate_task_to_member", json.dumps({"member_id": member, "task": task}))


def team(leader: tuple[Any, ...], *members: Agent | Team) -> Team:
    return Team(name="team", model=Spoken.of(*leader), members=list(members), telemetry=False)


def member(*says: Any, name: str = "member", **more: Any) -> Agent:
    return Agent(name=name, role="answers", model=Spoken.of(*says), telemetry=False, **more)


@STREAM
async def test_a_tool_is_told_as_it_starts_and_as_it_ends(stream: bool) -> None:
    who, _ = agent(calling("add", '{"a": 1, "b": 2}'), "3", tools=[add])
    events = await run(who, turn(stream=stream))
    started, finished = work_of(events)
    assert started == Work(f"{WORK_ID}call_add", "tool", "add", "started", {"a": 1, "b": 2})
    assert finished == Work(f"{WORK_ID}call_add", "tool", "add", "finished", {"a": 1, "b": 2}, "3")


async def test_work_stands_where_it_happened_between_the_words() -> None:
    who, _ = agent(calling("add", '{"a": 1, "b": 2}', text="Adding."), "3", tools=[add])
    events = await run(who, turn(stream=True))
    order = [type(event) for event in events if isinstance(event, (Text, Work))]
    assert order == [Text, Work, Work, Text]


@STREAM
async def test_what_a_tool_failed_with_is_for_the_agent_alone(stream: bool) -> None:
    who, _ = agent(calling("explode"), "sorry", tools=[explode])
    events = await run(who, turn(stream=stream))
    assert told(events) == [("tool", "explode", "started"), ("tool", "explode", "failed")]
    assert work_of(events)[-1].result == FAILED


@STREAM
async def test_calls_that_a_model_gives_one_id_are_pieces_of_their_own(stream: bool) -> None:
    call = calling("add", '{"a": 1, "b": 2}')
    who, _ = agent(call, call, "3", tools=[add])
    events = await run(who, turn(stream=stream))
    each_piece_ends_once(events)
    assert len(work_of(events)) == 4


@STREAM
async def test_tools_at_work_side_by_side_each_end(stream: bool) -> None:
    calls = tuple(ToolCall(f"call_{n}", "add", json.dumps({"a": n, "b": n})) for n in range(3))
    who, _ = agent((Piece(tool_calls=calls, finish_reason="tool_calls"),), "done", tools=[add])
    events = await run(who, turn(stream=stream))
    each_piece_ends_once(events)
    assert {work.id: work.result for work in work_of(events) if work.status == "finished"} == {
        f"{WORK_ID}call_{n}": str(2 * n) for n in range(3)
    }


async def test_a_tool_that_the_client_runs_is_no_work() -> None:
    theirs = Function(name="theirs", parameters={"type": "object", "properties": {}}, external_execution=True)
    who, _ = agent(calling("theirs"), "done", tools=[theirs])
    events, _ = await failing(who)
    assert work_of(events) == []


@STREAM
async def test_a_member_s_work_is_told_with_its_task_and_its_own_tools(stream: bool) -> None:
    who = team((delegating("add them"), "Done."), member(calling("add", '{"a": 1, "b": 2}'), "It is 3.", tools=[add]))
    events = await run(who, turn(stream=stream))
    assert told(events) == [
        ("member", "member", "started"),
        ("tool", "add", "started"),
        ("tool", "add", "finished"),
        ("member", "member", "finished"),
    ]
    first, tool, _, last = work_of(events)
    assert (first.arguments, first.by) == ({"task": "add them"}, None)
    assert tool.by == "member"
    assert last.result == "It is 3."
    assert text_of(events) == "Done."


@STREAM
async def test_two_members_are_told_apart(stream: bool) -> None:
    calls = tuple(
        ToolCall(f"call_{name}", "delegate_task_to_member", json.dumps({"member_id": name, "task": f"for {name}"}))
        for name in ("one", "two")
    )
    both = (Piece(tool_calls=calls, finish_reason="tool_calls"),)
    who = team((both, "Done."), member("a", name="two"), member("b", name="one"))
    events = await run(who, turn(stream=stream))
    each_piece_ends_once(events)
    ends = [work for work in work_of(events) if work.status == "finished"]
    assert {work.name: (work.arguments, work.result) for work in ends} == {
        "one": ({"task": "for one"}, "b"),
        "two": ({"task": "for two"}, "a"),
    }


async def test_a_task_for_all_members_is_told_of_each() -> None:
    to_all = calling("delegate_task_to_members", json.dumps({"task": "all of you"}))
    who = team((to_all, "Done."), member("a", name="one"), member("b", name="two"))
    who.delegate_to_all_members = True
    events = await run(who, turn(stream=True))
    each_piece_ends_once(events)
    started = [work for work in work_of(events) if work.status == "started"]
    assert {work.name for work in started} == {"one", "two"}
    assert all(work.arguments == {"task": "all of you"} for work in started)


@STREAM
async def test_a_member_s_member_is_told_as_its_team_s(stream: bool) -> None:
    inner = team((delegating(), "mid"), member("deep"))
    inner.name = "inner"
    who = team((delegating(member="inner"), "top"), inner)
    events = await run(who, turn(stream=stream))
    assert [(work.name, work.by) for work in work_of(events) if work.status == "started"] == [
        ("inner", None),
        ("member", "inner"),
    ]
    each_piece_ends_once(events)


@STREAM
async def test_a_member_that_failed_is_told_without_its_error(stream: bool) -> None:
    who = team((delegating(), "It did not work."), member((ModelProviderError("secret-detail"),)))
    events = await run(who, turn(stream=stream))
    assert told(events) == [("member", "member", "started"), ("member", "member", "failed")]
    assert "secret" not in work_of(events)[-1].result


@STREAM
async def test_the_steps_of_a_workflow_are_told_with_their_tools(stream: bool) -> None:
    first, _ = agent(calling("add", '{"a": 1, "b": 2}'), "draft", tools=[add])
    second, _ = agent("final")
    steps = [Step(name="one", agent=first), Step(name="two", agent=second)]
    events = await run(Workflow(name="flow", steps=list(steps), telemetry=False), turn(stream=stream))
    assert told(events) == [
        ("step", "one", "started"),
        ("tool", "add", "started"),
        ("tool", "add", "finished"),
        ("step", "one", "finished"),
        ("step", "two", "started"),
        ("step", "two", "finished"),
    ]
    assert work_of(events)[1].by == "one"
    assert work_of(events)[3].result == "draft"
    assert text_of(events) == "final"


async def test_steps_that_come_again_or_side_by_side_are_pieces_of_their_own() -> None:
    def say(step_input: StepInput) -> StepOutput:
        return StepOutput(content="said")

    again = Loop(name="loop", steps=[Step(name="again", executor=say)], max_iterations=2)
    sides: list[Any] = [Step(name="left", executor=say), Step(name="right", executor=say)]
    beside = Parallel(*sides, name="both")
    events = await run(Workflow(name="flow", steps=[again, beside], telemetry=False), turn(stream=True))
    each_piece_ends_once(events)
    assert sorted(work.name for work in work_of(events) if work.status == "finished") == [
        "again",
        "again",
        "left",
        "right",
    ]


@STREAM
@pytest.mark.parametrize("on_error", [OnError.skip, OnError.fail])
async def test_a_step_that_failed_is_told_so(on_error: OnError, stream: bool) -> None:
    def fail(step_input: StepInput) -> StepOutput:
        raise RuntimeError("secret-detail")

    broken = Step(name="broken", executor=fail, max_retries=0, human_review=HumanReview(on_error=on_error))
    first, last = agent("draft")[0], agent("final")[0]
    steps = [Step(name="first", agent=first), broken, Step(name="last", agent=last)]
    who = Workflow(name="flow", steps=list(steps), telemetry=False)
    events, error = await failing(who, stream=stream)
    assert (error is None) is (on_error is OnError.skip)
    each_piece_ends_once(events)
    assert ("step", "broken", "failed") in told(events)
    assert not any("secret" in work.result for work in work_of(events))


async def test_a_first_step_that_did_nothing_before_it_failed_is_not_told() -> None:
    failing_model, _ = agent((ModelProviderError("gone"),))
    flow = Workflow(name="flow", steps=[Step(name="one", agent=failing_model, max_retries=0)], telemetry=False)
    events, error = await failing(flow)
    assert error is not None
    assert work_of(events) == []


async def test_a_step_is_told_before_its_model_has_said_all() -> None:
    hang = Hang()
    first, _ = agent((Piece("I am"), hang))
    events = runtime_for(Workflow(name="flow", steps=[Step(name="one", agent=first)], telemetry=False))
    running = events.run(turn(stream=True))
    told_first = await anext(running)
    assert isinstance(told_first, Work)
    assert not hang.ended.is_set()
    await running.aclose()


async def test_what_has_begun_ends_before_the_run_fails() -> None:
    who = team((delegating(), (Piece("I was"), ModelProviderError("gone"))), member("x"))
    first, _ = agent(calling("add", '{"a": 1, "b": 2}'), (ModelProviderError("gone"),), tools=[add])
    flow = Workflow(name="flow", steps=[Step(name="one", agent=first, max_retries=0)], telemetry=False)
    for one in (who, flow):
        events, error = await failing(one)
        assert error is not None
        assert work_of(events)
        each_piece_ends_once(events)


async def test_an_agent_that_only_answers_does_no_work() -> None:
    who, _ = agent("hello")
    for stream in (True, False):
        events = await run(who, turn(stream=stream))
        assert work_of(events) == []
        assert isinstance(events[-1], Finished)


async def test_leaving_in_the_middle_of_work_closes_the_run() -> None:
    hang = Hang()
    who = team((delegating(), "Done."), member((hang,)))
    events = runtime_for(who).run(turn(stream=True))
    async for event in events:
        if isinstance(event, Work):
            break
    await events.aclose()
    assert not hang.begun.is_set() or hang.ended.is_set()
