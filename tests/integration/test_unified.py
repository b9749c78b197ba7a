"""Agents over LiteLLM through the running proxy, as curl and the OpenAI SDK see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, OpenAI
from pydantic import BaseModel

from tests.gateway.pictures import PNG, data_url
from tests.integration.calling import Said, asked, of_message
from tests.integration.checks import leave_early, leave_stream
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

AGENTS = Path(__file__).parent / "unified_agents"
CONFIG = """
model_list:
  - model_name: house
    litellm_params: {model: openai/gpt-house, input_cost_per_token: 0.5, output_cost_per_token: 1.0}
  - model_name: spare
    litellm_params: {model: openai/gpt-spare}
router_settings:
  num_retries: 0
  fallbacks: [{house: [spare]}]
litellm_settings:
  custom_provider_map:
    - {provider: agno, custom_handler: agentllm.gateway.plugin.agno}
general_settings:
  custom_auth: agentllm.gateway.plugin.custom_auth
  cancel_on_disconnect: true
"""

BOTH = pytest.mark.parametrize("model", ["litellm/openai-one", "litellm/gemini-one"])
EVERY = pytest.mark.parametrize("model", ["litellm/openai-one", "litellm/gemini-one", "litellm/housed"])
STREAM = pytest.mark.parametrize("stream", [False, True])
HI: list[Any] = [{"role": "user", "content": "hi"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def proxy(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with the agents of `unified_agents`, and two models of its own."""
    folder = tmp_path_factory.mktemp("unified")
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    environment = {
        **llm_environment(running_llm),
        "AGENTLLM_AGENTS": str(AGENTS),
        "AGENTLLM_SWAP_MODELS": "offline",
        "GEMINI_API_BASE": f"{running_llm.gemini_base}/v1beta",
    }
    with Proxy(folder, environment, config=config) as running:
        yield running


def ask(client: OpenAI, model: str, messages: list[Any] | None = None, *, stream: bool = False, **more: Any) -> Said:
    body: Any = {"model": model, "messages": messages or HI, **more}
    if not stream:
        return of_message(client.chat.completions.create(**body))
    said = Said()
    for chunk in client.chat.completions.create(**body, stream=True):
        said.take(chunk)
    return said


def work(client: OpenAI, model: str, *, stream: bool) -> list[tuple[str, str, str]]:
    """Name, status and result of each piece of the agent's work."""
    answer: Any = client.chat.completions.create(model=model, messages=HI, stream=stream)
    if stream:
        fields = [
            choice.delta.provider_specific_fields
            for chunk in answer
            for choice in chunk.choices
            if getattr(choice.delta, "provider_specific_fields", None)
        ]
        told = [field["agentllm_work"] for field in fields if "agentllm_work" in field]
    else:
        told = answer.choices[0].message.provider_specific_fields["agentllm_work"]
    return [(piece["name"], piece["status"], piece["result"]) for piece in told]


def test_they_are_models_beside_the_others(client: OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"litellm/openai-one", "litellm/gemini-one", "litellm/housed", "litellm/falling", "agno/demo"} <= names


@BOTH
@STREAM
def test_a_question_is_answered(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    said = ask(client, model, stream=stream)
    assert (said.text, said.reason) == ("echo: hi", "stop")


@BOTH
def test_curl_gets_an_answer_with_reasoning_and_usage(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("done", reasoning=("let me ", "see"), usage=Usage(prompt=11, completion=7, reasoning=3)))
    body = {"model": model, "messages": HI}
    headers = {"Authorization": f"Bearer {proxy.key}"}
    answer = httpx.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers, timeout=30).json()
    message, usage = answer["choices"][0]["message"], answer["usage"]
    assert (message["content"], message["reasoning_content"]) == ("done", "let me see")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (11, 7, 18)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 3


@BOTH
def test_a_stream_comes_as_the_model_speaks(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply(tokens=("on ", "and "), endless=True))
    with client.chat.completions.create(model=model, messages=HI, stream=True) as chunks:
        text = ""
        for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
            if text.startswith("on and on"):
                break
    assert text.startswith("on and on")


