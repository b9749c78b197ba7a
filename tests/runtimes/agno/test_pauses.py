"""Runs that ask the person: what is asked, what becomes of each decision, and that the run goes on from JSON alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from agno.agent import Agent
from agno.approval import approval
from agno.db.in_memory import InMemoryDb
from agno.exceptions import ModelProviderError, OutputCheckError
from agno.guardrails import BaseGuardrail
from agno.models.base import Model
from agno.run import RunContext
from agno.team import Team
from agno.tools import tool
from agno.tools.user_control_flow import UserControlFlowTools
from agno.tools.user_feedback import UserFeedbackTools
from agno.workflow import Step, Workflow

from agentllm.core import (
    Choice,
    ClientCalls,
    ClientTool,
    Decision,
    Event,
    Field,
    Message,
    Question,
    Questions,
    ToolCall,
    Turn,
    Usage,
)
from agentllm.errors import AgentFailed, InvalidRequest, ModelFailed
from agentllm.runtimes import runtime_for
from tests.runtimes.agno.conftest import gemini_model, openai_model
from tests.runtimes.agno.spoken import (
    HOME,
    Hang,
    Piece,
    Spoken,
    agent,
    answer,
    calling,
    finished,
    heard,
    leave,
    no_task_is_left,
    run,
    text_of,
    turn,
    usage_of,
)
from tests.runtimes.agno.spoken import Step as Said
from tests.scripted_llm import Reply, ScriptedLLM
from tests.scripted_llm import ToolCall as WireCall

pytestmark = pytest.mark.usefixtures("provider")

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])

WEATHER = ClientTool("weather", "Tell the weather.", {"type": "object", "properties": {}})
WEATHER_CALL = ToolCall("call_weather", "weather", "{}")
ADD_CALL = ToolCall("call_add", "add", '{"a": 1, "b": 2}')
DELETE_CALL = ToolCall("call_delete", "delete", '{"path": "a.txt"}')
RENAME_CALL = ToolCall("call_rename", "rename", '{"path": "a.txt"}')


OVERLOADED = ModelProviderError("overloaded", 503)
TWO_RETRIES: dict[str, Any] = {"retries": 2, "delay_between_retries": 0}


class Desk:
    """Tools that note what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @property
    def tools(self) -> list[Any]:
        done = self.done

        def add(a: int, b: int) -> str:
            """Add."""
            done.append("add")
            return str(a + b)

        @tool(requires_confirmation=True)
        def delete(path: str, run_context: RunContext) -> str:
            """Delete a file."""
            done.append(f"delete {path}")
            assert run_context.session_state is not None
            run_context.session_state["deleted"] = path
            return f"deleted {path}"

        @tool(requires_user_input=True, user_input_fields=["to", "times"])
        def rename(path: str, to: str, times: int = 1) -> str:
            """Rename a file.

            Args:
                to: The new name.
            """
            done.append(f"rename {path} to {to}, {times!r} times")
            return "renamed"

        return [add, delete, rename, UserControlFlowTools(), UserFeedbackTools()]


def calls(*called: ToolCall, text: str = "", usage: Usage | None = None) -> tuple[Said, ...]:
    """The steps of an answer that calls several tools."""
    return Piece(text), Piece(tool_calls=called, finish_reason="tool_calls", usage=usage or Usage(10, 1))


Make = Callable[..., tuple[Any, Spoken]]


def team(*says: Sequence[Said] | str, **more: Any) -> tuple[Team, Spoken]:
    member, _ = agent("I am a member.")
    model = Spoken.of(*says)
    return Team(name="spoken", members=[member], model=model, telemetry=False, **more), model


KINDS: dict[str, Make] = {"agent": agent, "team": team}
EVERY_KIND = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def questions_of(events: Sequence[Event]) -> tuple[Question, ...]:
    found = [event for event in events if isinstance(event, Questions)]
    assert len(found) <= 1
    return found[0].questions if found else ()


def client_calls(events: Sequence[Event]) -> tuple[ToolCall, ...]:
    return tuple(call for event in events if isinstance(event, ClientCalls) for call in event.calls)


