"""Workflows: the last step's words are the answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from agno.exceptions import ModelProviderError
from agno.models.message import Message as AgnoMessage
from agno.run import RunContext
from agno.run.cancel import acancel_run
from agno.workflow import OnError, Step, StepInput, StepOutput, Workflow
from agno.workflow.types import HumanReview

from agentllm.core import Message, Parameters, Text, Usage
from agentllm.errors import AgentFailed, ModelFailed, UnsupportedParameter
from agentllm.runtimes import runtime_for
from tests.runtimes.agno.spoken import Spoken, agent, answer, finished, run, text_of, turn, usage_of

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
SECOND = 5.0


def step(name: str, *says: Any, **more: Any) -> tuple[Step, Spoken]:
    who, model = agent(*says)
    return Step(name=name, agent=who, max_retries=0, **more), model


def workflow(*steps: Any, **more: Any) -> Workflow:
    return Workflow(name="flow", description="In steps.", steps=list(steps), telemetry=False, **more)


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


@STREAM
async def test_a_step_that_fails_is_an_error(stream: bool) -> None:
    only, _ = step("only", (ModelProviderError("secret-detail", 503),))
    with pytest.raises(AgentFailed) as raised:
        await run(workflow(only), turn(stream=stream))
    assert "Traceback" not in raised.value.message


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
    assert "secret-detail" in caplog.text


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


async def test_closing_the_events_stops_the_step() -> None:
    never = asyncio.Event()
    first, _ = step("first", "draft")
    second, model = step("second", answer("x", never.wait))  # type: ignore[arg-type]
    events = runtime_for(workflow(first, second)).run(turn(stream=True))
    assert isinstance(await anext(events), Usage)
    task = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(events.aclose(), SECOND)
    if model.asked:
        await asyncio.wait_for(model.closed.wait(), SECOND)


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
