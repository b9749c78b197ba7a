"""Agents behind /v1/messages, as the Anthropic SDK sees them."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Literal

import httpx
import pytest
from anthropic import Anthropic, APIStatusError, AsyncAnthropic, beta_tool
from anthropic.types import Message

from tests.integration.checks import Keyed, asked, leave_early, leave_stream, never_meet, open_keyed
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

MODELS = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
STREAM = pytest.mark.parametrize("stream", [False, True])

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
"""A picture of one pixel."""


@pytest.fixture
def claude(proxy: Proxy) -> Iterator[Anthropic]:
    with of(proxy, proxy.key) as client:
        yield client


@pytest.fixture
async def aclaude(proxy: Proxy) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0, timeout=30) as client:
        yield client


def of(proxy: Proxy, key: str) -> Anthropic:
    return Anthropic(base_url=proxy.url, api_key=key, max_retries=0, timeout=30)


def said(*texts: str) -> list[dict[str, Any]]:
    """Texts of a person and the agent in turn."""
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]


def message(client: Anthropic, messages: Any = None, *, stream: bool = False, **more: Any) -> Message:
    """The answer; of a stream what the SDK puts together from its events."""
    body = {"model": "agno/echo", "max_tokens": 1_000, "messages": messages or said("hi"), **more}
    if not stream:
        answer: Message = client.messages.create(**body)
        return answer
    with client.messages.stream(**body) as events:
        return events.get_final_message()


def events_of(client: Anthropic, **more: Any) -> list[Any]:
    """All events of a streamed answer."""
    body = {"model": "agno/echo", "max_tokens": 1_000, "messages": said("hi"), **more}
    return list(client.messages.create(**body, stream=True))


def text_of(answer: Message) -> str:
    return "".join(block.text for block in answer.content if block.type == "text")


def refusal(client: Anthropic, messages: Any = None, **more: Any) -> tuple[int, dict[str, Any]]:
    """The status and the error object that a call is refused with, in Anthropic's form."""
    with pytest.raises(APIStatusError) as raised:
        message(client, messages, **more)
    assert "Traceback" not in raised.value.response.text
    body = json.loads(raised.value.response.text)
    assert body["type"] == "error"
    return raised.value.status_code, body["error"]


def test_a_thread_is_refused_and_the_sdk_sends_everything_instead(claude: Anthropic, llm: ScriptedLLM) -> None:
    @beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    llm.script(Reply.calling(ToolCall.of("weather", city="Rome")), "A fine day.")
    runner = claude.beta.messages.tool_runner(
        model="agno/echo", max_tokens=1_000, tools=[weather], messages=[{"role": "user", "content": "How is Rome?"}]
    )
    (said_last,) = runner.until_done().content
    assert said_last.type == "text"
    assert said_last.text == "A fine day."
    assert asked(llm)[-1] == ("tool", "sunny in Rome")


def test_a_thread_is_named_to_those_who_may_ask(proxy: Proxy, llm: ScriptedLLM) -> None:
    body = {"model": "agno/echo", "max_tokens": 9, "messages": said("hi"), "thread": {"type": "create"}}
    allowed, other = (
        httpx.post(f"{proxy.base_url}/messages", json=body, headers={"x-api-key": key}, timeout=30)
        for key in (proxy.key, "sk-of-nobody")
    )
    assert (allowed.status_code, other.status_code) == (400, 401)
    assert allowed.json()["error"]["details"]["error_code"] == "thread_unsupported_request"
    assert "'thread'" in allowed.json()["error"]["message"]
    assert llm.requests() == []


def fresh() -> str:
    return str(uuid.uuid4())


WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def results(answer: Message, *texts: str) -> list[dict[str, Any]]:
    """The answer as the client sends it again, and the results of the tools that it calls."""
    uses = [block for block in answer.content if block.type == "tool_use"]
    blocks = [
        {"type": "tool_result", "tool_use_id": use.id, "content": text} for use, text in zip(uses, texts, strict=True)
    ]
    again = [block.model_dump(exclude_none=True) for block in answer.content]
    return [{"role": "assistant", "content": again}, {"role": "user", "content": blocks}]


