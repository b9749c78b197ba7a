"""What LiteLLM is asked for a model call."""

from __future__ import annotations

from typing import Any

import pytest

from agentllm import UnifiedAgent
from agentllm.core import ClientTool, JsonObject, OutputFormat, Parameters, ToolChoice
from agentllm.errors import UnsupportedParameter
from agentllm.llm.unified import Asked
from agentllm.llm.unified.requests import Call
from tests.llm.unified.asking import OPENAI, WEATHER, add

HI: JsonObject = {"role": "user", "content": "hi"}
SCHEMA: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "an-openai-key")


def request(
    model: str = OPENAI,
    *,
    messages: tuple[JsonObject, ...] = (HI,),
    prompt: str | None = None,
    is_first: bool = True,
    is_fallback: bool = False,
    settings: dict[str, Any] | None = None,
    **asked: Any,
) -> dict[str, Any]:
    agent = UnifiedAgent(OPENAI, **(settings or {}))
    call = Call(agent, Asked(messages, **asked), prompt, messages, is_first)
    return call.request(model, is_fallback=is_fallback)


def test_a_prompt_that_is_in_force_stands_in_the_place_of_the_agent_s_instructions() -> None:
    made = request(settings={"instructions": "Be kind."}, prompt="Be rude.", instructions=("In Latin.",))
    assert made["messages"][0] == {"role": "system", "content": "Be rude.\n\nIn Latin."}


def test_without_any_instructions_there_is_no_message_of_them() -> None:
    assert request()["messages"] == [HI]


class TestParameters:
    ALL = Parameters(
        temperature=0.5,
        top_p=0.9,
        max_tokens=5,
        stop=("END",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        service_tier="flex",
    )

    def test_all_are_sent(self) -> None:
        made = request(parameters=self.ALL)
        assert (made["temperature"], made["top_p"], made["max_tokens"], made["stop"]) == (0.5, 0.9, 5, ["END"])
        assert (made["seed"], made["presence_penalty"], made["frequency_penalty"]) == (7, 0.1, 0.2)
        assert made["service_tier"] == "flex"

    def test_those_of_the_request_win_over_those_of_the_agent(self) -> None:
        made = request(settings={"temperature": 0.1, "max_tokens": 9}, parameters=Parameters(temperature=0.5))
        assert (made["temperature"], made["max_tokens"]) == (0.5, 9)

    def test_thinking_and_verbosity_go_to_models_that_have_them(self) -> None:
        made = request("openai/gpt-5", parameters=Parameters(reasoning_effort="low", verbosity="high"))
        assert (made["reasoning_effort"], made["verbosity"]) == ("low", "high")

    def test_one_that_the_model_does_not_take_is_refused_unless_it_may_be_dropped(self) -> None:
        unheard = Parameters(reasoning_effort="low")
        with pytest.raises(UnsupportedParameter) as raised:
            request(parameters=unheard)
        assert raised.value.param == "reasoning_effort"
        assert "reasoning_effort" not in request(parameters=unheard, drop_unsupported=True)
        assert "reasoning_effort" not in request(parameters=unheard, is_fallback=True)


class TestTools:
    OFFERED = (ClientTool("weather", "From the client.", SCHEMA),)

    def test_the_client_s_stand_beside_the_agent_s_and_win_over_its_schemas(self) -> None:
        made = request(settings={"tools": [add, WEATHER]}, client_tools=self.OFFERED)
        told = {tool["function"]["name"]: tool["function"] for tool in made["tools"]}
        assert set(told) == {"add", "weather"}
        assert told["weather"]["description"] == "From the client."

    def test_without_any_nothing_is_said_of_calling_them(self) -> None:
        made = request(tool_choice=ToolChoice("none"), parallel_tool_calls=False)
        assert made.keys().isdisjoint({"tools", "tool_choice", "parallel_tool_calls"})

    @pytest.mark.parametrize(
        ("choice", "said"),
        [
            (ToolChoice("required"), "required"),
            (ToolChoice("none"), "none"),
            (ToolChoice("required", "weather"), {"type": "function", "function": {"name": "weather"}}),
        ],
    )
    def test_a_choice_is_said_of_the_first_call_only(self, choice: ToolChoice, said: Any) -> None:
        made = request(client_tools=self.OFFERED, tool_choice=choice, parallel_tool_calls=False)
        assert (made["tool_choice"], made["parallel_tool_calls"]) == (said, False)
        later = request(client_tools=self.OFFERED, tool_choice=choice, parallel_tool_calls=False, is_first=False)
        assert "tool_choice" not in later
        assert later["parallel_tool_calls"] is False

    def test_a_model_that_cannot_be_told_to_call_one_at_a_time_refuses(self) -> None:
        asked: dict[str, Any] = {"client_tools": self.OFFERED, "parallel_tool_calls": False}
        with pytest.raises(UnsupportedParameter):
            request("ollama_chat/llama3.2", **asked)
        assert "parallel_tool_calls" not in request("ollama_chat/llama3.2", **asked, drop_unsupported=True)
        several = {**asked, "parallel_tool_calls": True}
        assert "parallel_tool_calls" not in request("ollama_chat/llama3.2", **several)


class TestForm:
    FORM = OutputFormat(SCHEMA, "number", strict=True)

    def test_a_model_that_takes_schemas_is_told_in_that_way_alone(self) -> None:
        made = request(output_format=self.FORM)
        told = {"name": "number", "schema": SCHEMA, "strict": True}
        assert made["response_format"] == {"type": "json_schema", "json_schema": told}
        assert made["messages"] == [HI]

    def test_one_that_is_not_known_to_is_told_in_words_too(self) -> None:
        made = request("openai/gpt-scripted", output_format=self.FORM)
        assert made["response_format"] == {"type": "json_object"}
        assert '"integer"' in made["messages"][0]["content"]

    def test_gemini_before_3_is_told_in_words_where_it_has_tools(self) -> None:
        made = request("gemini/gemini-2.5-flash", output_format=self.FORM, settings={"tools": [add]})
        assert "response_format" not in made
        assert '"integer"' in made["messages"][0]["content"]
        later = request("gemini/gemini-3.5-flash", output_format=self.FORM, settings={"tools": [add]})
        assert later["response_format"]["type"] == "json_schema"

    def test_any_object_is_asked_for_in_both_ways(self) -> None:
        made = request(output_format=OutputFormat())
        assert made["response_format"] == {"type": "json_object"}
        assert "JSON" in made["messages"][0]["content"]


def test_what_a_model_wants_back_goes_to_no_other() -> None:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    claude = "anthropic/claude-haiku-4-5"
    said: JsonObject = {
        "role": "assistant",
        "content": "x",
        "provider_data": {"model": claude, "thinking_blocks": blocks},
    }
    (own,) = request(claude, messages=(said,))["messages"]
    assert own == {"role": "assistant", "content": "x", "thinking_blocks": blocks}
    (other,) = request(messages=(said,))["messages"]
    assert other == {"role": "assistant", "content": "x"}


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        (None, None),
        (False, {"no-cache": True, "no-store": True}),
        (True, {"use-cache": True}),
        (60, {"use-cache": True, "ttl": 60, "s-maxage": 60}),
    ],
)
def test_what_is_said_of_the_cache(cache: Any, said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    monkeypatch.setattr(litellm, "cache", None)
    assert request(settings={"cache": cache}).get("cache") == said
    assert (litellm.cache is not None) is bool(cache)
