"""Teams: the leader answers, the members work, and both are counted."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from agno.agent import Agent
from agno.exceptions import ModelProviderError
from agno.models.message import Message as AgnoMessage
from agno.run import RunContext
from agno.team import Team

from agentllm.core import Message, Parameters, Usage
from agentllm.errors import ModelFailed
from agentllm.runtimes import runtime_for
from tests.runtimes.agno.spoken import (
    SECOND,
    Hang,
    Piece,
    Spoken,
    Step,
    answer,
    calling,
    finished,
    first_usage,
    heard,
    leave,
    no_task_is_left,
    reasoning_of,
    run,
    text_of,
    turn,
    usage_of,
)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


def delegating(task: str = "say it", **more: Any) -> tuple[Step, ...]:
    return calling("delegate_task_to_member", json.dumps({"member_id": "member", "task": task}), **more)


def team(*members_say: Any, leader_says: tuple[Any, ...] = (), **more: Any) -> tuple[Team, Spoken, Spoken]:
    """A team with one member, and the models of its leader and of the member."""
    leader, model = Spoken.of(*leader_says), Spoken.of(*members_say)
    member = Agent(name="member", role="answers", model=model, telemetry=False)
    return Team(name="team", model=leader, members=[member], telemetry=False, **more), leader, model


@STREAM
async def test_the_leader_s_words_are_the_answer_and_all_models_are_counted(stream: bool) -> None:
    who, _, _ = team(
        answer("member's words", usage=Usage(100, 30, 3, 4)),
        leader_says=(delegating(text="Asking.", usage=Usage(10, 1)), answer("Done.", usage=Usage(20, 2, 1, 1))),
    )
    events = await run(who, turn(stream=stream))
    assert text_of(events) == "Asking.\n\nDone."
    assert usage_of(events) == Usage(130, 33, 4, 5)
    assert [m.role for m in finished(events).messages] == ["assistant", "tool", "assistant"]


@STREAM
async def test_a_member_that_is_a_team_is_counted_too(stream: bool) -> None:
    inner, _, _ = team(
        answer("deep", usage=Usage(1000, 300)), leader_says=(delegating(usage=Usage(100, 30)), answer("mid"))
    )
    inner.id = inner.name = "member"
    leader = Spoken.of(delegating(usage=Usage(1, 1)), answer("top", usage=Usage(2, 2)))
    events = await run(Team(name="outer", model=leader, members=[inner], telemetry=False), turn(stream=stream))
    assert text_of(events) == "top"
    assert usage_of(events) == Usage(1000 + 100 + 10 + 1 + 2, 300 + 30 + 1 + 1 + 2)


@STREAM
async def test_reasoning_of_a_member_is_not_the_team_s(stream: bool) -> None:
    who, _, _ = team(
        (Piece(reasoning="the member thinks"), *answer("x")),
        leader_says=(delegating(), (Piece(reasoning="the leader thinks"), *answer("Done."))),
    )
    assert reasoning_of(await run(who, turn(stream=stream))) == "the leader thinks"


@STREAM
async def test_a_team_knows_the_conversation_and_the_client_s_instructions(stream: bool) -> None:
    who, leader, _ = team("x", leader_says=("ok",), additional_input=[AgnoMessage(role="user", content="few")])
    await run(who, turn(Message("system", "Speak Latin."), "a", Message("assistant", "b"), "c", stream=stream))
    assert heard(leader)[1:] == [("user", "few"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    assert "Speak Latin." in heard(leader)[0][1]


@STREAM
@pytest.mark.parametrize("system", ["a text", lambda team: "a function's text"], ids=["text", "function"])
async def test_a_team_with_its_own_system_message_takes_them_too(system: Any, stream: bool) -> None:
    who, leader, _ = team("x", leader_says=("ok",), system_message=system)
    await run(who, turn(Message("system", "Speak Latin."), "hi", stream=stream))
    assert heard(leader)[0][1].endswith("text\n\nSpeak Latin.")


@STREAM
async def test_a_conversation_of_a_team_may_end_with_a_tool_s_result(stream: bool) -> None:
    who, leader, _ = team("x", leader_says=("ok",))
    events = await run(who, turn("hi", Message("assistant", "I was"), stream=stream))
    assert [role for role, _ in heard(leader)][1:] == ["user", "assistant"]
    assert finished(events).messages == (Message("assistant", "ok"),)


@STREAM
async def test_parameters_are_the_leader_s(stream: bool) -> None:
    who, leader, member = team("x", leader_says=(delegating(), "ok"))
    await run(who, turn(stream=stream, parameters=Parameters(temperature=0.5)))
    assert [call.temperature for call in leader.calls] == [0.5, 0.5]
    assert [call.temperature for call in member.calls] == [None]
    assert leader.temperature is None


@STREAM
async def test_a_member_without_a_model_speaks_with_the_leader_s_without_the_request_s_parameters(stream: bool) -> None:
    leader = Spoken.of(delegating(), "said", "Done.")
    member = Agent(name="member", role="answers", telemetry=False)
    who = Team(name="team", model=leader, members=[member], telemetry=False)
    events = await run(who, turn(stream=stream, parameters=Parameters(temperature=0.5)))
    assert text_of(events) == "Done."
    assert [call.temperature for call in leader.calls] == [0.5, None, 0.5]
    assert member.model is None


@STREAM
async def test_members_may_come_from_a_function(stream: bool) -> None:
    model = Spoken.of("x")

    async def members(run_context: RunContext) -> list[Agent]:
        return [Agent(name="member", model=model, telemetry=False)]

    leader = Spoken.of(delegating(), "Done.", delegating(), "Done again.")
    who = Team(name="team", model=leader, members=cast("Any", members), telemetry=False)
    assert text_of(await run(who, turn(stream=stream))) == "Done."
    assert text_of(await run(who, turn(stream=stream))) == "Done again."
    assert len(model.asked) == 2


@STREAM
async def test_a_member_without_a_name_is_known_by_the_same_id_in_every_run(stream: bool) -> None:
    leader = Spoken.of("ok")
    member = Agent(role="answers", model=Spoken.of("x"), telemetry=False)
    who = Team(name="team", model=leader, members=[member], telemetry=False)
    for _ in range(2):
        await run(who, turn(stream=stream))
    assert heard(leader, 0) == heard(leader, 1)
    assert member.id is None


@STREAM
async def test_a_member_that_fails_is_told_to_the_leader(stream: bool) -> None:
    who, leader, _ = team((ModelProviderError("member is down", 503),), leader_says=(delegating(), "I could not."))
    assert text_of(await run(who, turn(stream=stream))) == "I could not."
    assert heard(leader)[-1][0] == "tool"


@STREAM
async def test_a_leader_that_fails_is_an_error(stream: bool) -> None:
    who, _, _ = team("x", leader_says=((ModelProviderError("leader is down", 503),),))
    with pytest.raises(ModelFailed, match="leader is down") as raised:
        await run(who, turn(stream=stream))
    assert raised.value.status == 503


@STREAM
async def test_a_leader_s_empty_answer_is_an_error_whatever_a_member_said(stream: bool) -> None:
    who, _, _ = team("words", leader_says=(delegating(), answer()))
    with pytest.raises(ModelFailed, match="empty"):
        await run(who, turn(stream=stream))


@STREAM
async def test_a_team_whose_members_answer_directly_has_their_words(stream: bool) -> None:
    who, _, _ = team("member's words", leader_says=(delegating(),), respond_directly=True)
    assert text_of(await run(who, turn(stream=stream))) == "member's words"


# How they stop


@STREAM
async def test_cancelling_a_run_stops_the_member_that_works(stream: bool) -> None:
    hang = Hang()
    who, _, _ = team(answer("x", hang), "again", leader_says=(delegating(), delegating(), "Done."))
    await leave(who, turn(stream=stream), hang.begun)
    assert hang.ended.is_set()
    await no_task_is_left()
    assert text_of(await run(who, turn(stream=stream))) == "Done."


@STREAM
async def test_cancelling_a_run_stops_the_members_of_a_member(stream: bool) -> None:
    hang = Hang()
    inner, _, _ = team(answer("x", hang), leader_says=(delegating(),))
    inner.id = inner.name = "member"
    who = Team(name="outer", model=Spoken.of(delegating()), members=[inner], telemetry=False)
    await leave(who, turn(stream=stream), hang.begun)
    assert hang.ended.is_set()
    await no_task_is_left()


def broadcasting(hang: Hang) -> Team:
    """A team whose two members are asked at once; one answers, the other hangs."""
    members = [
        Agent(name="quick", model=Spoken.of("x"), telemetry=False),
        Agent(name="slow", model=Spoken.of(answer("y", hang)), telemetry=False),
    ]
    leader = Spoken.of(calling("delegate_task_to_members", '{"task": "say it"}'), "Done.")
    return Team(name="team", model=leader, members=cast("Any", members), delegate_to_all_members=True, telemetry=False)


@STREAM
async def test_cancelling_a_run_stops_all_members_that_work(stream: bool) -> None:
    hang = Hang()
    await leave(broadcasting(hang), turn(stream=stream), hang.begun)
    assert hang.ended.is_set()
    await no_task_is_left()


async def test_closing_the_events_stops_a_member_that_works() -> None:
    hang = Hang()
    events = runtime_for(broadcasting(hang)).run(turn(stream=True))
    assert [await first_usage(events), await first_usage(events)] == [Usage(10, 1), Usage(20, 2)]
    await asyncio.wait_for(hang.begun.wait(), SECOND)
    await asyncio.wait_for(events.aclose(), SECOND)
    assert hang.ended.is_set()
    await no_task_is_left()


async def test_closing_the_events_closes_the_leader_s_stream() -> None:
    who, leader, _ = team("x", leader_says=(answer("first", Hang()),))
    events = runtime_for(who).run(turn(stream=True))
    await anext(events)
    await asyncio.wait_for(events.aclose(), SECOND)
    assert leader.closed.is_set()


@STREAM
async def test_50_concurrent_runs_of_one_team_do_not_mix(stream: bool) -> None:
    arrived: list[int] = []
    gate = asyncio.Event()

    async def wait_for_all() -> None:
        arrived.append(1)
        if len(arrived) == 50:
            gate.set()
        await asyncio.wait_for(gate.wait(), 60)

    class Leader(Spoken):
        """Gives its task to the member, and says what that said."""

        async def _speak(self, messages: list[AgnoMessage]) -> Any:
            last = messages[-1]
            text = last.get_content_string()
            self.says = [answer(f"leader: {text}") if last.role == "tool" else delegating(text)]
            async for piece in super()._speak(messages):
                yield piece

    class Member(Spoken):
        """Says its task, once all others are asked too."""

        async def _speak(self, messages: list[AgnoMessage]) -> Any:
            task = messages[-1].get_content_string()
            for step in ("member: ", wait_for_all, task):
                if callable(step):
                    await step()
                else:
                    yield Piece(step)
            yield Piece(finish_reason="stop", usage=Usage(1, 1))

    member = Agent(name="member", model=Member(), telemetry=False)
    who = Team(name="team", model=Leader(), members=[member], telemetry=False)

    async def one(number: int) -> None:
        events = await run(who, turn(f"task<{number}>", stream=stream, state={"number": number}))
        assert "leader: member: " in text_of(events)
        assert f"task<{number}>" in text_of(events)
        assert text_of(events).count("task<") == 1
        assert usage_of(events) == Usage(21, 3)
        state = finished(events).state
        assert state is not None
        assert state["number"] == number

    await asyncio.gather(*map(one, range(50)))