def result_of(call: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=call.id, name=call.name)


def next_turn(before: Turn, events: Sequence[Event], *decisions: Decision, results: Sequence[Message] = ()) -> Turn:
    """The turn in which `decisions` are given, as another process would get it."""
    ended = finished(events)
    assert ended.pending is not None
    return replace(
        before,
        id=f"{before.id}-next",
        messages=(*before.messages, *ended.messages, *results),
        state=ended.state,
        pending=json.loads(json.dumps(ended.pending)),
        decisions=decisions,
    )


# What is asked


@EVERY_KIND
@STREAM
async def test_a_tool_that_needs_a_confirmation_asks_and_has_not_run(make: Make, stream: bool) -> None:
    desk = Desk()
    who, model = make(calls(DELETE_CALL, text="Deleting."), "never said", tools=desk.tools)
    events = await run(who, turn("delete a.txt", stream=stream))
    assert questions_of(events) == (Question("call_delete", "confirmation", "delete", {"path": "a.txt"}),)
    assert text_of(events) == "Deleting."
    assert usage_of(events) == Usage(10, 1)
    assert finished(events).reason == "tool_calls"
    assert finished(events).messages == (Message("assistant", "Deleting.", (DELETE_CALL,)),)
    assert not client_calls(events)
    assert not desk.done
    assert len(model.asked) == 1


@EVERY_KIND
@STREAM
async def test_a_tool_asks_for_the_values_that_the_person_is_to_give(make: Make, stream: bool) -> None:
    desk = Desk()
    who, _ = make(calls(RENAME_CALL), tools=desk.tools)
    (question,) = questions_of(await run(who, turn(stream=stream)))
    assert (question.id, question.kind, question.tool) == ("call_rename", "values", "rename")
    to_be_given = (Field("to", "str", "The new name."), Field("times", "int"))
    assert question.fields == (Field("path", "str", value="a.txt"), *to_be_given)
    assert not desk.done


@STREAM
async def test_two_calls_of_one_tool_do_not_share_their_values(stream: bool) -> None:
    @tool(requires_user_input=True)
    def note(text: str, tag: str | None = None) -> str:
        """Note."""
        return f"noted {text} {tag}"

    twice = [ToolCall(f"c{number}", "note", json.dumps({"text": f"t{number}"})) for number in (1, 2)]
    who, _ = agent(calls(*twice), tools=[note])
    asked = questions_of(await run(who, turn(stream=stream)))
    assert [field.value for question in asked for field in question.fields if field.name == "text"] == ["t1", "t2"]


FORM = {"user_input_fields": [{"field_name": "age", "field_type": "int", "field_description": "How old?"}]}
FORM_CALL = ToolCall("call_form", "get_user_input", json.dumps(FORM))
OPTIONS = [{"label": "Rome", "description": "Old"}, {"label": "Oslo"}]
ASKED = {"questions": [{"question": "Where?", "header": "City", "options": OPTIONS, "multi_select": True}]}
CHOICE_CALL = ToolCall("call_choice", "ask_user", json.dumps(ASKED))


@EVERY_KIND
@STREAM
async def test_a_model_asks_for_values_itself(make: Make, stream: bool) -> None:
    who, _ = make(calls(FORM_CALL), tools=Desk().tools)
    (question,) = questions_of(await run(who, turn(stream=stream)))
    assert question == Question("call_form", "values", "get_user_input", FORM, (Field("age", "int", "How old?"),))


@EVERY_KIND
@STREAM
async def test_a_model_asks_to_choose(make: Make, stream: bool) -> None:
    who, _ = make(calls(CHOICE_CALL), tools=Desk().tools)
    (question,) = questions_of(await run(who, turn(stream=stream)))
    assert (question.id, question.kind) == ("call_choice", "choices")
    assert question.choices == (Choice("Where?", "City", (("Rome", "Old"), ("Oslo", "")), many=True),)