@BOTH
@STREAM
def test_it_calls_its_tools_and_tells_of_them(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b="2"), ToolCall.of("explode")), "three")
    told = work(client, model, stream=stream)
    assert sorted(told)[:1] == [("add", "finished", "3")]
    assert [status for name, status, _ in told if name == "explode"] == ["started", "failed"]
    assert "secret-detail" not in json.dumps(told)
    assert "secret-detail" in json.dumps(llm.requests()[-1].body)


@BOTH
@STREAM
def test_a_client_s_tool_is_called_by_the_client_and_its_result_answered(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply.calling(ToolCall.of("weather", city="Rome"), ToolCall.of("add", a=1, b=2)), "Sunny.")
    said = ask(client, model, tools=[WEATHER], stream=stream)
    assert (said.names, said.reason) == (["weather"], "tool_calls")
    answered = ask(client, model, said.answered(HI[0], "sunny"), tools=[WEATHER], stream=stream)
    assert answered.text == "Sunny."
    body = json.dumps(llm.requests()[-1].body)
    assert all(piece in body for piece in ("sunny", "add", "weather"))


def test_the_agent_goes_on_with_its_own_results_after_those_of_the_client(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2), ToolCall.of("weather", city="Rome")), "Sunny.")
    said = ask(client, "litellm/openai-one", tools=[WEATHER])
    assert ask(client, "litellm/openai-one", said.answered(HI[0], "sunny"), tools=[WEATHER]).text == "Sunny."
    assert asked(llm) == [
        ("system", "Be brief."),
        ("user", "hi"),
        ("assistant", "add weather"),
        ("tool", "3"),
        ("tool", "sunny"),
    ]


def test_a_client_s_tool_with_the_name_of_its_own_is_refused(client: OpenAI, llm: ScriptedLLM) -> None:
    tool = {**WEATHER, "function": {**WEATHER["function"], "name": "add"}}
    with pytest.raises(APIStatusError) as raised:
        ask(client, "litellm/openai-one", tools=[tool])
    assert raised.value.status_code == 400
    assert llm.requests() == []


@BOTH
def test_a_choice_of_tool_holds_for_the_first_call(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), "three")
    assert ask(client, model, tools=[WEATHER], tool_choice="required").text == "three"
    first, second = (request.body for request in llm.requests())
    assert (first.get("tool_choice") or first.get("toolConfig")) is not None
    assert (second.get("tool_choice") or second.get("toolConfig")) is None


class City(BaseModel):
    name: str
    people: int


@BOTH
@STREAM
def test_an_answer_has_the_form_that_is_asked_for(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), '{"name": "Rome", "people": 3}')
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}
    said = ask(client, model, response_format=schema, stream=stream)
    assert City.model_validate_json(said.text) == City(name="Rome", people=3)
    assert "people" in json.dumps(llm.requests()[-1].body)