# Answers


@MODELS
@STREAM
def test_an_answer_has_the_text_and_the_real_usage(
    claude: Anthropic, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=111, completion=22, cached=10)))
    answer = message(claude, model=model, stream=stream)
    assert text_of(answer) == "Good morning."
    assert (answer.type, answer.role, answer.model, answer.stop_reason) == ("message", "assistant", model, "end_turn")
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == 111
    assert answer.usage.cache_read_input_tokens == 10
    assert answer.usage.output_tokens == 22


def test_a_stream_s_events_are_in_order(claude: Anthropic, llm: ScriptedLLM) -> None:
    llm.script(Reply("a b c d e f", token_delay=0.03))
    events = events_of(claude)
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_delta") > 2
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")


@STREAM
async def test_the_async_client_gets_answers(aclaude: AsyncAnthropic, llm: ScriptedLLM, stream: bool) -> None:
    body: dict[str, Any] = {"model": "agno/echo", "max_tokens": 100, "messages": said("hi")}
    if stream:
        async with aclaude.messages.stream(**body) as events:
            answer = await events.get_final_message()
    else:
        answer = await aclaude.messages.create(**body)
    assert text_of(answer) == "echo: hi"


@STREAM
def test_reasoning_is_a_thinking_block_before_the_text(claude: Anthropic, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("42", reasoning=("Let me ", "think.")))
    thought, text = message(claude, stream=stream).content
    assert thought.type == "thinking"
    assert thought.thinking == "Let me think."
    assert text.type == "text"
    assert text.text == "42"


@MODELS
@STREAM
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal")])
def test_an_answer_that_was_cut_says_why(
    claude: Anthropic,
    llm: ScriptedLLM,
    model: str,
    stream: bool,
    finish: Literal["length", "content_filter"],
    reason: str,
) -> None:
    llm.script(Reply("cut off he", finish=finish))
    answer = message(claude, model=model, stream=stream)
    assert (text_of(answer), answer.stop_reason) == ("cut off he", reason)


def test_sampling_parameters_reach_the_model(claude: Anthropic, llm: ScriptedLLM) -> None:
    message(claude, max_tokens=77, stop_sequences=["END"], extra_body={"temperature": 0.25, "top_p": 0.5})
    body = llm.requests()[0].body
    assert (body["temperature"], body["top_p"], body["max_completion_tokens"], body["stop"]) == (0.25, 0.5, 77, ["END"])


@STREAM
def test_a_stop_that_would_be_dropped_is_refused(claude: Anthropic, llm: ScriptedLLM, stream: bool) -> None:
    status, error = refusal(claude, stop_sequences=["a", "b", "c", "d", "e"], stream=stream)
    assert status == 400
    assert "stop_sequences" in error["message"]
    assert llm.requests() == []


@STREAM
def test_tools_of_the_agent_run_and_usage_is_the_sum(claude: Anthropic, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(
        Reply("Adding.", tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Usage(prompt=10, completion=3)),
        Reply("It is 3.", usage=Usage(prompt=20, completion=4)),
    )
    answer = message(claude, said("1 + 2?"), model="agno/tooled", stream=stream)
    assert text_of(answer) == "Adding.\n\nIt is 3."
    assert {block.type for block in answer.content} == {"text"}
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.stop_reason) == (30, 7, "end_turn")


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_system_reaches_the_model_and_is_of_one_request(claude: Anthropic, llm: ScriptedLLM, system: Any) -> None:
    where: dict[str, Any] = {"extra_headers": {"x-agentllm-session-id": fresh()}}
    message(claude, said("one"), system=system, **where)
    assert [text for _, text in asked(llm)] == ["Be brief.", "one"]
    message(claude, said("two"), **where)
    assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


# Conversations


