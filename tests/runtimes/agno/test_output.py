"""The form of an answer on its way to the model: natively where it can, in words where it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from agno.agent import Agent
from agno.memory import MemoryManager
from agno.models.base import Model
from agno.team import Team
from agno.workflow import Step, Workflow
from pydantic import BaseModel

from agentllm.core import Event, OutputFormat, Turn
from agentllm.errors import MalformedAnswer, UnsupportedParameter
from agentllm.llm.offline import NOTICE, OfflineModel
from agentllm.llm.providers import gemini, openai
from agentllm.runtimes import runtime_for
from agentllm.runtimes.structured import structured
from tests.runtimes.agno.conftest import openai_model, routed_model, routed_with_schemas
from tests.runtimes.agno.spoken import HOME, agent, calling, finished, heard, reasoning_of, text_of, turn
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

pytestmark = pytest.mark.usefixtures("provider")

SCHEMA: dict[str, Any] = {
    "$defs": {"Part": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    "type": "object",
    "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}}},
    "required": ["name", "parts"],
    "additionalProperties": False,
}
CITY = OutputFormat(SCHEMA, "city", strict=True, description="A city of Swabia.")
ULM = '{"name": "Ulm", "parts": [{"name": "Söflingen"}]}'
IN_OPENAI_S_FORM = {
    "type": "json_schema",
    "json_schema": {"name": "city", "description": "A city of Swabia.", "schema": SCHEMA, "strict": True},
}
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@cache
def gemini_3() -> Model:
    return gemini("gemini-3-scripted")


@cache
def gemini_2() -> Model:
    return gemini("gemini-2.5-scripted")


MODELS: dict[str, Callable[[], Model]] = {
    "openai": openai_model,
    "gemini": gemini_3,
    "old": gemini_2,
    "litellm": routed_model,
}
EVERY_MODEL = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def roll_dice(sides: int) -> str:
    """Roll a dice."""
    return f"rolled 4 of {sides}"


async def run(who: object, asked: Turn) -> list[Event]:
    return [event async for event in structured(runtime_for(who)).run(asked)]


def body(llm: ScriptedLLM, request: int = -1) -> dict[str, Any]:
    return llm.requests()[request].body


def system_of(asked: dict[str, Any]) -> str:
    """What the model was told beside the conversation, on either wire."""
    if "contents" in asked:
        return "\n".join(part["text"] for part in asked.get("systemInstruction", {}).get("parts", []))
    return "\n".join(message["content"] for message in asked["messages"] if message["role"] in ("system", "developer"))


@STREAM
@pytest.mark.parametrize("make", [openai_model, routed_with_schemas], ids=["openai", "litellm"])
def test_the_schema_reaches_openai_as_the_client_sent_it(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(ULM)
    events = HOME.run(run(Agent(model=make(), telemetry=False), turn(output_format=CITY, stream=stream)))
    assert text_of(events) == ULM
    assert body(llm)["response_format"] == IN_OPENAI_S_FORM
    assert "Söflingen" not in system_of(body(llm))
    assert "json" not in system_of(body(llm)).lower()


@STREAM
@pytest.mark.parametrize("tools", [[], [add]], ids=["alone", "with tools"])
def test_the_schema_reaches_gemini_3_with_tools_too(tools: list[Any], stream: bool, llm: ScriptedLLM) -> None:
    llm.script(ULM)
    who = Agent(model=gemini_3(), tools=tools, telemetry=False)
    assert text_of(HOME.run(run(who, turn(output_format=CITY, stream=stream)))) == ULM
    config = body(llm)["generationConfig"]
    assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", SCHEMA)
    assert bool(body(llm).get("tools")) == bool(tools)
    assert "schema" not in system_of(body(llm))


@STREAM
def test_gemini_before_3_gets_it_natively_without_tools_and_in_words_with_them(stream: bool, llm: ScriptedLLM) -> None:
    llm.script(ULM, times=2)
    HOME.run(run(Agent(model=gemini_2(), telemetry=False), turn(output_format=CITY, stream=stream)))
    assert body(llm)["generationConfig"]["responseJsonSchema"] == SCHEMA
    HOME.run(run(Agent(model=gemini_2(), tools=[add], telemetry=False), turn(output_format=CITY, stream=stream)))
    assert "responseMimeType" not in body(llm).get("generationConfig", {})
    assert json.dumps(SCHEMA) in system_of(body(llm))


def test_a_model_of_litellm_that_is_not_known_to_take_schemas_is_told_in_words(llm: ScriptedLLM) -> None:
    llm.script(ULM)
    HOME.run(run(Agent(model=routed_model(), telemetry=False), turn(output_format=CITY)))
    assert body(llm)["response_format"] == {"type": "json_object"}
    assert json.dumps(SCHEMA) in system_of(body(llm))
    assert "A city of Swabia." in system_of(body(llm))


@STREAM
@pytest.mark.parametrize("make", [openai_model, routed_model, gemini_3], ids=["openai", "litellm", "gemini"])
def test_any_object_is_asked_for_natively_and_in_the_words_that_openai_wants(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script('{"a": 1}')
    who = Agent(model=make(), instructions="Be brief.", telemetry=False)
    assert text_of(HOME.run(run(who, turn(output_format=OutputFormat(), stream=stream)))) == '{"a": 1}'
    asked = body(llm)
    assert "JSON" in system_of(asked)
    assert "Be brief." in system_of(asked)
    if "contents" in asked:
        assert asked["generationConfig"]["responseMimeType"] == "application/json"
    else:
        assert asked["response_format"] == {"type": "json_object"}


@STREAM
@EVERY_MODEL
def test_an_agent_that_calls_a_tool_first_answers_in_the_form(
    make: Callable[[], Model], stream: bool, llm: ScriptedLLM
) -> None:
    llm.script(Reply("Adding.", tool_calls=(ToolCall.of("add", a=1, b=2),)), ULM)
    who = Agent(model=make(), tools=[add], telemetry=False)
    events = HOME.run(run(who, turn("1 + 2?", output_format=CITY, stream=stream)))
    assert text_of(events) == ULM
    assert [message.role for message in finished(events).messages] == ["assistant", "tool", "assistant"]
    assert reasoning_of(events) == "Adding."


def test_json_is_streamed_token_by_token(llm: ScriptedLLM) -> None:
    llm.script(Reply(tokens=('{"name":', '"Ulm",', '"parts":', "[]}"), token_delay=0.02))
    events = HOME.run(run(Agent(model=openai_model(), telemetry=False), turn(output_format=CITY, stream=True)))
    assert len([event for event in events if type(event).__name__ == "Text"]) == 4


class Own(BaseModel):
    """An agent's own form."""

    total: int


