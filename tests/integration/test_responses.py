"""Agents behind /v1/responses, as the OpenAI SDK sees them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseReasoningItem, ResponseStreamEvent
from pydantic import BaseModel

from tests.integration.checks import Keyed, asked, leave_early, leave_stream, never_meet, open_keyed
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

MODELS = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
STREAM = pytest.mark.parametrize("stream", [False, True])

PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
"""A picture of one pixel."""

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
EVENTS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(ResponseStreamEvent)[0])
}
"""OpenAI's types of events by their names."""
ENDS = ("response.completed", "response.incomplete", "response.failed")


def respond(client: OpenAI, said: Any = "hi", *, stream: bool = False, **more: Any) -> Response:
    """The answer; of a stream what its last event holds."""
    body = {"model": "agno/echo", "input": said, **more}
    if not stream:
        answer: Response = client.responses.create(**body)
        return answer
    return ended(events_of(client, said, **more))


def events_of(client: OpenAI, said: Any = "hi", **more: Any) -> list[Any]:
    """All events of a streamed answer."""
    body = {"model": "agno/echo", "input": said, **more}
    return list(client.responses.create(**body, stream=True))


def sent_events(proxy: Proxy, said: Any = "hi", **more: Any) -> list[dict[str, Any]]:
    """All events of a streamed answer, as they were sent."""
    body = {"model": "agno/echo", "input": said, "stream": True, **more}
    head = {"Authorization": f"Bearer {proxy.key}"}
    with httpx.stream("POST", f"{proxy.url}/v1/responses", json=body, headers=head, timeout=30) as response:
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {")]


def sent_back(answer: Response) -> list[dict[str, Any]]:
    """The items of an answer as a client sends them again."""
    return [item.model_dump(exclude_none=True) for item in answer.output]


def ended(events: list[Any]) -> Response:
    assert [event.type for event in events if event.type in ENDS] == [events[-1].type]
    answer: Response = events[-1].response
    return answer


def refusal(client: OpenAI, said: Any = "hi", **more: Any) -> tuple[int, dict[str, Any]]:
    """The status and the error object that a call is refused with."""
    with pytest.raises(APIStatusError) as raised:
        respond(client, said, **more)
    assert "Traceback" not in raised.value.response.text
    return raised.value.status_code, json.loads(raised.value.response.text)["error"]


def fresh() -> str:
    return str(uuid.uuid4())


# Answers


@MODELS
@STREAM
def test_an_answer_has_the_text_and_the_real_usage(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply("Good morning.", usage=Usage(prompt=111, completion=22, cached=10)))
    answer = respond(client, model=model, stream=stream)
    assert answer.output_text == "Good morning."
    assert (answer.status, answer.model, answer.object) == ("completed", model, "response")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (111, 22, 133)
    assert answer.usage.input_tokens_details.cached_tokens == 10


def test_a_stream_s_events_are_in_order_and_of_one_answer(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("a b c d e f", token_delay=0.03))
    events = events_of(client)
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds.count("response.output_text.delta") > 2
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "a b c d e f"
    answers = [event.response for event in events if hasattr(event, "response")]
    assert {(answer.id, answer.model) for answer in answers} == {(ended(events).id, "agno/echo")}


@STREAM
async def test_the_async_client_gets_answers(aclient: AsyncOpenAI, llm: ScriptedLLM, stream: bool) -> None:
    answer: Any = await aclient.responses.create(model="agno/echo", input="hi", stream=stream)
    if stream:
        answer = [event async for event in answer][-1].response
    assert answer.output_text == "echo: hi"


@STREAM
def test_reasoning_is_an_item_before_the_message(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("42", reasoning=("Let me ", "think."), usage=Usage(prompt=5, completion=9, reasoning=4)))
    answer = respond(client, stream=stream)
    thought, said = answer.output
    assert isinstance(thought, ResponseReasoningItem)
    assert "Let me think." in thought.model_dump_json()
    assert said.type == "message"
    assert answer.output_text == "42"
    assert answer.usage is not None
    assert answer.usage.output_tokens_details.reasoning_tokens == 4


STREAMS = {
    "reasoning": ((Reply("42", reasoning=("Let me ", "think.")),), ["reasoning", "message"]),
    "reasoning again": (
        (
            Reply("First", reasoning=("Hm.",), tool_calls=(ToolCall.of("add", a=20, b=22),)),
            Reply("It is 42.", reasoning=("Hm ", "again."), token_delay=0.03),
        ),
        ["reasoning", "message", "reasoning"],
    ),
    "reasoning late": (
        (Reply("First", tool_calls=(ToolCall.of("add", a=20, b=22),)), Reply("It is 42.", reasoning=("Hm.",))),
        ["message", "reasoning"],
    ),
    "reasoning and a call": (
        (Reply(reasoning=("Hm.",), tool_calls=(ToolCall.of("weather", city="Paris"),)),),
        ["reasoning", "function_call"],
    ),
}
"""What the model answers, and the items of the answer."""


@pytest.mark.parametrize(("replies", "items"), STREAMS.values(), ids=STREAMS)
def test_events_have_every_field_that_openai_documents(
    proxy: Proxy, llm: ScriptedLLM, replies: tuple[Reply, ...], items: list[str]
) -> None:
    llm.script(*replies)
    events = sent_events(proxy, tools=[WEATHER])
    for event in events:
        EVENTS[event["type"]].model_validate({**event, "model": ""})
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == items
    assert [item["id"] for item in output] == added
    assert {item["id"] for item in done} == set(added)
    for event in events:
        about = event["item"]["id"] if "item" in event else event.get("item_id")
        assert about is None or event["output_index"] == added.index(about)
    for item in output:
        if item["type"] == "reasoning":
            thought = [event["delta"] for event in events if event.get("item_id") == item["id"] and "delta" in event]
            assert item["summary"] == [{"type": "summary_text", "text": "".join(thought)}]
            assert item in done


def test_a_whole_answer_has_every_field_that_openai_documents(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("42", reasoning=("Let me ", "think.")))
    answer = httpx.post(
        f"{proxy.url}/v1/responses",
        json={"model": "agno/echo", "input": "hi"},
        headers={"Authorization": f"Bearer {proxy.key}"},
        timeout=30,
    ).json()
    thought, _ = Response.model_validate(answer).output
    assert isinstance(thought, ResponseReasoningItem)
    assert [part.text for part in thought.summary] == ["Let me think."]


@STREAM
@pytest.mark.parametrize("case", [name for name in STREAMS if name != "reasoning and a call"])
def test_what_an_answer_held_may_be_sent_back_and_reasoning_is_no_part_of_what_was_said(
    client: OpenAI, llm: ScriptedLLM, stream: bool, case: str
) -> None:
    llm.script(*STREAMS[case][0], Reply("As I said."))
    answer = respond(client, "What is it?", model="agno/tooled", stream=stream)
    said = [{"role": "user", "content": "What is it?"}, *sent_back(answer), {"role": "user", "content": "Sure?"}]
    assert respond(client, said, model="agno/tooled", stream=stream).output_text == "As I said."
    messages = [message for message in llm.requests()[-1].body["messages"] if message["role"] != "system"]
    assert [message["content"] for message in messages if message["role"] == "user"] == ["What is it?", "Sure?"]
    own_calls = any(reply.tool_calls for reply in STREAMS[case][0])
    assert ("tool" in [message["role"] for message in messages]) is own_calls


@STREAM
def test_an_answer_with_text_reasoning_and_a_call_goes_on_from_what_was_sent_back(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    calls = Reply("Let me see.", tool_calls=(ToolCall.of("add", a=20, b=22),))
    asks = Reply(reasoning=("Now the weather.",), tool_calls=(ToolCall.of("weather", city="Paris"),))
    llm.script(calls, asks, Reply("42, and sunny."))
    more: Any = {"model": "agno/tooled", "tools": [WEATHER], "stream": stream}
    answer = respond(client, "What is it?", **more)
    (call,) = [item for item in answer.output if isinstance(item, ResponseFunctionToolCall)]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    said = [{"role": "user", "content": "What is it?"}, *sent_back(answer), result]
    assert respond(client, said, **more).output_text == "42, and sunny."
    messages = llm.requests()[-1].body["messages"]
    assert [message["content"] for message in messages if message["role"] == "tool"] == ["42", "sunny"]


def test_reasoning_is_streamed_as_it_comes(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("42", reasoning=("Let me ", "think."), token_delay=0.03))
    events = events_of(client)
    thought = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(thought) == "Let me think."


@MODELS
@STREAM
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete_and_says_why(
    client: OpenAI,
    llm: ScriptedLLM,
    model: str,
    stream: bool,
    finish: Literal["length", "content_filter"],
    reason: str,
) -> None:
    llm.script(Reply("cut off he", finish=finish))
    answer = respond(client, model=model, stream=stream)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == reason
    assert answer.output_text == "cut off he"


def test_sampling_parameters_reach_the_model(client: OpenAI, llm: ScriptedLLM) -> None:
    respond(client, temperature=0.25, top_p=0.5, max_output_tokens=77)
    body = llm.requests()[0].body
    assert (body["temperature"], body["top_p"], body["max_completion_tokens"]) == (0.25, 0.5, 77)


@STREAM
def test_tools_of_the_agent_run_and_usage_is_the_sum(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(
        Reply("Adding.", tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Usage(prompt=10, completion=3)),
        Reply("It is 3.", usage=Usage(prompt=20, completion=4)),
    )
    answer = respond(client, "1 + 2?", model="agno/tooled", stream=stream)
    assert answer.output_text == "Adding.\n\nIt is 3."
    assert {item.type for item in answer.output} == {"message"}
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (30, 7)


# Going on after an answer


@MODELS
@STREAM
def test_previous_response_id_goes_on_with_the_conversation(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    first = respond(client, "My name is Ada.", model=model, stream=stream)
    second = respond(client, "I like tea.", model=model, stream=stream, previous_response_id=first.id)
    respond(client, "What do you know?", model=model, stream=stream, previous_response_id=second.id)
    body = json.dumps(llm.requests()[-1].body)
    said = ["My name is Ada.", "echo: My name is Ada.", "I like tea.", "echo: I like tea.", "What do you know?"]
    assert sorted(said, key=body.index) == said
    assert [body.count(json.dumps(text)) for text in said] == [1] * 5


def test_the_id_of_any_event_and_of_a_chat_completion_goes_on(client: OpenAI, llm: ScriptedLLM) -> None:
    events = events_of(client, "one")
    ids = {event.response.id for event in events if hasattr(event, "response")}
    chat = client.chat.completions.create(model="agno/echo", messages=[{"role": "user", "content": "one"}])
    for previous in (*ids, chat.id):
        respond(client, "two", previous_response_id=previous)
        assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


def test_an_answer_can_be_gone_on_after_twice(client: OpenAI, llm: ScriptedLLM) -> None:
    first = respond(client, "one")
    for text in ("two", "another two"):
        respond(client, text, previous_response_id=first.id)
        assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", text)]


@STREAM
def test_an_answer_names_the_one_before(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    first = respond(client, stream=stream)
    assert first.previous_response_id is None
    assert respond(client, previous_response_id=first.id, stream=stream).previous_response_id == first.id


def test_instructions_are_of_one_request(client: OpenAI, llm: ScriptedLLM) -> None:
    first = respond(client, "one", instructions="Be brief.")
    assert [text for _, text in asked(llm)] == ["Be brief.", "one"]
    second = respond(client, "two", previous_response_id=first.id)
    assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]
    respond(client, "three", previous_response_id=second.id, instructions="Sing.")
    assert [text for _, text in asked(llm)] == ["Sing.", "one", "echo: one", "two", "echo: two", "three"]


@STREAM
def test_calls_of_the_agent_s_tools_are_remembered(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=20, b=22)), "It is 42.")
    first = respond(client, "20 + 22?", model="agno/tooled", stream=stream)
    respond(client, "And before?", model="agno/tooled", stream=stream, previous_response_id=first.id)
    messages = llm.requests()[-1].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant", "user"]


@STREAM
def test_a_client_that_sends_all_items_again_is_understood(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    question = f"20 + 22, {fresh()}?"
    llm.script(Reply(tool_calls=(ToolCall.of("add", a=20, b=22),)), Reply("It is 42.", reasoning=("Hm.",)))
    first = respond(client, question, model="agno/tooled", stream=stream)
    items: list[Any] = [{"role": "user", "content": question}]
    items += [item.model_dump(exclude_none=True) for item in first.output]
    respond(client, [*items, {"role": "user", "content": "And before?"}], model="agno/tooled", stream=stream)
    messages = llm.requests()[-1].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize(
    "previous",
    [
        "resp_unknown",
        "chatcmpl-unknown",
        "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOmFnbm87bW9kZWxfaWQ6YTtyZXNwb25zZV9pZDpjaGF0Y21wbC1ub25l",
        "resp_YTtiO3Jlc3BvbnNlX2lkOgA=",
        "x" * 5_000,
    ],
)
@STREAM
def test_an_unknown_answer_cannot_be_gone_on_after(
    client: OpenAI, llm: ScriptedLLM, previous: str, stream: bool
) -> None:
    status, error = refusal(client, previous_response_id=previous, stream=stream)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert llm.requests() == []


def test_an_answer_of_another_agent_cannot_be_gone_on_after(client: OpenAI, llm: ScriptedLLM) -> None:
    first = respond(client)
    assert refusal(client, model="agno/routed", previous_response_id=first.id)[0] == 400


def test_what_is_not_stored_cannot_be_gone_on_after(client: OpenAI, llm: ScriptedLLM) -> None:
    first = respond(client, "one", store=False)
    assert refusal(client, previous_response_id=first.id)[0] == 400
    kept = respond(client, "one")
    assert refusal(client, previous_response_id=kept.id, store=False)[0] == 400


@pytest.mark.parametrize("conversation", [str, lambda name: {"id": name}])
@STREAM
def test_a_conversation_is_a_session(client: OpenAI, llm: ScriptedLLM, conversation: Any, stream: bool) -> None:
    where = conversation(f"conv_{fresh()}")
    respond(client, "one", conversation=where, stream=stream)
    respond(client, "two", conversation=where, stream=stream)
    assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


def test_a_conversation_and_an_answer_before_exclude_each_other(client: OpenAI, llm: ScriptedLLM) -> None:
    first = respond(client)
    assert refusal(client, previous_response_id=first.id, conversation="conv_1")[0] == 400


@pytest.mark.parametrize("by", ["x-agentllm-session-id", "x-openwebui-chat-id", "x-litellm-session-id", "metadata"])
@STREAM
def test_a_session_is_given_by_header_or_metadata(client: OpenAI, llm: ScriptedLLM, by: str, stream: bool) -> None:
    name = fresh()
    where: dict[str, Any] = {"metadata": {"session_id": name}} if by == "metadata" else {"extra_headers": {by: name}}
    respond(client, "one", stream=stream, **where)
    respond(client, "two", stream=stream, **where)
    assert asked(llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


# Tools of the client, and pictures


def calls_of(answer: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in answer.output if item.type == "function_call"]


def results(answer: Response, *texts: str) -> list[dict[str, Any]]:
    """The results of the tools that it calls."""
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": text}
        for call, text in zip(calls_of(answer), texts, strict=True)
    ]


@MODELS
@STREAM
@pytest.mark.parametrize("whole", [False, True])
def test_a_tool_of_the_client_is_called_and_its_result_answered(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool, whole: bool
) -> None:
    llm.script(Reply.calling(ToolCall.of("weather", city="Paris")), "It is warm.")
    question = f"Weather? {fresh()}"
    first = respond(client, question, model=model, stream=stream, tools=[WEATHER])
    (call,) = calls_of(first)
    assert (first.status, call.name, json.loads(call.arguments)) == ("completed", "weather", {"city": "Paris"})
    assert "The weather of a city." in json.dumps(llm.requests()[0].body)
    items: list[Any] = [{"role": "user", "content": question}] if whole else []
    items += [item.model_dump(exclude_none=True) for item in first.output] if whole else []
    previous = {} if whole else {"previous_response_id": first.id}
    items += results(first, "22 degrees")
    second = respond(client, items, model=model, stream=stream, tools=[WEATHER], **previous)
    assert second.output_text == "It is warm."
    body = json.dumps(llm.requests()[-1].body)
    assert [body.count(text) for text in (question, "22 degrees")] == [1, 1]
    assert body.index("Paris") < body.index("22 degrees")


@STREAM
def test_several_tools_of_the_client_are_called_at_once(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("weather", city="Paris"), ToolCall.of("weather", city="Rome")), "Warm.")
    first = respond(client, "Weather?", stream=stream, tools=[WEATHER])
    assert [json.loads(call.arguments)["city"] for call in calls_of(first)] == ["Paris", "Rome"]
    respond(client, results(first, "22", "25"), stream=stream, tools=[WEATHER], previous_response_id=first.id)
    messages = llm.requests()[-1].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert [message["content"] for message in messages[2:]] == ["22", "25"]


def test_results_of_another_s_call_are_refused(keyed: Keyed, llm: ScriptedLLM) -> None:
    proxy, *keys = keyed
    llm.script(Reply.calling(ToolCall.of("weather", city="of ada")))
    with of(proxy, keys[0]) as ada, of(proxy, keys[1]) as bob:
        first = respond(ada, "Weather?", tools=[WEATHER])
        own = respond(bob, "Weather?", tools=[WEATHER])
        for previous in ({}, {"previous_response_id": own.id}):
            assert refusal(bob, results(first, "22"), tools=[WEATHER], **previous)[0] == 400
    assert len(llm.requests()) == 2


@STREAM
def test_a_picture_reaches_the_model(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    content = [{"type": "input_image", "image_url": PNG}, {"type": "input_text", "text": "What is it?"}]
    respond(client, [{"role": "user", "content": content}], stream=stream)
    assert PNG in json.dumps(llm.requests()[-1].body)


# Whose it is


@pytest.fixture(scope="module")
def keyed(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with open_keyed(running_llm, tmp_path_factory.mktemp("keyed")) as opened:
        yield opened


def of(proxy: Proxy, key: str) -> OpenAI:
    return OpenAI(base_url=proxy.base_url, api_key=key, max_retries=0, timeout=30)


@STREAM
def test_another_s_answer_is_unknown(keyed: Keyed, llm: ScriptedLLM, stream: bool) -> None:
    proxy, *keys = keyed
    with of(proxy, keys[0]) as ada, of(proxy, keys[1]) as bob, of(proxy, proxy.key) as master:
        mine = respond(ada, "of ada", stream=stream).id
        chat = ada.chat.completions.create(model="agno/echo", messages=[{"role": "user", "content": "of ada"}]).id
        before = len(llm.requests())
        for previous in (mine, chat):
            unknown = refusal(bob, previous_response_id="chatcmpl-unknown")[1]
            for stranger in (bob, master):
                status, error = refusal(stranger, previous_response_id=previous)
                assert (status, error["type"]) == (400, unknown["type"])
        assert len(llm.requests()) == before
        for previous in (mine, chat):
            respond(ada, "again", previous_response_id=previous, stream=stream)
            assert asked(llm) == [("user", "of ada"), ("assistant", "echo: of ada"), ("user", "again")]


@pytest.mark.parametrize("metadata", [{}, {"session_id": "shared"}, {"user_api_key_user_id": "ada", "a": "b"}])
def test_two_people_never_meet_in_one_session(keyed: Keyed, llm: ScriptedLLM, metadata: Mapping[str, str]) -> None:
    proxy, *keys = keyed
    where: Any = {"metadata": metadata, "extra_headers": {"x-agentllm-session-id": fresh()}}
    with of(proxy, keys[0]) as ada, of(proxy, keys[1]) as bob:
        never_meet(llm, lambda text: respond(ada, text, **where), lambda text: respond(bob, text, **where))


def test_previous_response_id_goes_on_after_a_restart(running_llm: ScriptedLLM, tmp_path: Path) -> None:
    environment = llm_environment(running_llm)
    previous: dict[str, Any] = {}
    for text in ("one", "two"):
        with Proxy(tmp_path, environment) as proxy, of(proxy, proxy.key) as client:
            previous = {"previous_response_id": respond(client, text, **previous).id}
    assert asked(running_llm) == [("user", "one"), ("assistant", "echo: one"), ("user", "two")]


# Errors


@MODELS
@STREAM
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_provider_s_error_keeps_its_status_and_the_model_is_asked_once(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool, status: int
) -> None:
    llm.script(Reply.failing(status, "the provider says no"), times=None)
    found, error = refusal(client, model=model, stream=stream)
    assert found == status
    assert set(error) >= {"message", "type", "param", "code"}
    assert "the provider says no" in error["message"]
    assert len(llm.requests()) == 1


@MODELS
def test_an_error_after_the_first_text_ends_the_stream_as_failed(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("one two three four", cut_after=2, token_delay=0.05))
    events = events_of(client, model=model)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text.startswith("one two")
    failed = ended(events)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "server_error"
    assert "Traceback" not in events[-1].model_dump_json()
    assert len(llm.requests()) == 1


@STREAM
def test_an_agent_that_is_not_there_is_404_and_a_broken_one_503(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    status, error = refusal(client, model="agno/nobody", stream=stream)
    assert (status, error["type"]) == (404, "not_found_error")
    assert refusal(client, model="agno/broken", stream=stream)[0] == 503


@STREAM
@pytest.mark.parametrize("by", ["the client", "a header"])
def test_a_failed_agent_is_not_run_again(proxy: Proxy, llm: ScriptedLLM, stream: bool, by: str) -> None:
    llm.script(Reply.failing(500, "first"), Reply.failing(500, "second"), Reply.failing(500, "third"))
    headers = {"x-litellm-num-retries": "2"} if by == "a header" else {}
    retries = 2 if by == "the client" else 0
    with OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=retries, timeout=30) as client:
        assert "first" in refusal(client, stream=stream, extra_headers=headers)[1]["message"]
    assert len(llm.requests()) == 1


@pytest.mark.parametrize("key", ["sk-wrong", ""])
def test_a_wrong_key_is_401(proxy: Proxy, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    response = httpx.post(f"{proxy.base_url}/responses", json={"model": "agno/echo", "input": "hi"}, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


@STREAM
def test_the_background_is_refused(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    status, error = refusal(client, background=True, stream=stream)
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", "background")
    assert llm.requests() == []


@pytest.mark.parametrize("who", ["master", "ada"])
def test_an_answer_cannot_be_fetched_deleted_cancelled_or_listed(keyed: Keyed, llm: ScriptedLLM, who: str) -> None:
    proxy, ada, _ = keyed
    with of(proxy, ada if who == "ada" else proxy.key) as client:
        given = respond(client).id
        calls = (
            client.responses.retrieve,
            client.responses.delete,
            client.responses.cancel,
            client.responses.input_items.list,
        )
        for call in calls:
            with pytest.raises(APIStatusError) as raised:
                call(given)
            assert raised.value.status_code == 400
            assert "previous_response_id" in raised.value.response.json()["error"]["message"]


def test_a_conversation_is_not_compacted(proxy: Proxy, llm: ScriptedLLM) -> None:
    body = {"model": "agno/echo", "input": "hi"}
    headers = {"Authorization": f"Bearer {proxy.key}"}
    response = httpx.post(f"{proxy.base_url}/responses/compact", json=body, headers=headers, timeout=30)
    assert response.status_code == 400
    assert llm.requests() == []


# Leaving


def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM) -> None:
    leave_stream(proxy, llm, {"model": "agno/echo", "input": "hi"}, "/v1/responses")


@STREAM
def test_leaving_before_the_first_token_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    leave_early(proxy, llm, {"model": "agno/echo", "input": "hi", "stream": stream}, "/v1/responses")