@EVERY_KIND
@STREAM
async def test_one_answer_may_call_tools_of_all_kinds(make: Make, stream: bool) -> None:
    desk = Desk()
    everything = (ADD_CALL, DELETE_CALL, WEATHER_CALL, RENAME_CALL, CHOICE_CALL)
    who, _ = make(calls(*everything), tools=desk.tools)
    events = await run(who, turn(stream=stream, client_tools=(WEATHER,)))
    assert client_calls(events) == (WEATHER_CALL,)
    assert [question.kind for question in questions_of(events)] == ["confirmation", "values", "choices"]
    assert finished(events).messages == (Message("assistant", "", everything), result_of(ADD_CALL, "3"))
    assert desk.done == ["add"]


@STREAM
async def test_what_is_kept_for_later_is_small(stream: bool) -> None:
    who, _ = agent(calls(DELETE_CALL), tools=Desk().tools[:2], instructions="Tidy up.")
    long_ago = Message("user", "x" * 10_000), Message("assistant", "y" * 10_000)
    events = await run(who, turn(*long_ago, "delete", stream=stream))
    assert len(json.dumps(finished(events).pending)) < 1_000


# What becomes of a decision


@EVERY_KIND
@STREAM
async def test_an_approved_tool_runs_once_and_the_run_goes_on(make: Make, stream: bool) -> None:
    before = turn(Message("system", "Be brief."), "delete a.txt", stream=stream)
    first, said = make(calls(DELETE_CALL), tools=Desk().tools, instructions="You tidy up.")
    asked = await run(first, before)
    desk = Desk()
    again, model = make(answer("Gone.", usage=Usage(7, 2)), tools=desk.tools, instructions="You tidy up.")
    events = await run(again, next_turn(before, asked, Decision("call_delete", approved=True)))
    assert desk.done == ["delete a.txt"]
    assert text_of(events) == "Gone."
    assert usage_of(events) == Usage(7, 2)
    assert finished(events).reason == "stop"
    assert finished(events).messages == (result_of(DELETE_CALL, "deleted a.txt"), Message("assistant", "Gone."))
    assert finished(events).state == {"deleted": "a.txt"}
    assert heard(model) == [*heard(said), ("assistant", ""), ("tool", "deleted a.txt")]


