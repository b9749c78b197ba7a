"""What is in force in a run of an Agno agent: which model is called, with what, and what Agno's cache sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agno.agent import Agent
from agno.models.message import Message as AgnoMessage

from agentllm.core import (
    ClientTool,
    Event,
    Message,
    OutputFormat,
    Parameters,
    Swap,
    ToolChoice,
    Turn,
    Usage,
)
from agentllm.errors import UnsupportedParameter
from agentllm.hotswap.in_force import IN_FORCE, InForce
from agentllm.llm.costs import price
from agentllm.llm.offline import OfflineModel
from agentllm.runtimes import runtime_for
from tests.runtimes.agno import spoken
from tests.runtimes.agno.spoken import Spoken, agent, answer, calling, finished, heard, text_of, turn, usage_of

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
CLIENT_TOOL = ClientTool("of_client", "Of the client.", {"type": "object", "properties": {}})


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> dict[str, Spoken]:
    """The models that can be set, by their names."""
    models = {"other": Spoken.of("of the other"), "third": Spoken.of("of the third")}
    for name, model in models.items():
        model.id = name
    monkeypatch.setattr("agentllm.runtimes.agno.swapped.model_from_name", models.__getitem__)
    return models


async def run(who: object, asked: Turn, swap: Swap) -> list[Event]:
    token = IN_FORCE.set(InForce(swap, lambda _: None))
    try:
        return await spoken.run(who, asked)
    finally:
        IN_FORCE.reset(token)


def set_other(model: str) -> str:
    """Set the model."""
    in_force = IN_FORCE.get()
    assert in_force is not None
    in_force.set_model(model or None)
    return "set"


@STREAM
async def test_the_model_in_force_answers_and_the_agent_s_own_is_not_asked(
    others: dict[str, Spoken], stream: bool
) -> None:
    who, own = agent("mine")
    events = await run(who, turn("hi", stream=stream), Swap("other"))
    assert text_of(events) == "of the other"
    assert own.asked == []
    assert finished(events).messages == (Message("assistant", "of the other"),)


@STREAM
async def test_it_is_asked_with_the_turn_s_parameters_tools_and_form(others: dict[str, Spoken], stream: bool) -> None:
    who, _ = agent("mine", tools=[set_other])
    asked = turn(
        "hi",
        stream=stream,
        parameters=Parameters(temperature=0.25, max_tokens=7),
        client_tools=(CLIENT_TOOL,),
        tool_choice=ToolChoice("required", "of_client"),
        output_format=OutputFormat({"type": "object"}),
    )
    await run(who, asked, Swap("other"))
    called, arguments = others["other"].calls[0], others["other"].arguments[0]
    assert (called.temperature, called.max_tokens) == (0.25, 7)
    assert {tool["function"]["name"] for tool in arguments["tools"]} == {"set_other", "of_client"}
    assert arguments["tool_choice"]["function"]["name"] == "of_client"
    assert arguments["response_format"]["type"] == "json_schema"
    assert others["other"].temperature is None


@STREAM
async def test_a_tool_sets_it_for_the_next_call_and_a_choice_of_tools_holds_once(
    others: dict[str, Spoken], stream: bool
) -> None:
    who, own = agent(calling("set_other", '{"model": "other"}'), tools=[set_other])
    others["other"].says = [calling("set_other", '{"model": ""}')]
    own.says.append(answer("mine again"))
    events = await run(who, turn("hi", stream=stream, tool_choice=ToolChoice("required")), Swap())
    assert text_of(events) == "mine again"
    choices = [call["tool_choice"] for model in (own, others["other"]) for call in model.arguments]
    assert choices.count("required") == 1
    assert [message.role for message in finished(events).messages] == ["assistant", "tool"] * 2 + ["assistant"]
    assert spoken.usage_of(events).prompt_tokens == 30


async def test_a_parameter_that_it_has_no_place_for_is_refused(others: dict[str, Spoken]) -> None:
    who, _ = agent("mine")
    parameters = Parameters(verbosity="low")
    with pytest.raises(UnsupportedParameter, match="other"):
        await run(who, turn("hi", parameters=parameters), Swap("other"))
    await run(who, turn("hi", parameters=parameters, drop_unsupported=True), Swap("other"))


def _system(model: OfflineModel) -> str:
    return next(text for role, text in heard(model) if role == "system")


@STREAM
async def test_the_prompt_stands_for_all_that_the_agent_says_of_itself(stream: bool) -> None:
    who, own = agent(
        "mine",
        description="Own one.",
        role="Own two.",
        instructions=["Own three.", "Own four."],
        expected_output="Own five.",
        additional_context="Kept.",
        session_state={"name": "filled in"},
    )
    client = Message("system", "Of the client.")
    await run(who, turn(client, Message("user", "hi"), stream=stream), Swap(None, "Be {name} $name."))
    system = _system(own)
    assert "Be {name} $name." in system
    assert "Kept." in system
    assert "Of the client." in system
    assert "Own" not in system


@pytest.mark.parametrize(
    "message", ["Own.", AgnoMessage(role="system", content="Own."), lambda: "Own."], ids=["text", "message", "function"]
)
async def test_the_prompt_stands_for_the_agent_s_own_system_message(message: Any) -> None:
    who, own = agent("mine", system_message=message)
    await run(who, turn(Message("system", "Of the client."), Message("user", "hi")), Swap(None, "Be brief."))
    assert _system(own) == "Be brief.\n\nOf the client."


async def test_an_agent_without_a_system_message_gets_one() -> None:
    who, own = agent("mine", build_context=False)
    await run(who, turn("hi"), Swap(None, "Be brief."))
    assert heard(own) == [("system", "Be brief."), ("user", "hi")]


async def test_what_is_in_force_is_neither_taken_from_agno_s_cache_nor_put_there(
    others: dict[str, Spoken], tmp_path: Path
) -> None:
    who, own = agent("one", "two", "three")
    own.cache_response, own.cache_dir = True, str(tmp_path)
    assert text_of(await run(who, turn("hi"), Swap(None, "Be brief."))) == "one"
    assert text_of(await run(who, turn("hi"), Swap("other"))) == "of the other"
    assert text_of(await run(who, turn("hi"), Swap())) == "two"
    assert text_of(await run(who, turn("hi"), Swap())) == "two"
    assert text_of(await run(who, turn("hi"), Swap("third"))) == "of the third"


async def test_a_shared_agent_keeps_what_it_is(others: dict[str, Spoken]) -> None:
    who, own = agent("mine", instructions="Own.")
    runtime = runtime_for(who)
    IN_FORCE.set(InForce(Swap("other", "Be brief."), lambda _: None))
    assert [event async for event in runtime.run(turn("hi"))]
    IN_FORCE.set(None)
    assert isinstance(who, Agent)
    assert (who.model, who.instructions) == (own, "Own.")
    assert text_of([event async for event in runtime.run(turn("hi"))]) == "mine"
    assert "Own." in _system(own)


@STREAM
async def test_a_call_of_another_model_costs_what_that_one_costs(others: dict[str, Spoken], stream: bool) -> None:
    who, own = agent(tools=[set_other])
    own.id, own.provider = "gpt-4o", "OpenAI"
    own.says = [calling("set_other", '{"model": "other"}', usage=Usage(1_000, 100))]
    others["other"].says = [answer("of the other", usage=Usage(1_000, 100))]
    assert usage_of(await run(who, turn("hi", stream=stream), Swap("other"))) == Usage(1_000, 100)
    both = usage_of(await run(who, turn("hi", stream=stream), Swap()))
    assert both == Usage(2_000, 200, cost=price("openai/gpt-4o", Usage(1_000, 100)))
    own.says = [answer("mine")]
    others["third"].id, others["third"].provider = "gpt-4o", "OpenAI"
    others["third"].says = [answer("of the third", usage=Usage(1_000, 100))]
    own.id = "gpt-4o-mini"
    dear = usage_of(await run(who, turn("hi", stream=stream), Swap("third")))
    assert dear.cost == price("openai/gpt-4o", Usage(1_000, 100))