@STREAM
async def test_the_client_s_form_wins_over_the_agent_s(stream: bool) -> None:
    who, model = agent('{"a": 1}', output_schema=Own, markdown=True)
    assert text_of(await run(who, turn(output_format=OutputFormat(), stream=stream))) == '{"a": 1}'
    assert "total" not in str(heard(model))
    assert "markdown" not in str(heard(model))
    assert text_of(await run(agent('{"total":3}', output_schema=Own)[0], turn(stream=stream))) == '{"total":3}'


@STREAM
async def test_the_agent_s_own_system_message_keeps_its_words(stream: bool) -> None:
    who, model = agent('{"a": 1}', system_message="Be brief.")
    await run(who, turn(output_format=OutputFormat(), stream=stream))
    role, said = heard(model)[0]
    assert role == "system"
    assert said.startswith("Be brief.")
    assert "JSON" in said


@STREAM
@pytest.mark.parametrize("text", ["Ulm is nice.", '{"name": "Ulm", "parts": "none"}', f"```json\n{ULM}\n```"])
async def test_a_model_that_does_not_keep_to_it_is_an_error(text: str, stream: bool) -> None:
    with pytest.raises(MalformedAnswer):
        await run(agent(text)[0], turn(output_format=CITY, stream=stream))


@STREAM
async def test_a_plain_answer_of_several_calls_is_the_last_one(stream: bool) -> None:
    who, _ = agent(calling("add", '{"a": 1, "b": 2}', text='{"note": "adding"}'), '{"a": 1}', tools=[add])
    if stream:
        with pytest.raises(MalformedAnswer):
            await run(who, turn(output_format=OutputFormat(), stream=True))
    else:
        assert text_of(await run(who, turn(output_format=OutputFormat()))) == '{"a": 1}'


def test_calls_beside_the_answer_are_not_asked_for_it(llm: ScriptedLLM) -> None:
    memories = MemoryManager()
    who = Agent(model=openai_model(), memory_manager=memories, update_memory_on_run=True, telemetry=False)
    llm.script(ULM, times=2)
    HOME.run(run(who, turn(output_format=CITY)))
    formats = [request.body.get("response_format") for request in llm.requests()]
    assert formats.count(IN_OPENAI_S_FORM) == 1


@STREAM
def test_a_team_s_leader_is_asked_and_its_members_are_not(stream: bool, llm: ScriptedLLM) -> None:
    member = Agent(name="member", role="answers", model=openai("gpt-member"), telemetry=False)
    team = Team(name="team", model=openai("gpt-leader"), members=[member], telemetry=False)
    delegation = ToolCall.of("delegate_task_to_member", member_id="member", task="answer")
    llm.script(Reply.calling(delegation), ULM, model="gpt-leader")
    llm.script("Ulm is nice.", model="gpt-member")
    assert text_of(HOME.run(run(team, turn(output_format=CITY, stream=stream)))) == ULM
    asked = {request.model: request.body.get("response_format") for request in llm.requests()}
    assert asked == {"gpt-leader": IN_OPENAI_S_FORM, "gpt-member": None}


@STREAM
async def test_a_workflow_has_no_form_to_ask_for(stream: bool) -> None:
    flow = Workflow(name="flow", steps=[Step(name="1", agent=agent("hello")[0])], telemetry=False)
    with pytest.raises(UnsupportedParameter) as raised:
        await run(flow, turn(output_format=OutputFormat(), stream=stream))
    assert raised.value.param == "response_format"


# The offline model


@STREAM
async def test_the_offline_model_answers_with_the_smallest_value_and_says_what_it_is(stream: bool) -> None:
    who = Agent(model=OfflineModel(), telemetry=False)
    events = await run(who, turn("How big is Ulm?", output_format=CITY, stream=stream))
    assert json.loads(text_of(events)) == {"name": NOTICE, "parts": []}


@STREAM
async def test_the_offline_model_puts_its_text_into_any_object(stream: bool) -> None:
    who = Agent(model=OfflineModel(), telemetry=False)
    said = json.loads(text_of(await run(who, turn("hello", output_format=OutputFormat(), stream=stream))))
    assert said["notice"] == NOTICE
    assert said["answer"]


@STREAM
async def test_the_offline_model_calls_its_tools_first(stream: bool) -> None:
    who = Agent(model=OfflineModel(), tools=[roll_dice], telemetry=False)
    events = await run(who, turn("Roll the dice with 6 sides", output_format=OutputFormat(), stream=stream))
    assert "rolled 4" in json.loads(text_of(events))["answer"]