def test_an_answer_in_another_form_is_an_error(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script('{"name": "Rome"}')
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": City.model_json_schema()}}
    with pytest.raises(APIStatusError) as raised:
        ask(client, "litellm/openai-one", response_format=schema)
    assert raised.value.status_code == 502


@STREAM
def test_the_offline_model_answers_where_it_is_set(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    swap = {"metadata": {"agentllm": {"model": "offline"}}}
    add: Any = [{"role": "user", "content": "add 20 and 22"}]
    said = ask(client, "litellm/openai-one", add, stream=stream, extra_body=swap)
    assert "42" in said.text
    assert llm.requests() == []


@BOTH
@STREAM
def test_a_connection_that_breaks_is_a_bad_gateway(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply("one two", cut_after=0), times=None)
    with pytest.raises(APIStatusError) as raised:
        ask(client, model, stream=stream)
    assert raised.value.status_code == 502


@STREAM
def test_its_fallback_answers_where_its_model_fails(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.failing(500), model="gpt-first", times=None)
    assert ask(client, "litellm/falling", stream=stream).text == "echo: hi"
    assert [call.model for call in llm.requests()] == ["gpt-first", "gemini-3-flash"]


def test_nothing_is_said_twice_where_a_model_fails_in_the_middle(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("one two three four", cut_after=2, token_delay=0.05))
    said = Said()

    def read() -> None:
        for chunk in client.chat.completions.create(model="litellm/falling", messages=HI, stream=True):
            said.take(chunk)

    with pytest.raises(APIError):
        read()
    assert said.text == "one two"
    assert len(llm.requests()) == 1


@STREAM
def test_a_model_of_the_proxy_has_the_proxy_s_fallbacks(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    assert ask(client, "litellm/housed", stream=stream).text == "echo: hi"
    llm.script(Reply.failing(500), model="gpt-house", times=None)
    assert ask(client, "litellm/housed", stream=stream).text == "echo: hi"
    assert [call.model for call in llm.requests()] == ["gpt-house", "gpt-house", "gpt-spare"]


@BOTH
@STREAM
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_provider_s_error_keeps_its_status_and_words(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool, status: int
) -> None:
    llm.script(Reply.failing(status, "the provider says no"), times=None)
    with pytest.raises(APIStatusError) as raised:
        ask(client, model, stream=stream)
    assert raised.value.status_code == status
    assert "the provider says no" in raised.value.message
    assert len(llm.requests()) == 1


@BOTH
@STREAM
def test_a_conversation_that_is_too_long_is_a_400_that_says_so(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply.failing(400, "This model's maximum context length is 10 tokens."))
    with pytest.raises(APIStatusError) as raised:
        ask(client, model, stream=stream)
    assert raised.value.status_code == 400
    assert "failed: This model's maximum context length is 10 tokens." in raised.value.message


@BOTH
@STREAM
def test_an_empty_answer_is_an_error(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply())
    with pytest.raises(APIStatusError) as raised:
        ask(client, model, stream=stream)
    assert raised.value.status_code == 502


@BOTH
def test_a_session_is_remembered_with_its_tools(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    headers = {"x-agentllm-session-id": f"two-turns-{model}"}
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), "three")
    ask(client, model, extra_headers=headers)
    ask(client, model, [{"role": "user", "content": "and then?"}], extra_headers=headers)
    body = json.dumps(llm.requests()[-1].body)
    assert all(piece in body for piece in ("hi", "add", "three", "and then?"))


@BOTH
def test_callers_do_not_meet(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = [f"number {n}" for n in range(24)]
        said = list(pool.map(lambda text: ask(client, model, [{"role": "user", "content": text}]).text, texts))
    assert said == [f"echo: {text}" for text in texts]


@BOTH
def test_parameters_reach_the_model(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    ask(client, model, temperature=0.25, max_tokens=5, stop=["END"])
    body = json.dumps(llm.requests()[-1].body)
    assert all(piece in body for piece in ("0.25", "END"))


def test_a_parameter_that_the_model_cannot_take_is_refused(client: OpenAI, llm: ScriptedLLM) -> None:
    with pytest.raises(APIStatusError) as raised:
        ask(client, "litellm/gemini-one", verbosity="low")
    assert raised.value.status_code == 400
    assert "verbosity" in raised.value.message
    assert llm.requests() == []


@BOTH
def test_a_picture_reaches_the_model(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(PNG, "image/png")}},
    ]
    ask(client, model, [{"role": "user", "content": parts}])
    assert data_url(PNG, "image/png").partition(",")[2] in json.dumps(llm.requests()[-1].body)


@EVERY
@STREAM
def test_leaving_before_the_first_token_stops_the_model_call(
    proxy: Proxy, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    leave_early(proxy, llm, {"model": model, "stream": stream})


@EVERY
def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    leave_stream(proxy, llm, {"model": model})


def test_one_whose_model_is_misspelt_is_out_of_service_and_the_log_says_why(proxy: Proxy, client: OpenAI) -> None:
    with pytest.raises(APIStatusError) as raised:
        ask(client, "litellm/misspelt")
    assert raised.value.status_code == 503
    assert "'opanai/gpt-unified'" in proxy.log


def test_no_message_and_no_instruction_is_in_the_log(proxy: Proxy, client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply.failing(500), model="gpt-first")
    ask(client, "litellm/falling", [{"role": "user", "content": "a-private-word"}])
    assert "a-private-word" not in proxy.log
    assert "Be brief." not in proxy.log