@EVERY_KIND
@STREAM
async def test_a_refused_tool_does_not_run_and_the_model_is_told_why(make: Make, stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    who, model = make(calls(DELETE_CALL, RENAME_CALL, FORM_CALL, CHOICE_CALL), "Fine.", tools=desk.tools)
    refused = (
        Decision("call_delete", approved=False, note="I need it."),
        Decision("call_rename", approved=False, note="Not now."),
        Decision("call_form", approved=False),
        Decision("call_choice", approved=False, note="Neither."),
    )
    events = await run(who, next_turn(before, await run(who, before), *refused))
    assert not desk.done
    assert text_of(events) == "Fine."
    told = [text for role, text in heard(model) if role == "tool"]
    assert len(told) == 4
    assert ["I need it." in told[0], "Not now." in told[1], "refused" in told[2], "Neither." in told[3]] == [True] * 4


@EVERY_KIND
@STREAM
async def test_a_tool_runs_with_the_values_of_the_person(make: Make, stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    who, _ = make(calls(RENAME_CALL), "Done.", tools=desk.tools)
    given = Decision("call_rename", approved=True, values={"to": "b.txt", "times": 2})
    assert text_of(await run(who, next_turn(before, await run(who, before), given))) == "Done."
    assert desk.done == ["rename a.txt to b.txt, 2 times"]


@EVERY_KIND
@STREAM
async def test_a_value_that_is_not_given_is_the_tool_s_default(make: Make, stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    who, _ = make(calls(RENAME_CALL), "Done.", tools=desk.tools)
    given = Decision("call_rename", approved=True, values={"to": "b.txt"})
    await run(who, next_turn(before, await run(who, before), given))
    assert desk.done == ["rename a.txt to b.txt, 1 times"]


@EVERY_KIND
@STREAM
async def test_the_model_is_told_what_it_asked_for(make: Make, stream: bool) -> None:
    before = turn(stream=stream)
    who, model = make(calls(FORM_CALL, CHOICE_CALL), "Thanks.", tools=Desk().tools)
    given = (
        Decision("call_form", approved=True, values={"age": 44}),
        Decision("call_choice", approved=True, values={"Where?": ["Rome", "Oslo"]}),
    )
    events = await run(who, next_turn(before, await run(who, before), *given))
    assert text_of(events) == "Thanks."
    told = [text for role, text in heard(model) if role == "tool"]
    assert "44" in told[0]
    assert '["Rome", "Oslo"]' in told[1]


@EVERY_KIND
@STREAM
async def test_results_of_the_client_s_calls_come_with_the_decisions(make: Make, stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream, client_tools=(WEATHER,))
    again = replace(WEATHER_CALL, id="c2")
    who, model = make(calls(ADD_CALL, DELETE_CALL, WEATHER_CALL), calls(again), tools=desk.tools)
    asked = await run(who, before)
    decided = Decision("call_delete", approved=True)
    events = await run(who, next_turn(before, asked, decided, results=[result_of(WEATHER_CALL, "rain")]))
    assert desk.done == ["add", "delete a.txt"]
    assert sorted(text for role, text in heard(model) if role == "tool") == ["3", "deleted a.txt", "rain"]
    assert client_calls(events) == (again,)
    assert finished(events).pending is None
    assert finished(events).messages == (
        result_of(DELETE_CALL, "deleted a.txt"),
        Message("assistant", "", (again,)),
    )


@EVERY_KIND
@STREAM
async def test_a_run_may_ask_again_and_again(make: Make, stream: bool) -> None:
    desk, before = Desk(), turn("tidy", stream=stream)
    second = replace(DELETE_CALL, id="c2", arguments='{"path": "b.txt"}')
    who, model = make(calls(DELETE_CALL), calls(second), "Tidy.", tools=desk.tools)
    first_asked = await run(who, before)
    middle = next_turn(before, first_asked, Decision("call_delete", approved=True))
    second_asked = await run(who, middle)
    assert [question.id for question in questions_of(second_asked)] == ["c2"]
    assert desk.done == ["delete a.txt"]
    events = await run(who, next_turn(middle, second_asked, Decision("c2", approved=True)))
    assert text_of(events) == "Tidy."
    assert desk.done == ["delete a.txt", "delete b.txt"]
    assert [role for role, _ in heard(model)][-5:] == ["user", "assistant", "tool", "assistant", "tool"]
    assert finished(events).messages == (result_of(second, "deleted b.txt"), Message("assistant", "Tidy."))


@STREAM
async def test_few_shot_messages_of_the_agent_stay_where_they_are(stream: bool) -> None:
    few_shot = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    before = turn("delete", stream=stream)
    who, model = agent(calls(DELETE_CALL), "Gone.", tools=Desk().tools, additional_input=few_shot)
    events = await run(who, next_turn(before, await run(who, before), Decision("call_delete", approved=True)))
    assert [text for _, text in heard(model)][-5:] == ["q", "a", "delete", "", "deleted a.txt"]
    assert len(finished(events).messages) == 2


@EVERY_KIND
@STREAM
async def test_an_agent_s_own_database_adds_no_history(make: Make, stream: bool) -> None:
    before, db = turn("delete", stream=stream), InMemoryDb()  # type: ignore[no-untyped-call]
    who, model = make(calls(DELETE_CALL), "Gone.", tools=Desk().tools, db=db, add_history_to_context=True)
    events = await run(who, next_turn(before, await run(who, before), Decision("call_delete", approved=True)))
    assert [role for role, _ in heard(model)] == ["system", "user", "assistant", "tool"]
    assert len(finished(events).messages) == 2


class Strict(BaseGuardrail):
    """Lets no answer pass."""

    def check(self, run_output: object) -> None:
        raise OutputCheckError("not that")

    async def async_check(self, run_output: object) -> None:
        raise OutputCheckError("not that")


@EVERY_KIND
@STREAM
async def test_what_checks_answers_checks_those_of_continued_runs(make: Make, stream: bool) -> None:
    before = turn(stream=stream)
    who, model = make(calls(DELETE_CALL), "Gone.", tools=Desk().tools, post_hooks=[Strict()])
    asked = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    with pytest.raises(AgentFailed):
        await run(who, asked)
    assert len(model.asked) == 2


DECISIONS: dict[str, tuple[Decision, ...]] = {
    "none": (),
    "of another call": (Decision("call_delete", approved=True), Decision("other", approved=True)),
    "unknown values": (Decision("call_rename", approved=True, values={"of": "b"}),),
}


@EVERY_KIND
@STREAM
@pytest.mark.parametrize("decisions", DECISIONS.values(), ids=DECISIONS)
async def test_decisions_that_do_not_fit_run_nothing(decisions: tuple[Decision, ...], make: Make, stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    who, model = make(calls(RENAME_CALL), tools=desk.tools)
    asked = next_turn(before, await run(who, before), *decisions)
    with pytest.raises(InvalidRequest):
        await run(who, asked)
    assert not desk.done
    assert len(model.asked) == 1


@STREAM
async def test_a_missing_result_of_the_client_runs_nothing(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream, client_tools=(WEATHER,))
    who, _ = agent(calls(DELETE_CALL, WEATHER_CALL), tools=desk.tools)
    with pytest.raises(InvalidRequest, match="call_weather"):
        await run(who, next_turn(before, await run(who, before), Decision("call_delete", approved=True)))
    assert not desk.done


@STREAM
async def test_a_tool_that_the_agent_has_no_more_is_an_error(stream: bool) -> None:
    before = turn(stream=stream)
    who, _ = agent(calls(DELETE_CALL), tools=Desk().tools)
    asked = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    changed, model = agent("never said", tools=Desk().tools[:1])
    with pytest.raises(AgentFailed):
        await run(changed, asked)
    assert not model.asked


@EVERY_KIND
@STREAM
async def test_a_failing_model_is_an_error_and_the_tool_does_not_run_again(make: Make, stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    who, model = make(calls(DELETE_CALL), [OVERLOADED], tools=desk.tools, **TWO_RETRIES)
    asked = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    with pytest.raises(ModelFailed, match="overloaded") as failed:
        await run(who, asked)
    assert failed.value.status == 503
    assert desk.done == ["delete a.txt"]
    assert len(model.asked) == 4


@EVERY_KIND
@STREAM
async def test_a_continued_run_is_tried_again_as_often_as_the_agent_says_and_its_tools_run_once(
    make: Make, stream: bool
) -> None:
    desk, before = Desk(), turn("Tidy up.", stream=stream)
    asking = calls(DELETE_CALL, RENAME_CALL, FORM_CALL)
    who, model = make(asking, [OVERLOADED], calls(ADD_CALL), [OVERLOADED], "Done.", tools=desk.tools, **TWO_RETRIES)
    decided = (
        Decision("call_delete", approved=True),
        Decision("call_rename", approved=False, note="Not now."),
        Decision("call_form", approved=True, values={"age": 44}),
    )
    events = await run(who, next_turn(before, await run(who, before), *decided))
    assert text_of(events) == "Done."
    assert usage_of(events) == Usage(20, 2)
    assert desk.done == ["delete a.txt", "add"]
    roles = [role for role, _ in heard(model) if role != "system"]
    assert roles == ["user", "assistant", "tool", "tool", "tool", "assistant", "tool"]
    assert [message.role for message in finished(events).messages] == [*roles[2:], "assistant"]
    assert [heard(model, call) for call in (1, 3)] == [heard(model, call) for call in (2, 4)]
    assert finished(events).state == {"deleted": "a.txt"}


@EVERY_KIND
async def test_a_continued_run_is_not_tried_again_in_the_middle_of_what_it_says(make: Make) -> None:
    desk, before = Desk(), turn(stream=True)
    says = (
        calls(DELETE_CALL),
        calls(ADD_CALL, text="Adding."),
        [OVERLOADED],
        [Piece("Half"), OVERLOADED],
        "never said",
    )
    who, _ = make(*says, tools=desk.tools, **TWO_RETRIES)
    asked = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    said: list[Event] = []

    async def listen() -> None:
        async for event in runtime_for(who).run(asked):
            said.append(event)  # noqa: PERF401 - a comprehension would lose what came before the error

    with pytest.raises(ModelFailed, match="overloaded"):
        await listen()
    assert text_of(said) == "Adding.\n\nHalf"
    assert desk.done == ["delete a.txt", "add"]


@STREAM
async def test_a_member_that_goes_on_is_tried_again_and_its_tool_runs_once(stream: bool) -> None:
    desk, before = Desk(), turn("delete a.txt", stream=stream)
    member, model = agent(calls(DELETE_CALL), [OVERLOADED], "Deleted.", tools=desk.tools, **TWO_RETRIES)
    member.name, member.id = "clerk", "clerk"
    delegation = calling("delegate_task_to_member", '{"member_id": "clerk", "task": "delete"}')
    leader = Spoken.of(delegation, [OVERLOADED], "It is gone.")
    whole = Team(name="team", members=[member], model=leader, telemetry=False, **TWO_RETRIES)
    asked = await run(whole, before)
    events = await run(whole, next_turn(before, asked, Decision("call_delete", approved=True)))
    assert text_of(events) == "It is gone."
    assert desk.done == ["delete a.txt"]
    assert heard(model, 1) == heard(model, 2)
    assert heard(leader, 1) == heard(leader, 2)
    assert "Deleted." in heard(leader)[-1][1]


@EVERY_KIND
@STREAM
async def test_a_continued_run_is_stopped_with_its_model_call(make: Make, stream: bool) -> None:
    hang, before = Hang(), turn(stream=stream)
    who, _ = make(calls(DELETE_CALL), [hang], tools=Desk().tools)
    asked = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    await leave(who, asked, hang.begun)
    assert hang.ended.is_set()
    await no_task_is_left()


@EVERY_KIND
@STREAM
async def test_a_continued_run_ends_as_its_model_says(make: Make, stream: bool) -> None:
    before = turn(stream=stream)
    who, _ = make(calls(DELETE_CALL), answer("cut o", finish="length"), tools=Desk().tools)
    asked = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    assert finished(await run(who, asked)).reason == "length"


@EVERY_KIND
@STREAM
async def test_twenty_runs_at_once_each_go_on_with_their_own(make: Make, stream: bool) -> None:
    paths = [f"{number}.txt" for number in range(20)]
    befores = [turn(f"delete {path}", stream=stream) for path in paths]
    asked = []
    for path, before in zip(paths, befores, strict=True):
        who, _ = make(calls(ToolCall(f"c{path}", "delete", json.dumps({"path": path}))), tools=Desk().tools)
        asked.append(next_turn(before, await run(who, before), Decision(f"c{path}", approved=True)))
    desk = Desk()
    shared, _ = make("Gone.", tools=desk.tools)
    ends = await asyncio.gather(*(run(shared, one) for one in asked))
    assert [finished(events).state for events in ends] == [{"deleted": path} for path in paths]
    assert sorted(desk.done) == sorted(f"delete {path}" for path in paths)


# Members of a team


def delegating(*members: str) -> tuple[Said, ...]:
    """The steps of a leader's answer that gives each of the members a task."""
    return calls(*map(to_member, members))


def to_member(member: str) -> ToolCall:
    task = {"member_id": member, "task": f"for {member}"}
    return ToolCall(f"to_{member}", "delegate_task_to_member", json.dumps(task))


def clerk(desk: Desk, name: str = "clerk", *says: Sequence[Said] | str) -> tuple[Agent, Spoken]:
    model = Spoken.of(*(says or (calls(DELETE_CALL), "I deleted it.")))
    return Agent(name=name, model=model, tools=desk.tools, instructions="You are a clerk.", telemetry=False), model


def office(desk: Desk, *says: Sequence[Said] | str, **more: Any) -> tuple[Team, Spoken, Spoken]:
    member, said_to_member = clerk(desk)
    model = Spoken.of(*says)
    return Team(name="office", members=[member], model=model, telemetry=False, **more), model, said_to_member


@STREAM
async def test_a_member_s_tool_asks_through_the_team(stream: bool) -> None:
    desk = Desk()
    who, model, _ = office(desk, delegating("clerk"), "never said")
    events = await run(who, turn(stream=stream))
    assert questions_of(events) == (Question("call_delete", "confirmation", "delete", {"path": "a.txt"}),)
    assert [message.role for message in finished(events).messages] == ["assistant"]
    assert usage_of(events) == Usage(20, 2)
    assert not desk.done
    assert len(model.asked) == 1


@STREAM
@pytest.mark.parametrize("approved", [True, False], ids=["approved", "refused"])
async def test_a_decision_reaches_the_member_and_its_answer_the_leader(approved: bool, stream: bool) -> None:
    before = turn(stream=stream)
    asked = await run(office(Desk(), delegating("clerk"))[0], before)
    desk = Desk()
    member, to_member = clerk(desk, "clerk", answer("It is done.", usage=Usage(3, 1)))
    leader = Spoken.of(answer("The clerk is done.", usage=Usage(5, 1)))
    again = Team(name="office", members=[member], model=leader, telemetry=False)
    decided = Decision("call_delete", approved=approved, note=None if approved else "Keep it.")
    events = await run(again, next_turn(before, asked, decided))
    assert desk.done == (["delete a.txt"] if approved else [])
    assert text_of(events) == "The clerk is done."
    assert usage_of(events) == Usage(8, 2)
    assert [role for role, _ in heard(to_member)] == ["system", "user", "assistant", "tool"]
    assert ("deleted a.txt" if approved else "Keep it.") in heard(to_member)[-1][1]
    assert "It is done." in heard(leader)[-1][1]
    told, said = finished(events).messages
    assert (told.role, told.tool_call_id) == ("tool", "to_clerk")
    assert "It is done." in told.content
    assert said == Message("assistant", "The clerk is done.")


@STREAM
async def test_a_member_may_ask_again(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    second = replace(DELETE_CALL, id="c2", arguments='{"path": "b.txt"}')
    member, _ = clerk(desk, "clerk", calls(DELETE_CALL), calls(second), "Both are gone.")
    who = Team(name="office", members=[member], model=Spoken.of(delegating("clerk"), "Done."), telemetry=False)
    middle = next_turn(before, await run(who, before), Decision("call_delete", approved=True))
    asked = await run(who, middle)
    assert [question.id for question in questions_of(asked)] == ["c2"]
    events = await run(who, next_turn(middle, asked, Decision("c2", approved=True)))
    assert desk.done == ["delete a.txt", "delete b.txt"]
    assert text_of(events) == "Done."


@STREAM
async def test_two_members_ask_at_once(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    first, _ = clerk(desk, "first", calls(replace(DELETE_CALL, id="c1")), "First done.")
    second, _ = clerk(desk, "second", calls(replace(DELETE_CALL, id="c2", arguments='{"path": "b"}')), "Second done.")
    model = Spoken.of(delegating("first", "second"), "All done.")
    who = Team(name="office", members=[first, second], model=model, telemetry=False)
    asked = await run(who, before)
    assert {question.id for question in questions_of(asked)} == {"c1", "c2"}
    decided = Decision("c1", approved=True), Decision("c2", approved=False)
    events = await run(who, next_turn(before, asked, *decided))
    assert desk.done == ["delete a.txt"]
    assert text_of(events) == "All done."
    results = " ".join(text for role, text in heard(model) if role == "tool")
    assert "First done." in results
    assert "Second done." in results


@STREAM
async def test_members_that_are_made_for_a_run_go_on_too(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    member, _ = clerk(desk)
    who = Team(name="office", members=lambda: [member], model=Spoken.of(delegating("clerk"), "Done."), telemetry=False)
    events = await run(who, next_turn(before, await run(who, before), Decision("call_delete", approved=True)))
    assert desk.done == ["delete a.txt"]
    assert text_of(events) == "Done."


@STREAM
async def test_a_member_of_a_team_in_a_team_asks_and_goes_on(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream)
    inner, _, _ = office(desk, delegating("clerk"), "The office is done.")
    model = Spoken.of(delegating("office"), "All done.")
    outer = Team(name="house", members=[inner], model=model, telemetry=False)
    asked = await run(outer, before)
    assert [question.id for question in questions_of(asked)] == ["call_delete"]
    events = await run(outer, next_turn(before, asked, Decision("call_delete", approved=True)))
    assert desk.done == ["delete a.txt"]
    assert text_of(events) == "All done."


@STREAM
async def test_the_session_state_reaches_a_member_s_tool_and_comes_back(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream, state={"kept": "yes"})
    who, _, _ = office(desk, delegating("clerk"), "Done.")
    events = await run(who, next_turn(before, await run(who, before), Decision("call_delete", approved=True)))
    assert finished(events).state == {"kept": "yes", "deleted": "a.txt"}


@STREAM
async def test_a_client_s_call_beside_a_member_s_question(stream: bool) -> None:
    desk, before = Desk(), turn(stream=stream, client_tools=(WEATHER,))
    who, model, _ = office(desk, calls(to_member("clerk"), WEATHER_CALL), "Done.")
    asked = await run(who, before)
    assert client_calls(asked) == (WEATHER_CALL,)
    decided = Decision("call_delete", approved=True)
    events = await run(who, next_turn(before, asked, decided, results=[result_of(WEATHER_CALL, "rain")]))
    assert text_of(events) == "Done."
    results = [text for role, text in heard(model) if role == "tool"]
    assert len(results) == 2
    assert "rain" in results


# What cannot be asked


@STREAM
async def test_a_leader_and_a_member_that_ask_at_once_are_an_error(stream: bool) -> None:
    desk = Desk()
    who, _, _ = office(desk, calls(to_member("clerk"), replace(DELETE_CALL, id="own")), tools=desk.tools)
    with pytest.raises(AgentFailed, match="approval"):
        await run(who, turn(stream=stream))
    assert not desk.done


@EVERY_KIND
@STREAM
async def test_what_the_operator_is_to_approve_is_not_asked_of_the_person(make: Make, stream: bool) -> None:
    done: list[str] = []

    @tool(requires_confirmation=True)
    @approval
    def pay() -> str:
        """Pay."""
        done.append("paid")
        return "paid"

    who, _ = make(calling("pay"), tools=[pay])
    with pytest.raises(AgentFailed, match="operator"):
        await run(who, turn(stream=stream))
    assert not done


async def test_a_step_of_a_workflow_that_asks_is_an_error() -> None:
    desk = Desk()
    workflow = Workflow(name="w", steps=[Step(name="s", agent=clerk(desk)[0])], telemetry=False)
    with pytest.raises(AgentFailed, match="approval"):
        await run(workflow, turn())
    assert not desk.done


# Over the wire

MODELS: dict[str, Callable[[], Model]] = {"openai": openai_model, "gemini": gemini_model}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@STREAM
def test_a_run_asks_and_goes_on_over_the_wire(make: Callable[[], Model], stream: bool, llm: ScriptedLLM) -> None:
    wanted = WireCall.of("add", a=1, b=2), WireCall.of("delete", path="a.txt"), WireCall.of("weather")
    llm.script(Reply("Deleting.", tool_calls=wanted), "Gone.")
    desk, before = Desk(), turn("delete a.txt", stream=stream, client_tools=(WEATHER,))
    who = Agent(model=make(), tools=desk.tools, instructions="Tidy up.", telemetry=False)
    asked = HOME.run(run(who, before))
    (question,), (call,) = questions_of(asked), client_calls(asked)
    decided = Decision(question.id, approved=True)
    events = HOME.run(run(who, next_turn(before, asked, decided, results=[result_of(call, "rain")])))
    assert desk.done == ["add", "delete a.txt"]
    assert text_of(events) == "Gone."
    first, second = (request.body for request in llm.requests())
    system = "systemInstruction" if "systemInstruction" in first else "messages"
    assert second[system] == first[system] if system == "systemInstruction" else second[system][0] == first[system][0]