@STREAM
def test_calls_of_the_agent_s_tools_are_remembered_by_the_transcript(
    claude: Anthropic, llm: ScriptedLLM, stream: bool
) -> None:
    question = f"20 + 22, {fresh()}?"
    llm.script(Reply.calling(ToolCall.of("add", a=20, b=22)), Reply("It is 42.", reasoning=("Hm.",)))
    first = message(claude, said(question), model="agno/tooled", stream=stream)
    answered = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    again = [*said(question), answered, *said("And before?")]
    message(claude, again, model="agno/tooled", stream=stream)
    messages = llm.requests()[-1].body["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize("by", ["x-agentllm-session-id", "x-openwebui-chat-id", "x-litellm-session-id", "metadata"])
@STREAM
def test_a_session_is_given_by_header_or_metadata(claude: Anthropic, llm: ScriptedLLM, by: str, stream: bool) -> None:
    name = fresh()
    where: dict[str, Any] = {"metadata": {"session_id": name}} if by == "metadata" else {"extra_headers": {by: name}}
    message(claude, said("one"), stream=stream, **where)
    message(claude, said("two"), stream=stream, **where)
    assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


# Tools of the client


@MODELS
@STREAM
def test_a_tool_of_the_client_is_called_and_its_result_answered(
    claude: Anthropic, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply.calling(ToolCall.of("weather", city="Paris")), "It is warm.")
    question = said(f"Weather? {fresh()}")
    first = message(claude, question, model=model, stream=stream, tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    (use,) = first.content
    assert use.type == "tool_use"
    assert (use.name, use.input) == ("weather", {"city": "Paris"})
    assert "The weather of a city." in json.dumps(llm.requests()[0].body)
    second = message(claude, [*question, *results(first, "22 °C")], model=model, stream=stream, tools=[WEATHER])
    assert (text_of(second), second.stop_reason) == ("It is warm.", "end_turn")
    body = json.dumps(llm.requests()[-1].body, ensure_ascii=False)
    assert body.count("22 °C") == 1
    assert body.index("Paris") < body.index("22 °C")


@STREAM
def test_a_tool_of_the_agent_that_ran_beside_one_of_the_client_is_remembered(
    claude: Anthropic, llm: ScriptedLLM, stream: bool
) -> None:
    calls = (ToolCall.of("add", a=20, b=22), ToolCall("weather", '{"city":"Paris"}', "call_1"))
    llm.script(Reply(tool_calls=calls), "42, and warm.")
    question = said(f"Weather? {fresh()}")
    first = message(claude, question, model="agno/tooled", stream=stream, tools=[WEATHER])
    second = message(claude, [*question, *results(first, "22")], model="agno/tooled", stream=stream, tools=[WEATHER])
    assert text_of(second) == "42, and warm."
    told = [one["content"] for one in llm.requests()[-1].body["messages"] if one["role"] == "tool"]
    assert sorted(told) == ["22", "42"]


@STREAM
def test_several_tools_of_the_client_are_called_at_once(claude: Anthropic, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("weather", city="Paris"), ToolCall.of("weather", city="Rome")), "Warm.")
    question = said(f"Weather? {fresh()}")
    first = message(claude, question, stream=stream, tools=[WEATHER])
    assert [block.input for block in first.content if block.type == "tool_use"] == [{"city": "Paris"}, {"city": "Rome"}]
    message(claude, [*question, *results(first, "22", "25")], stream=stream, tools=[WEATHER])
    roles = [one["role"] for one in llm.requests()[-1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]


@STREAM
def test_a_picture_reaches_the_model(claude: Anthropic, llm: ScriptedLLM, stream: bool) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
    message(claude, [{"role": "user", "content": content}], stream=stream)
    assert PNG in json.dumps(llm.requests()[-1].body)


@pytest.fixture(scope="module")
def keyed(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with open_keyed(running_llm, tmp_path_factory.mktemp("keyed")) as opened:
        yield opened


@pytest.mark.parametrize("metadata", [{"user_id": "ada"}, {"session_id": "shared"}, {"user_api_key_hash": "x"}])
@STREAM
def test_two_people_never_meet_in_one_session(
    keyed: Keyed, llm: ScriptedLLM, metadata: Mapping[str, str], stream: bool
) -> None:
    proxy, *keys = keyed
    where: Any = {"metadata": metadata, "extra_headers": {"x-agentllm-session-id": fresh()}, "stream": stream}
    with of(proxy, keys[0]) as ada, of(proxy, keys[1]) as bob:
        never_meet(llm, lambda text: message(ada, said(text), **where), lambda text: message(bob, said(text), **where))


# Errors


@MODELS
@STREAM
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
    ],
)
def test_a_provider_s_error_keeps_its_status_and_the_model_is_asked_once(
    claude: Anthropic, llm: ScriptedLLM, model: str, stream: bool, status: int, kind: str
) -> None:
    llm.script(Reply.failing(status, "the provider says no"), times=None)
    found, error = refusal(claude, model=model, stream=stream)
    assert (found, error["type"]) == (status, kind)
    assert "the provider says no" in error["message"]
    assert len(llm.requests()) == 1


@MODELS
def test_an_error_after_the_first_text_is_an_error_event(claude: Anthropic, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("one two three four", cut_after=2, token_delay=0.05))
    stream = claude.messages.create(
        model=model, max_tokens=100, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    events: list[Any] = []
    with pytest.raises(APIStatusError) as raised:
        events.extend(stream)
    assert "".join(e.delta.text for e in events if e.type == "content_block_delta").startswith("one two")
    assert "Traceback" not in str(raised.value.body)
    assert len(llm.requests()) == 1


@STREAM
def test_an_agent_that_is_not_there_is_404_and_a_broken_one_503(
    claude: Anthropic, llm: ScriptedLLM, stream: bool
) -> None:
    status, error = refusal(claude, model="agno/nobody", stream=stream)
    assert (status, error["type"]) == (404, "not_found_error")
    assert "release-manager" in error["message"]
    assert refusal(claude, model="agno/broken", stream=stream)[0] == 503


@STREAM
@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("by", ["the client", "a header"])
def test_a_failed_agent_is_not_run_again(proxy: Proxy, llm: ScriptedLLM, stream: bool, status: int, by: str) -> None:
    llm.script(*(Reply.failing(status, number) for number in ("first", "second", "third")))
    headers = {"x-litellm-num-retries": "2"} if by == "a header" else {}
    retries = 2 if by == "the client" else 0
    with Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=retries, timeout=30) as client:
        found, error = refusal(client, stream=stream, extra_headers=headers)
    assert found == status
    assert "first" in error["message"]
    assert len(llm.requests()) == 1


@pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
@pytest.mark.parametrize("key", ["sk-wrong", ""])
def test_a_wrong_key_is_401(proxy: Proxy, header: str, key: str) -> None:
    body = {"model": "agno/echo", "max_tokens": 10, "messages": said("hi")}
    headers = {header: f"Bearer {key}" if header == "Authorization" else key} if key else {}
    response = httpx.post(f"{proxy.url}/v1/messages", json=body, headers=headers, timeout=30)
    assert response.status_code == 401


def test_keys_of_the_file_are_taken_from_both_headers(keyed: Keyed, llm: ScriptedLLM) -> None:
    proxy, ada, _ = keyed
    with (
        Anthropic(base_url=proxy.url, api_key=ada, max_retries=0) as by_key,
        Anthropic(base_url=proxy.url, auth_token=ada, max_retries=0) as by_token,
    ):
        assert text_of(message(by_key)) == text_of(message(by_token)) == "echo: hi"


@pytest.mark.parametrize("who", ["master", "ada"])
def test_tokens_are_counted_without_a_run(keyed: Keyed, llm: ScriptedLLM, who: str) -> None:
    proxy, ada, _ = keyed
    with of(proxy, ada if who == "ada" else proxy.key) as client:
        counted = client.messages.count_tokens(model="agno/echo", messages=[{"role": "user", "content": "hello there"}])
    assert counted.input_tokens > 1
    assert llm.requests() == []


# Leaving


def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM) -> None:
    leave_stream(proxy, llm, {"model": "agno/echo", "max_tokens": 100}, "/v1/messages")


@STREAM
def test_leaving_before_the_first_token_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    leave_early(proxy, llm, {"model": "agno/echo", "max_tokens": 100, "stream": stream}, "/v1/messages")
