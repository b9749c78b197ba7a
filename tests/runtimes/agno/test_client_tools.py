"""Tools that the client runs: how the model is offered them, what a call of them comes to, and what follows it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from agno.agent import Agent
from agno.models.base import Model
from agno.models.openai import OpenAIResponses
from agno.models.response import ModelResponse
from agno.run import RunContext
from agno.team import Team
from agno.tools import Toolkit, tool
from agno.tools.user_feedback import UserFeedbackTools
from agno.workflow import Step, Workflow

from agentllm.core import ClientCalls, ClientTool, Event, JsonObject, Message, ToolCall, ToolChoice, Usage
from agentllm.errors import AgentFailed, InvalidRequest, UnsupportedParameter
from agentllm.llm.offline import OfflineModel
from agentllm.runtimes.agno.tool_choice import calling as calling_of
from tests.runtimes.agno.conftest import gemini_model, openai_model, routed_with_schemas
from tests.runtimes.agno.spoken import (
    HOME,
    Piece,
    Spoken,
    agent,
    calling,
    finished,
    heard,
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

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"place": {"type": "object", "properties": {"city": {"type": "string", "description": "Where"}}}},
    "required": ["place"],
}
WEATHER = ClientTool("weather", "Tell the weather.", SCHEMA)
TIME = ClientTool("time", "Tell the time.", {"type": "object", "properties": {}})
WEATHER_CALL = ToolCall("call_weather", "weather", '{"place": {"city": "Oslo"}}')
TIME_CALL = ToolCall("call_time", "time", "{}")


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


ADD_CALL = ToolCall("call_add", "add", '{"a": 1, "b": 2}')


def calls(*called: ToolCall, text: str = "") -> tuple[Said, ...]:
    """The steps of an answer that calls several tools."""
    return Piece(text), Piece(tool_calls=called, finish_reason="tool_calls", usage=Usage(10, 1))


def team(*says: Sequence[Said] | str, **more: Any) -> tuple[Team, Spoken]:
    member, _ = agent("I am a member.")
    model = Spoken.of(*says)
    return Team(name="spoken", members=[member], model=model, telemetry=False, **more), model


KINDS: dict[str, Callable[..., tuple[Any, Spoken]]] = {"agent": agent, "team": team}
EVERY_KIND = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def client_calls(events: Sequence[Event]) -> tuple[ToolCall, ...]:
    found = [event for event in events if isinstance(event, ClientCalls)]
    assert len(found) <= 1
    return found[0].calls if found else ()


def offered(model: Spoken, call: int = -1) -> dict[str, Any]:
    """What the model was told of each tool, by its name."""
    return {tool["function"]["name"]: tool["function"] for tool in model.arguments[call]["tools"]}


def result_of(call: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=call.id, name=call.name)


# What a call comes to


@EVERY_KIND
@STREAM
async def test_a_call_of_the_client_s_tool_ends_the_turn(make: Callable[..., tuple[Any, Spoken]], stream: bool) -> None:
    who, model = make(calls(WEATHER_CALL, text="Looking."), "never said")
    events = await run(who, turn("weather?", stream=stream, client_tools=(WEATHER,)))
    assert client_calls(events) == (WEATHER_CALL,)
    assert text_of(events) == "Looking."
    assert usage_of(events) == Usage(10, 1)
    assert finished(events).reason == "tool_calls"
    assert finished(events).pending is None
    assert finished(events).messages == (Message("assistant", "Looking.", (WEATHER_CALL,)),)
    assert len(model.asked) == 1


@STREAM
async def test_a_call_says_nothing_that_the_model_did_not_say(stream: bool) -> None:
    who, _ = agent(calls(WEATHER_CALL))
    events = await run(who, turn(stream=stream, client_tools=(WEATHER,)))
    assert text_of(events) == ""
    assert finished(events).messages == (Message("assistant", "", (WEATHER_CALL,)),)


@STREAM
async def test_arguments_are_as_the_model_wrote_them(stream: bool) -> None:
    written = ToolCall("c1", "weather", '{"place":  {"city": "true"}, "extra": null}')
    who, _ = agent(calls(written))
    assert client_calls(await run(who, turn(stream=stream, client_tools=(WEATHER,)))) == (written,)


@EVERY_KIND
@STREAM
async def test_the_agent_s_own_tools_run_and_are_not_sent(
    make: Callable[..., tuple[Any, Spoken]], stream: bool
) -> None:
    who, _ = make(calls(ADD_CALL, WEATHER_CALL, TIME_CALL), tools=[add])
    events = await run(who, turn(stream=stream, client_tools=(WEATHER, TIME)))
    assert client_calls(events) == (WEATHER_CALL, TIME_CALL)
    assert finished(events).messages == (
        Message("assistant", "", (ADD_CALL, WEATHER_CALL, TIME_CALL)),
        result_of(ADD_CALL, "3"),
    )


@EVERY_KIND
@STREAM
async def test_results_go_on_with_the_conversation(make: Callable[..., tuple[Any, Spoken]], stream: bool) -> None:
    who, _ = make(calls(ADD_CALL, WEATHER_CALL, TIME_CALL), tools=[add])
    before = await run(who, turn("weather?", stream=stream, client_tools=(WEATHER, TIME)))
    again, model = make("Rain at noon.", tools=[add])
    said = (*finished(before).messages, result_of(WEATHER_CALL, "rain"), result_of(TIME_CALL, "noon"))
    events = await run(again, turn("weather?", *said, stream=stream, client_tools=(WEATHER, TIME)))
    assert text_of(events) == "Rain at noon."
    assert finished(events).messages == (Message("assistant", "Rain at noon."),)
    assert heard(model)[-5:] == [
        ("user", "weather?"),
        ("assistant", ""),
        ("tool", "3"),
        ("tool", "rain"),
        ("tool", "noon"),
    ]
    assert set(offered(model)) >= {"add", "weather", "time"}


@STREAM
async def test_a_follow_up_may_call_again(stream: bool) -> None:
    who, _ = agent(calls(TIME_CALL))
    said = (Message("assistant", "", (WEATHER_CALL,)), result_of(WEATHER_CALL, "rain"))
    events = await run(who, turn("weather?", *said, stream=stream, client_tools=(WEATHER, TIME)))
    assert client_calls(events) == (TIME_CALL,)
    assert finished(events).messages == (Message("assistant", "", (TIME_CALL,)),)


@STREAM
async def test_the_session_state_is_kept_where_a_turn_ends_with_calls(stream: bool) -> None:
    def count(run_context: RunContext) -> str:
        """Count."""
        assert run_context.session_state is not None
        run_context.session_state["count"] += 1
        return "counted"

    who, _ = agent(calls(ToolCall("c", "count", "{}"), WEATHER_CALL), tools=[count])
    events = await run(who, turn(stream=stream, client_tools=(WEATHER,), state={"count": 1}))
    assert finished(events).state == {"count": 2}


@STREAM
async def test_a_tool_of_the_agent_that_something_else_is_to_run_is_an_error(stream: bool) -> None:
    @tool(external_execution=True)
    def elsewhere() -> str:
        """Run elsewhere."""
        return "never"

    who, _ = agent(calling("elsewhere"), tools=[elsewhere])
    with pytest.raises(AgentFailed, match="elsewhere"):
        await run(who, turn(stream=stream, client_tools=(WEATHER,)))


class Obliging(Spoken):
    """Calls each of the tools that it is offered."""

    async def ainvoke(self, messages: Any, *_: object, tools: Any = (), **__: object) -> ModelResponse:
        return self._parse_provider_response(_calling_all(tools))

    async def ainvoke_stream(
        self, messages: Any, *_: object, tools: Any = (), **__: object
    ) -> AsyncIterator[ModelResponse]:
        await asyncio.sleep(0)
        yield self._parse_provider_response_delta(_calling_all(tools))


def _calling_all(tools: Any) -> Any:
    called = (ToolCall(f"call_{one['function']['name']}", one["function"]["name"], "{}") for one in tools)
    return Piece("", "", tuple(called), "tool_calls", Usage(10, 1))


@STREAM
async def test_twenty_turns_at_once_are_each_offered_their_own_tools(stream: bool) -> None:
    who = Agent(model=Obliging(), telemetry=False)
    tools = [ClientTool(f"tool_{number}", "Do.", SCHEMA) for number in range(20)]
    turns = [turn(stream=stream, client_tools=(one,)) for one in tools]
    found = await asyncio.gather(*(run(who, one) for one in turns))
    assert [[call.name for call in client_calls(events)] for events in found] == [[one.name] for one in tools]


# What the model is offered


@EVERY_KIND
@STREAM
async def test_the_model_is_told_of_a_tool_as_the_client_tells_of_it(
    make: Callable[..., tuple[Any, Spoken]], stream: bool
) -> None:
    who, model = make("hello")
    await run(who, turn(stream=stream, client_tools=(WEATHER,)))
    assert offered(model)["weather"] == {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA}


@STREAM
async def test_the_model_is_told_nothing_of_what_agno_notes_of_tools(stream: bool) -> None:
    @tool(requires_confirmation=True)
    def risky() -> str:
        """Be risky."""
        return "done"

    who, model = agent("hello", tools=[risky, add])
    await run(who, turn(stream=stream, client_tools=(WEATHER,)))
    assert {frozenset(told) for told in offered(model).values()} == {frozenset({"name", "description", "parameters"})}


async def test_members_of_a_team_are_not_offered_the_client_s_tools() -> None:
    member, heard_by_member = agent("I am a member.")
    delegate = calling("delegate_task_to_member", json.dumps({"member_id": "spoken", "task": "speak"}))
    who = Team(name="lead", members=[member], model=Spoken.of(delegate, "done"), telemetry=False)
    await run(who, turn(client_tools=(WEATHER,)))
    assert not heard_by_member.arguments[0].get("tools")


class Tools(Toolkit):
    """A toolkit with one tool."""

    def __init__(self) -> None:
        super().__init__("tools", tools=[self.weather])

    def weather(self) -> str:
        """Tell the weather."""
        return "rain"


def weather() -> str:
    """Tell the weather."""
    return "rain"


def tools_of_run(run_context: RunContext) -> list[Any]:
    return [weather]


async def tools_later() -> list[Any]:
    return [Tools()]


OWN: dict[str, Any] = {
    "function": [weather],
    "toolkit": [Tools()],
    "Agno function": [tool(weather)],
    "definition": [{"type": "function", "function": {"name": "weather"}}],
    "function that gives them": tools_of_run,
    "one that takes its time": tools_later,
}


@EVERY_KIND
@pytest.mark.parametrize("tools", OWN.values(), ids=OWN)
async def test_a_tool_with_the_name_of_one_of_the_agent_s_own_is_refused(
    tools: Any, make: Callable[..., tuple[Any, Spoken]]
) -> None:
    who, model = make("never said", tools=tools)
    with pytest.raises(InvalidRequest, match="weather") as refused:
        await run(who, turn(client_tools=(TIME, WEATHER)))
    assert refused.value.param == "tools"
    assert not model.asked


BUILT_IN: dict[str, tuple[Callable[[], Any], str]] = {
    "state": (lambda: agent(enable_agentic_state=True)[0], "update_session_state"),
    "history": (lambda: agent(read_chat_history=True)[0], "get_chat_history"),
    "team": (lambda: team()[0], "delegate_task_to_member"),
}


@pytest.mark.parametrize(("make", "name"), BUILT_IN.values(), ids=BUILT_IN)
async def test_so_is_one_with_the_name_of_a_tool_that_agno_adds(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        await run(make(), turn(client_tools=(ClientTool(name, "", SCHEMA),)))


async def test_a_name_that_agno_would_take_is_free_where_it_adds_no_such_tool() -> None:
    who, model = agent("hello")
    await run(who, turn(client_tools=(ClientTool("get_chat_history", "", SCHEMA),)))
    assert set(offered(model)) == {"get_chat_history"}


ASK_USER = ClientTool("ask_user", "Ask.", {"type": "object", "properties": {"questions": {"type": "array"}}})


async def test_ask_user_gives_way_to_the_agent_s_own() -> None:
    who, model = agent("hello", tools=[UserFeedbackTools()])
    await run(who, turn(client_tools=(ASK_USER, TIME)))
    assert set(offered(model)) == {"ask_user", "time"}
    assert offered(model)["ask_user"]["description"] != "Ask."


@STREAM
@pytest.mark.parametrize("name", ["ask_user", "get_user_input"])
async def test_a_tool_that_is_called_as_one_of_agno_s_is_still_the_client_s(name: str, stream: bool) -> None:
    asked = ToolCall("c1", name, '{"questions": ["Which?"], "user_input_fields": ["x"]}')
    who, _ = agent(calls(asked))
    events = await run(who, turn(stream=stream, client_tools=(replace(ASK_USER, name=name),)))
    assert client_calls(events) == (asked,)
    assert finished(events).pending is None


# What the request says of calling

MUST = ToolChoice("required")
NAMED = ToolChoice("required", "add")
CHOICES = {
    "auto": (ToolChoice("auto"), "auto"),
    "none": (ToolChoice("none"), "none"),
    "required": (MUST, "required"),
    "named": (NAMED, {"type": "function", "function": {"name": "add"}}),
}


@EVERY_KIND
@STREAM
@pytest.mark.parametrize(("choice", "told"), CHOICES.values(), ids=CHOICES)
async def test_the_model_is_told_of_the_choice(
    choice: ToolChoice, told: object, make: Callable[..., tuple[Any, Spoken]], stream: bool
) -> None:
    who, model = make("hello", tools=[add])
    await run(who, turn(stream=stream, tool_choice=choice))
    assert model.arguments[0]["tool_choice"] == told


@EVERY_KIND
@STREAM
async def test_a_call_is_forced_once(make: Callable[..., tuple[Any, Spoken]], stream: bool) -> None:
    who, model = make(calls(ADD_CALL), "3", tools=[add])
    assert text_of(await run(who, turn(stream=stream, tool_choice=MUST))) == "3"
    assert [given.get("tool_choice") for given in model.arguments] == ["required", None]


async def test_without_tools_the_choice_is_not_told() -> None:
    who, model = agent("hello")
    await run(who, turn(tool_choice=MUST, parallel_tool_calls=False))
    assert model.arguments[0].get("tool_choice") is None
    assert model.calls[0].parallel_tool_calls is None


@STREAM
async def test_a_model_is_told_whether_to_call_several_tools_at_once(stream: bool) -> None:
    who, model = agent(calls(ADD_CALL), "3", tools=[add])
    await run(who, turn(stream=stream, parallel_tool_calls=False))
    assert [copy.parallel_tool_calls for copy in model.calls] == [False, False]


async def test_the_offline_model_calls_one_tool_at_a_time_where_it_is_told_to() -> None:
    who = Agent(model=OfflineModel(), telemetry=False)
    tools = tuple(ClientTool(name, "", {"type": "object", "properties": {}}) for name in ("ring_bell", "light_lamp"))
    asked = turn("call ring_bell and call light_lamp", client_tools=tools)
    assert len(client_calls(await run(who, asked))) == 2
    assert len(client_calls(await run(who, replace(asked, id="other", parallel_tool_calls=False)))) == 1


class Plain(Model):
    """A model of a class that knows of no choice of tools."""

    def __init__(self) -> None:
        super().__init__(id="plain")

    async def ainvoke(self, *_: object, **__: object) -> ModelResponse:
        return ModelResponse(role="assistant", content="hello")

    async def ainvoke_stream(self, *_: object, **__: object) -> AsyncIterator[ModelResponse]:
        yield ModelResponse(content="hello")

    def invoke(self, *_: object, **__: object) -> ModelResponse:
        raise NotImplementedError

    def invoke_stream(self, *_: object, **__: object) -> Iterator[ModelResponse]:
        raise NotImplementedError

    def _parse_provider_response(self, response: Any, **_: object) -> ModelResponse:
        raise NotImplementedError

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        raise NotImplementedError


SAID: dict[str, dict[str, Any]] = {
    "tool_choice": {"tool_choice": MUST},
    "parallel_tool_calls": {"parallel_tool_calls": False},
}


@pytest.mark.parametrize("parameter", SAID)
async def test_a_model_that_cannot_be_told_is_not_asked(parameter: str) -> None:
    who = Agent(model=Plain(), tools=[add], telemetry=False)
    with pytest.raises(UnsupportedParameter, match=parameter):
        await run(who, turn(**SAID[parameter]))
    assert text_of(await run(who, turn(**SAID[parameter], drop_unsupported=True))) == "hello"


async def test_what_every_model_does_unasked_can_be_said_to_any() -> None:
    who = Agent(model=Plain(), tools=[add], telemetry=False)
    assert text_of(await run(who, turn(tool_choice=ToolChoice("auto"), parallel_tool_calls=True))) == "hello"


FOR_WORKFLOW: dict[str, dict[str, Any]] = {"tools": {"client_tools": (WEATHER,)}, **SAID}


@pytest.mark.parametrize("parameter", FOR_WORKFLOW)
async def test_a_workflow_takes_no_tools_of_the_client(parameter: str) -> None:
    workflow = Workflow(name="w", steps=[Step(name="s", agent=agent("hello")[0])], telemetry=False)
    with pytest.raises(UnsupportedParameter, match=parameter):
        await run(workflow, turn(**FOR_WORKFLOW[parameter]))
    assert text_of(await run(workflow, turn(**FOR_WORKFLOW[parameter], drop_unsupported=True))) == "hello"


async def test_a_workflow_leaves_out_what_a_front_end_offers_to_every_agent() -> None:
    workflow = Workflow(name="w", steps=[Step(name="s", agent=agent("hello")[0])], telemetry=False)
    assert text_of(await run(workflow, turn(client_tools=(ASK_USER,)))) == "hello"


# Over the wire

IN_OPENAI_FORM: dict[str, Callable[[], Model]] = {"openai": openai_model, "router": routed_with_schemas}
EVERY_MODEL = pytest.mark.parametrize("make", [*IN_OPENAI_FORM.values(), gemini_model], ids=[*IN_OPENAI_FORM, "gemini"])


@EVERY_MODEL
@STREAM
def test_a_call_and_its_result_over_the_wire(make: Callable[[], Model], stream: bool, llm: ScriptedLLM) -> None:
    llm.script(
        Reply("Looking.", tool_calls=(WireCall.of("add", a=1, b=2), WireCall.of("weather", place={"city": "Oslo"}))),
        "Rain, and 3.",
    )
    who = Agent(model=make(), tools=[add], telemetry=False)
    asked = turn("weather, and 1 + 2?", stream=stream, client_tools=(WEATHER,), tool_choice=MUST)
    before = HOME.run(run(who, asked))
    (call,) = client_calls(before)
    assert (call.name, json.loads(call.arguments)) == ("weather", {"place": {"city": "Oslo"}})
    said = (*asked.messages, *finished(before).messages, result_of(call, "rain"))
    after = HOME.run(run(who, turn(*said, stream=stream, client_tools=(WEATHER,))))
    assert text_of(after) == "Rain, and 3."
    assert not llm.waiting()


@pytest.mark.parametrize("make", IN_OPENAI_FORM.values(), ids=IN_OPENAI_FORM)
@STREAM
def test_openai_s_format_has_the_tools_and_the_choice_as_the_client_sent_them(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(Reply(tool_calls=(WireCall.of("add", a=1, b=2),)), "3")
    who = Agent(model=make(), tools=[add], telemetry=False)
    asked = turn(stream=stream, client_tools=(WEATHER,), tool_choice=NAMED, parallel_tool_calls=False)
    HOME.run(run(who, asked))
    first, second = (request.body for request in llm.requests())
    assert {
        "type": "function",
        "function": {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA},
    } in (first["tools"])
    assert first["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert second.get("tool_choice") in (None, "auto")
    assert [first["parallel_tool_calls"], second["parallel_tool_calls"]] == [False, False]


GOOGLE_S = {
    "none": (ToolChoice("none"), "NONE", {"add", "weather"}),
    "required": (MUST, "ANY", {"add", "weather"}),
    "named": (NAMED, "ANY", {"add"}),
}


@STREAM
@pytest.mark.parametrize(("choice", "mode", "names"), GOOGLE_S.values(), ids=GOOGLE_S)
def test_google_s_format_has_the_choice_in_its_own_words(
    choice: ToolChoice, mode: str, names: set[str], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script("hello")
    who = Agent(model=gemini_model(), tools=[add], telemetry=False)
    HOME.run(run(who, turn(stream=stream, client_tools=(WEATHER,), tool_choice=choice)))
    body = llm.requests()[0].body
    assert body["toolConfig"]["functionCallingConfig"]["mode"] == mode
    assert {told["name"] for one in body["tools"] for told in one["functionDeclarations"]} == names


def test_google_s_model_cannot_be_told_to_call_one_tool_at_a_time(llm: ScriptedLLM) -> None:
    with pytest.raises(UnsupportedParameter, match="parallel_tool_calls"):
        HOME.run(run(Agent(model=gemini_model(), telemetry=False), turn(parallel_tool_calls=False)))
    assert not llm.requests()


def test_openai_s_other_api_names_a_tool_in_its_own_form() -> None:
    told: dict[str, Any] = {"tools": [{"type": "function", "function": {"name": "add"}}]}
    model = OpenAIResponses(id="gpt")
    own = calling_of(model, turn(tool_choice=NAMED, parallel_tool_calls=True)).applied(model, told)
    assert told["tool_choice"] == {"type": "function", "name": "add"}
    assert isinstance(own, OpenAIResponses)
    assert own.request_params == {"parallel_tool_calls": True}
    assert model.request_params is None
