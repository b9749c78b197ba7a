"""Workflows: the last step's words are the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import pytest
from agno.exceptions import ModelProviderError
from agno.models.message import Message as AgnoMessage
from agno.run import RunContext
from agno.run.cancel import acancel_run
from agno.team import Team
from agno.workflow import (
    Condition,
    Loop,
    OnError,
    Parallel,
    Router,
    Step,
    StepInput,
    StepOutput,
    Steps,
    Workflow,
    WorkflowAgent,
)
from agno.workflow.types import HumanReview

from agentllm.core import Message, Parameters, Text, Usage
from agentllm.errors import AgentFailed, ModelFailed, UnsupportedParameter
from agentllm.runtimes import runtime_for
from tests.runtimes.agno.spoken import (
    SECOND,
    Hang,
    Spoken,
    agent,
    answer,
    calling,
    finished,
    first_usage,
    leave,
    no_task_is_left,
    run,
    text_of,
    turn,
    usage_of,
)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def step(name: str, *says: Any, **more: Any) -> tuple[Step, Spoken]:
    who, model = agent(*says)
    return Step(name=name, agent=who, max_retries=0, **more), model


def workflow(*steps: Any, **more: Any) -> Workflow:
    return Workflow(name="flow", description="In steps.", steps=list(steps), telemetry=False, **more)


def parallel(*steps: Any) -> Parallel:
    return Parallel(*steps, name="parallel")


def repeat(step_input: StepInput) -> StepOutput:
    """A step that says what the one before it said."""
    return StepOutput(content=step_input.previous_step_content)


def model_of(only: Step) -> Spoken:
    assert only.agent is not None
    assert isinstance(only.agent.model, Spoken)
    return only.agent.model


def first_choice(step_input: StepInput, step_choices: list[Step]) -> str | None:
    return step_choices[0].name


def selecting(chosen: Step, *, later: bool = False) -> Router:
    """A router that gives the step itself, not its name."""

    def select(step_input: StepInput) -> list[Step]:
        return [chosen]

    async def select_later(step_input: StepInput) -> list[Step]:
        return [chosen]

    return Router(name="router", selector=cast("Any", select_later if later else select), choices=[chosen])


Place: TypeAlias = Callable[[Step], Any]

PLACES: dict[str, Place] = {
    "a step": lambda inner: inner,
    "an agent": lambda inner: inner.agent,
    "a team": lambda inner: Team(name="team", model=model_of(inner), members=[], telemetry=False),
    "a workflow": lambda inner: workflow(inner),
    "a workflow in a step": lambda inner: Step(name="nested", workflow=workflow(inner), max_retries=0),
    "steps": lambda inner: Steps(name="steps", steps=[inner]),
    "a loop": lambda inner: Loop(name="loop", steps=[inner], max_iterations=1),
    "parallel steps": lambda inner: parallel(inner),
    "a parallel agent": lambda inner: parallel(inner.agent),
    "a condition": lambda inner: Condition(name="condition", steps=[inner]),
    "the other side of a condition": lambda inner: Condition(
        name="condition", evaluator=False, steps=[Step(name="never", executor=repeat)], else_steps=[inner]
    ),
    "a choice by name": lambda inner: Router(name="router", selector=cast("Any", first_choice), choices=[inner]),
    "a choice": selecting,
    "a choice made later": lambda inner: selecting(inner, later=True),
    "a group in a group": lambda inner: parallel(Steps(name="steps", steps=[parallel(inner)])),
}
EVERYWHERE = pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
"""All the places that an agent can have in a workflow."""


@STREAM
async def test_the_answer_is_one_text_of_the_last_step_and_all_steps_are_counted(stream: bool) -> None:
    first, _ = step("first", answer("draft", usage=Usage(10, 1, 1, 2)))
    second, model = step("second", answer("fi", "nal", usage=Usage(20, 2)))
    events = await run(workflow(first, second), turn("write", stream=stream))
    assert [event.text for event in events if isinstance(event, Text)] == ["final"]
    assert usage_of(events) == Usage(30, 3, 1, 2)
    assert finished(events).messages == (Message("assistant", "final"),)
    assert "draft" in model.asked[0][-1].get_content_string()


async def test_a_step_may_be_a_function_and_its_output_anything_that_json_can_say() -> None:
    def last(step_input: StepInput) -> StepOutput:
        return StepOutput(content={"said": step_input.input})

    assert text_of(await run(workflow(Step(name="last", executor=last)), turn("hi"))) == '{"said": "hi"}'


def test_a_workflow_s_name_and_description_are_the_agent_s() -> None:
    runtime = runtime_for(workflow())
    assert (runtime.name, runtime.description) == ("flow", "In steps.")


@STREAM
async def test_sampling_parameters_are_refused_because_no_one_model_takes_them(stream: bool) -> None:
    only, model = step("only", "x")
    with pytest.raises(UnsupportedParameter, match="temperature"):
        await run(workflow(only), turn(stream=stream, parameters=Parameters(temperature=0.5)))
    assert model.asked == []


@STREAM
async def test_they_are_dropped_where_the_turn_allows(stream: bool) -> None:
    only, _ = step("only", "x")
    asked = turn(stream=stream, parameters=Parameters(temperature=0.5), drop_unsupported=True)
    assert text_of(await run(workflow(only), asked)) == "x"


@EVERYWHERE
async def test_the_answer_and_its_tokens_come_from_everywhere(place: Place) -> None:
    only, model = step("only", answer("said", usage=Usage(10, 2)))
    events = await run(workflow(place(only)), turn())
    assert "said" in text_of(events)
    assert usage_of(events) == Usage(10, 2)
    assert finished(events).reason == "stop"
    assert len(model.asked) == 1


@STREAM
async def test_tokens_are_counted_where_the_workflow_hides_the_steps_events(stream: bool) -> None:
    only, _ = step("only", answer("said", usage=Usage(10, 2)))
    assert usage_of(await run(workflow(only, stream_executor_events=False), turn(stream=stream))) == Usage(10, 2)


def with_a_member(*member_says: Any, **more: Any) -> Team:
    """A team whose leader asks its one member, and then is done."""
    member, _ = agent(*member_says, id="member")
    task = calling("delegate_task_to_member", '{"member_id": "member", "task": "say it"}')
    return Team(name="team", model=Spoken.of(task, "Done."), members=[member], telemetry=False, **more)


@pytest.mark.parametrize("shown", [True, False])
async def test_tokens_of_a_team_s_members_are_counted_once(shown: bool) -> None:
    team = with_a_member(answer("x", usage=Usage(100, 30)), stream_member_events=shown, store_member_responses=True)
    events = await run(workflow(Step(name="only", team=team)), turn())
    assert usage_of(events) == Usage(120, 32)


async def test_the_shared_workflow_stays_as_it_was() -> None:
    only, model = step("only", "x", "y")
    team = with_a_member("said")
    flow = workflow(only, parallel(Loop(name="loop", steps=[cast("Any", repeat)], max_iterations=1)), team)
    steps, before = list(cast("Any", flow.steps)), vars(only.agent).copy()
    await run(flow, turn(state={"a": 1}))
    assert cast("Any", flow.steps) == steps
    assert vars(only.agent) == before
    assert only.active_executor is only.agent
    assert "ainvoke" not in vars(model)
    assert (team.id, team.members[0].team_id) == (None, None)  # type: ignore[index, union-attr]
    assert (flow.id, flow.session_state) == (None, None)


@STREAM
@pytest.mark.parametrize("status", [400, 401, 429, 503])
async def test_a_model_that_fails_is_the_provider_s_error(status: int, stream: bool) -> None:
    first, _ = step("first", (ModelProviderError("no, says the provider", status),))
    second, _ = step("second", "never said")
    with pytest.raises(ModelFailed, match="'offline' failed: no, says the provider") as raised:
        await run(workflow(first, second), turn(stream=stream))
    assert raised.value.status == status


@EVERYWHERE
async def test_a_model_that_fails_anywhere_is_the_provider_s_error(place: Place) -> None:
    only, _ = step("only", (ModelProviderError("no, says the provider", 429),))
    with pytest.raises(ModelFailed, match="no, says the provider") as raised:
        await run(workflow(place(only)), turn())
    assert raised.value.status == 429


@STREAM
async def test_a_member_that_fails_is_its_team_s_to_deal_with(stream: bool) -> None:
    team = with_a_member((ModelProviderError("no", 429),))
    events = await run(workflow(Step(name="only", team=team)), turn(stream=stream))
    assert text_of(events) == "Done."


@STREAM
async def test_a_function_that_fails_after_a_member_failed_is_the_agent_s_failure(stream: bool) -> None:
    def explode(step_input: StepInput) -> StepOutput:
        raise RuntimeError("broken")

    team = with_a_member((ModelProviderError("no", 429),))
    flow = workflow(Step(name="first", team=team), Step(name="last", executor=explode, max_retries=0))
    with pytest.raises(AgentFailed) as raised:
        await run(flow, turn(stream=stream))
    assert raised.value.status == 500


@EVERYWHERE
@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_the_reason_of_the_end_is_that_of_the_model_that_answered(reason: str, place: Place) -> None:
    only, _ = step("only", answer("cut", finish=reason))
    events = await run(workflow(place(only)), turn())
    assert finished(events).reason == reason
    assert "cut" in text_of(events)


@STREAM
async def test_it_is_that_of_the_last_step_alone(stream: bool) -> None:
    first, _ = step("first", answer("cut", finish="length"))
    second, _ = step("second", "whole")
    assert finished(await run(workflow(first, second), turn(stream=stream))).reason == "stop"
    assert finished(await run(workflow(first, repeat), turn(stream=stream))).reason == "stop"


@STREAM
async def test_an_answer_cut_before_its_first_word_has_no_text_and_is_no_error(stream: bool) -> None:
    only, _ = step("only", answer(finish="length"))
    events = await run(workflow(only), turn(stream=stream))
    assert not any(isinstance(event, Text) for event in events)
    assert finished(events).reason == "length"


@STREAM
async def test_a_workflow_s_own_agent_answers_with_its_reason_and_its_errors(stream: bool) -> None:
    only, _ = step("only", "never said")
    cut = workflow(only, agent=WorkflowAgent(model=Spoken.of(answer("cut", finish="length"))))
    events = await run(cut, turn(stream=stream))
    assert (text_of(events), finished(events).reason) == ("cut", "length")
    broken = workflow(only, agent=WorkflowAgent(model=Spoken.of((ModelProviderError("no", 429),))))
    with pytest.raises(ModelFailed) as raised:
        await run(broken, turn(stream=stream))
    assert raised.value.status == 429


@pytest.mark.parametrize("on_error", [OnError.skip, OnError.fail])
async def test_a_last_step_that_raises_is_an_error_that_does_not_tell_why(
    on_error: OnError, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(step_input: StepInput) -> StepOutput:
        raise RuntimeError("secret-detail")

    only = Step(name="only", executor=explode, max_retries=0, human_review=HumanReview(on_error=on_error))
    with pytest.raises(AgentFailed) as raised:
        await run(workflow(only), turn())
    assert "secret-detail" not in raised.value.message
    assert "secret-detail" not in caplog.text
    assert "in explode" in caplog.text


@STREAM
async def test_an_empty_last_step_is_an_error(stream: bool) -> None:
    def nothing(step_input: StepInput) -> StepOutput:
        return StepOutput(content="")

    with pytest.raises(ModelFailed, match="empty"):
        await run(workflow(Step(name="only", executor=nothing)), turn(stream=stream))


@STREAM
async def test_a_step_that_waits_for_an_approval_is_an_error(stream: bool) -> None:
    only, model = step("only", "x", human_review=HumanReview(requires_confirmation=True))
    with pytest.raises(AgentFailed, match="approval"):
        await run(workflow(only), turn(stream=stream))
    assert model.asked == []


@STREAM
async def test_a_workflow_that_is_cancelled_is_an_error(stream: bool) -> None:
    async def cancel(step_input: StepInput, run_context: RunContext) -> StepOutput:
        await acancel_run(run_context.run_id)
        return StepOutput(content="cancelled")

    second, _ = step("second", "never said")
    with pytest.raises(AgentFailed, match="cancelled"):
        await run(workflow(Step(name="first", executor=cast("Any", cancel)), second), turn(stream=stream))


# Session state


def count(run_context: RunContext) -> str:
    """Count one more in the session state."""
    assert run_context.session_state is not None
    run_context.session_state["count"] = run_context.session_state.get("count", 0) + 1
    return "counted"


def count_in_a_step(step_input: StepInput, run_context: RunContext) -> StepOutput:
    return StepOutput(content=count(run_context))


@pytest.fixture
def counting_step() -> Step:
    """A step whose agent counts in the session state each time."""
    who, _ = agent(calling("count"), "done", calling("count"), "done", tools=[count])
    return Step(name="only", agent=who, max_retries=0)


@STREAM
async def test_session_state_comes_in_and_goes_out(stream: bool, counting_step: Step) -> None:
    given: dict[str, Any] = {"count": 4, "list": [1], "deep": {"a": 1}}
    flow = workflow(count_in_a_step, counting_step)
    end = finished(await run(flow, turn(stream=stream, state=given)))
    assert end.state == {"count": 6, "list": [1], "deep": {"a": 1}}
    assert given["count"] == 4


WITH_TOOLS = {name: place for name, place in PLACES.items() if name != "a team"}


@pytest.mark.parametrize("place", WITH_TOOLS.values(), ids=list(WITH_TOOLS))
async def test_session_state_is_one_everywhere(place: Place, counting_step: Step) -> None:
    end = finished(await run(workflow(place(counting_step), count_in_a_step), turn(state={"count": 4})))
    assert end.state == {"count": 6}


@STREAM
async def test_the_workflow_s_own_session_state_is_where_a_conversation_starts(
    stream: bool, counting_step: Step
) -> None:
    own: dict[str, Any] = {"count": 100, "deep": {"a": 1, "b": 1}}
    flow = workflow(counting_step, session_state=own)
    assert finished(await run(flow, turn(stream=stream))).state == {"count": 101, "deep": {"a": 1, "b": 1}}
    again = turn(stream=stream, state={"count": 7, "deep": {"a": 2}})
    assert finished(await run(flow, again)).state == {"count": 8, "deep": {"a": 2, "b": 1}}
    assert flow.session_state == own == {"count": 100, "deep": {"a": 1, "b": 1}}


@STREAM
async def test_a_workflow_that_is_a_function_has_the_session_state(stream: bool) -> None:
    def whole(session_state: dict[str, Any]) -> str:
        session_state["count"] += 1
        return "done"

    flow = Workflow(name="flow", steps=cast("Any", whole), session_state={"count": 100}, telemetry=False)
    for given, expected in [(None, 101), ({"count": 4}, 5), (None, 101)]:
        assert finished(await run(flow, turn(stream=stream, state=given))).state == {"count": expected}


@STREAM
async def test_session_state_that_json_cannot_hold_is_an_error(stream: bool) -> None:
    def spoil(step_input: StepInput, run_context: RunContext) -> StepOutput:
        assert run_context.session_state is not None
        run_context.session_state["spoilt"] = object()
        return StepOutput(content="done")

    with pytest.raises(AgentFailed, match="session state"):
        await run(workflow(spoil), turn(stream=stream))


async def test_a_workflow_without_session_state_keeps_none() -> None:
    assert finished(await run(workflow(step("only", "x")[0]), turn())).state is None


# How they stop


async def test_closing_the_events_between_two_steps_stops_the_workflow() -> None:
    first, _ = step("first", "draft")
    second, model = step("second", "never said")
    events = runtime_for(workflow(first, second)).run(turn(stream=True))
    await first_usage(events)
    await asyncio.wait_for(events.aclose(), SECOND)
    assert model.asked == []
    await no_task_is_left()


@STREAM
@EVERYWHERE
async def test_cancelling_a_run_stops_the_model_everywhere(place: Place, stream: bool) -> None:
    hang = Hang()
    only, _ = step("only", answer("x", hang), "again")
    flow = workflow(place(only))
    await leave(flow, turn(stream=stream), hang.begun)
    assert hang.ended.is_set()
    await no_task_is_left()
    assert "again" in text_of(await run(flow, turn(stream=stream)))


async def test_cancelling_a_run_stops_the_member_that_works() -> None:
    hang = Hang()
    team = with_a_member(answer("x", hang))
    await leave(workflow(Step(name="only", team=team)), turn(), hang.begun)
    assert hang.ended.is_set()
    await no_task_is_left()


async def test_closing_the_events_stops_parallel_steps_whatever_they_do() -> None:
    in_model, in_function = Hang(), Hang()

    async def wait(step_input: StepInput) -> StepOutput:
        await in_function()
        return StepOutput(content="never said")

    quick, _ = step("quick", "x")
    slow, _ = step("slow", answer("y", in_model))
    flow = workflow(parallel(quick, slow, wait))
    events = runtime_for(flow).run(turn(stream=True))
    await first_usage(events)
    for hang in (in_model, in_function):
        await asyncio.wait_for(hang.begun.wait(), SECOND)
    await asyncio.wait_for(events.aclose(), SECOND)
    assert in_model.ended.is_set()
    assert in_function.ended.is_set()
    await no_task_is_left()


async def test_a_parallel_step_that_fails_stops_the_others() -> None:
    hang = Hang()

    async def fail() -> None:
        await asyncio.wait_for(hang.begun.wait(), SECOND)
        raise ModelProviderError("no", 429)

    broken, _ = step("broken", answer(fail))
    slow, _ = step("slow", answer("y", hang))
    with pytest.raises(ModelFailed):
        await run(workflow(parallel(broken, slow)), turn())
    assert hang.ended.is_set()
    await no_task_is_left()


async def test_50_concurrent_runs_of_one_workflow_do_not_mix() -> None:
    arrived: list[int] = []
    gate = asyncio.Event()

    async def wait_for_all() -> None:
        arrived.append(1)
        if len(arrived) == 50:
            gate.set()
        await asyncio.wait_for(gate.wait(), 60)

    class Echo(Spoken):
        """Says what it was told, once all others are asked too."""

        async def _speak(self, messages: list[AgnoMessage]) -> Any:
            self.says = [answer("echo ", wait_for_all, messages[-1].get_content_string())]
            async for piece in super()._speak(messages):
                yield piece

    who, _ = agent("x")
    who.model = Echo()
    last, _ = agent("x")
    last.model = Echo()
    flow = workflow(Step(name="first", agent=who), Step(name="last", agent=last))

    async def one(number: int) -> None:
        events = await run(flow, turn(f"<{number}>"))
        assert f"<{number}>" in text_of(events)
        assert text_of(events).count("<") == 1
        assert usage_of(events) == Usage(20, 2)

    await asyncio.gather(*map(one, range(50)))
