"""What an agent does while it answers, as each kind of client sees it through the running proxy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import APIError, OpenAI

from tests.integration.checks import WITHIN
from tests.integration.conftest import llm_environment
from tests.proxy import ROOT, Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

CHAT = {"x-openwebui-chat-id": "chat-of-work"}
HI = [{"role": "user", "content": "hi"}]
PING = b": ping"


@pytest.fixture(scope="module")
def telling(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that tells of work in words, and that bridges a silence of one second."""
    folder = tmp_path_factory.mktemp("telling")
    config = folder / "proxy_config.yaml"
    ours = (ROOT / "proxy_config.yaml").read_text()
    assert "ping_interval_seconds: 10" in ours
    config.write_text(ours.replace("ping_interval_seconds: 10", "ping_interval_seconds: 1"))
    environment = {**llm_environment(running_llm), "AGENTLLM_SHOW_WORK": "1"}
    with Proxy(folder / "data", environment, config=config) as running:
        yield running


def client_of(proxy: Proxy) -> OpenAI:
    return OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30)


def script_work(llm: ScriptedLLM) -> None:
    """Two turns of the model: tools that answer, fail and say much, and then the answer."""
    calls = (ToolCall.of("add", a=1, b=2), ToolCall.of("explode"), ToolCall.of("recite", lines=400))
    llm.script(Reply("Let me see.", tool_calls=calls), model="gpt-working")
    llm.script(Reply("It is 3."), model="gpt-working")


def sse(proxy: Proxy, model: str, headers: dict[str, str] | None = None, messages: Any = None) -> list[Any]:
    """The events of a streamed answer, as they are on the wire; comments as their text."""
    body = {"model": model, "stream": True, "messages": messages or HI}
    response = httpx.post(
        f"{proxy.base_url}/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {proxy.key}", **(headers or {})},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    events = [event for event in response.text.split("\n\n") if event]
    assert all(event.startswith(("data: ", ": ")) for event in events)
    return [json.loads(event[6:]) if event.startswith("data: {") else event for event in events]


def texts(events: list[Any]) -> str:
    deltas = [event["choices"][0]["delta"] for event in events if isinstance(event, dict) and event.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


def items(events: list[Any]) -> list[dict[str, Any]]:
    return [event["item"] for event in events if isinstance(event, dict) and "item" in event]


def statuses(events: list[Any]) -> list[dict[str, Any]]:
    return [event["event"]["data"] for event in events if isinstance(event, dict) and "event" in event]


def work_in(chunks: list[Any]) -> list[dict[str, Any]]:
    """The neutral work in the chunks of an SDK."""
    fields = [getattr(chunk.choices[0].delta, "provider_specific_fields", None) for chunk in chunks if chunk.choices]
    return [one["agentllm_work"] for one in fields if one and "agentllm_work" in one]


def streamed(proxy: Proxy, model: str) -> list[Any]:
    with client_of(proxy) as client:
        return list(client.chat.completions.create(model=model, messages=HI, stream=True))  # type: ignore[arg-type]


def reasoning_of(chunks: list[Any]) -> str:
    return "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks if c.choices)


# Neutral, for every client


def test_a_client_gets_work_as_it_goes_on_beside_the_text(proxy: Proxy, llm: ScriptedLLM) -> None:
    script_work(llm)
    chunks = streamed(proxy, "agno/working")
    work = work_in(chunks)
    assert [(one["name"], one["status"]) for one in work] == [
        ("add", "started"),
        ("explode", "started"),
        ("recite", "started"),
        ("add", "finished"),
        ("explode", "failed"),
        ("recite", "finished"),
    ]
    assert (work[3]["arguments"], work[3]["result"]) == ({"a": 1, "b": 2}, "3")
    assert "secret" not in json.dumps(work)
    assert "4,400" in work[5]["result"]
    assert len(work[5]["result"]) < 2_100
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Let me see.\n\nIt is 3."
    assert reasoning_of(chunks) == ""
    assert len({chunk.id for chunk in chunks}) == len({chunk.created for chunk in chunks}) == 1


def test_a_plain_answer_has_all_work_in_a_list(proxy: Proxy, llm: ScriptedLLM) -> None:
    script_work(llm)
    with client_of(proxy) as client:
        message: Any = client.chat.completions.create(model="agno/working", messages=HI).choices[0].message  # type: ignore[arg-type]
    work = message.provider_specific_fields["agentllm_work"]
    assert sorted(one["status"] for one in work) == ["failed", "finished", "finished", *["started"] * 3]
    assert "secret" not in json.dumps(work)
    assert message.content == "Let me see.\n\nIt is 3."
    assert getattr(message, "reasoning_content", None) is None


def script_crew(llm: ScriptedLLM) -> None:
    delegation = ToolCall.of("delegate_task_to_member", member_id="adder", task="add one and two")
    llm.script(Reply(tool_calls=(delegation,), usage=Usage(10, 1)), model="gpt-crew")
    llm.script(Reply("Done.", usage=Usage(20, 2)), model="gpt-crew")
    llm.script(Reply(tool_calls=(ToolCall.of("add", a=1, b=2),), usage=Usage(100, 10)), model="gpt-adder")
    llm.script(Reply("It is 3.", usage=Usage(200, 20)), model="gpt-adder")


@pytest.mark.parametrize("stream", [True, False])
def test_a_team_answers_with_its_leader_s_words_and_its_members_are_seen_at_work(
    proxy: Proxy, llm: ScriptedLLM, stream: bool
) -> None:
    script_crew(llm)
    with client_of(proxy) as client:
        if stream:
            options: Any = {"stream": True, "stream_options": {"include_usage": True}}
            chunks: Any = list(client.chat.completions.create(model="agno/crew", messages=HI, **options))  # type: ignore[arg-type]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            work, usage = work_in(chunks), next(chunk.usage for chunk in chunks if chunk.usage)
        else:
            answer: Any = client.chat.completions.create(model="agno/crew", messages=HI)  # type: ignore[arg-type]
            said, usage = answer.choices[0].message.content, answer.usage
            work = answer.choices[0].message.provider_specific_fields["agentllm_work"]
    assert said == "Done."
    assert [(one["kind"], one["name"], one["status"], one["by"]) for one in work] == [
        ("member", "adder", "started", None),
        ("tool", "add", "started", "adder"),
        ("tool", "add", "finished", "adder"),
        ("member", "adder", "finished", None),
    ]
    assert work[0]["arguments"] == {"task": "add one and two"}
    assert (usage.prompt_tokens, usage.completion_tokens) == (330, 33)


@pytest.mark.parametrize("headers", [{}, CHAT])
def test_a_workflow_answers_with_its_last_step_s_words_and_its_steps_are_seen(
    proxy: Proxy, llm: ScriptedLLM, headers: dict[str, str]
) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), Reply("a draft"), model="gpt-drafter")
    llm.script(Reply("final"), model="gpt-finisher")
    events = sse(proxy, "agno/process", headers)
    assert texts(events) == "final"
    if headers:
        assert ["draft" in one["description"] for one in statuses(events)] == [True] * 4 + [False] * 3
        assert [item["type"] for item in items(events)] == ["function_call", "function_call_output"]
    else:
        deltas = [e["choices"][0]["delta"] for e in events if isinstance(e, dict) and e.get("choices")]
        fields = [delta.get("provider_specific_fields") or {} for delta in deltas]
        work = [one["agentllm_work"] for one in fields if "agentllm_work" in one]
        assert [(one["name"], one["status"]) for one in work if one["kind"] == "step"] == [
            ("draft", "started"),
            ("draft", "finished"),
            ("finish", "started"),
            ("finish", "finished"),
        ]


# Open WebUI


def test_open_webui_gets_a_status_line_and_cards_that_it_does_not_run(proxy: Proxy, llm: ScriptedLLM) -> None:
    script_work(llm)
    events = sse(proxy, "agno/working", CHAT)
    assert texts(events) == "Let me see.\n\nIt is 3."
    made = [item for item in items(events) if item["type"] == "function_call"]
    outputs = {item["call_id"]: item for item in items(events) if item["type"] == "function_call_output"}
    assert [item["name"] for item in made] == ["add", "explode", "recite"]
    assert all(item["call_id"].startswith("work_") for item in made)
    assert {item["call_id"] for item in made} == outputs.keys()
    assert outputs[made[0]["call_id"]]["output"] == [{"type": "input_text", "text": "3"}]
    assert "secret" not in json.dumps(events)
    assert "4,400" in outputs[made[2]["call_id"]]["output"][0]["text"]
    assert [one["done"] for one in statuses(events)] == [False] * 6 + [True]
    assert "agentllm_work" not in json.dumps(events)
    assert events[-1] == "data: [DONE]"


def test_a_call_gets_its_output_also_where_the_answer_fails(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), Reply.failing(500), model="gpt-working")
    events = sse(proxy, "agno/working", CHAT)
    assert [item["type"] for item in items(events)] == ["function_call", "function_call_output"]
    assert "error" in events[-1]


def test_an_answer_without_work_has_no_status_line(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("plain"))
    events = sse(proxy, "agno/echo", CHAT)
    assert texts(events) == "plain"
    assert statuses(events) == items(events) == []


@pytest.mark.parametrize("with_ids", [True, False], ids=["connection headers", "chat id alone"])
def test_the_next_turn_goes_on_where_cards_are_sent_back(proxy: Proxy, llm: ScriptedLLM, with_ids: bool) -> None:
    chat = {"x-openwebui-chat-id": f"chat-{time.time_ns()}"}
    first = second = chat
    if with_ids:
        first = {**chat, "x-agentllm-message-id": "a1", "x-agentllm-parent-message-id": ""}
        second = {**chat, "x-agentllm-message-id": "a2", "x-agentllm-parent-message-id": "a1"}
    script_work(llm)
    shown = sse(proxy, "agno/working", first)
    llm.reset()
    llm.script(Reply("As I said."), model="gpt-working")
    assert texts(sse(proxy, "agno/working", second, _sent_back(shown))) == "As I said."
    asked = llm.requests()[0].body["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "tool", "tool", "tool", "assistant", "user"]
    assert [call["function"]["name"] for call in asked[1]["tool_calls"]] == ["add", "explode", "recite"]
    assert not any(call["id"].startswith("work_") for call in asked[1]["tool_calls"])
    assert len(next(m for m in asked if m["role"] == "tool" and len(m["content"]) > 100)["content"]) == 4_400


def _sent_back(events: list[Any]) -> list[dict[str, Any]]:
    """The messages of a second turn, as Open WebUI makes them of what it was sent in the first."""
    calls = [
        {
            "id": item["call_id"],
            "type": "function",
            "function": {"name": item["name"], "arguments": item["arguments"]},
        }
        for item in items(events)
        if item["type"] == "function_call"
    ]
    results = [
        {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"][0]["text"]}
        for item in items(events)
        if item["type"] == "function_call_output"
    ]
    before, after = texts(events).split("\n\n")
    return [
        *HI,
        {"role": "assistant", "content": before, "tool_calls": calls},
        *results,
        {"role": "assistant", "content": after},
        {"role": "user", "content": "and?"},
    ]


# In words, for the others


@pytest.mark.parametrize("stream", [True, False])
def test_other_clients_read_of_work_as_reasoning(telling: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    script_work(llm)
    if stream:
        chunks = streamed(telling, "agno/working")
        said, lines = "".join(chunk.choices[0].delta.content or "" for chunk in chunks), reasoning_of(chunks)
    else:
        with client_of(telling) as client:
            message: Any = client.chat.completions.create(model="agno/working", messages=HI).choices[0].message  # type: ignore[arg-type]
        said, lines = message.content, message.reasoning_content
    assert said == "Let me see.\n\nIt is 3."
    assert len(lines.splitlines()) == 6
    assert "4,400" in lines
    assert "secret" not in lines


def test_open_webui_reads_no_lines_of_work(telling: Proxy, llm: ScriptedLLM) -> None:
    script_work(llm)
    assert "reasoning_content" not in json.dumps(sse(telling, "agno/working", CHAT))


def test_the_responses_api_is_read_by_its_sdk_and_shows_no_work(telling: Proxy, llm: ScriptedLLM) -> None:
    script_work(llm)
    with client_of(telling) as client, client.responses.stream(model="agno/working", input="hi") as stream:
        events = list(stream)
        answer = stream.get_final_response()
    assert answer.output_text == "Let me see.\n\nIt is 3."
    assert "agentllm_work" not in repr(events)
    assert [item.type for item in answer.output] == ["message"]


def test_the_messages_api_is_read_by_its_sdk_and_shows_no_work(telling: Proxy, llm: ScriptedLLM) -> None:
    script_work(llm)
    with Anthropic(base_url=telling.url, api_key=telling.key, max_retries=0, timeout=30) as client:
        asked: Any = {"model": "agno/working", "max_tokens": 100, "messages": HI}
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == "Let me see.\n\nIt is 3."  # type: ignore[union-attr]


# Silence


@pytest.mark.parametrize("headers", [{}, CHAT])
def test_a_silence_is_bridged_before_and_amid_an_answer(
    telling: Proxy, llm: ScriptedLLM, headers: dict[str, str]
) -> None:
    llm.script(Reply("late and slow", first_delay=1.6, token_delay=1.3))
    events = sse(telling, "agno/echo", headers)
    comments = [index for index, event in enumerate(events) if event == PING.decode()]
    first = next(index for index, event in enumerate(events) if isinstance(event, dict))
    assert comments
    assert comments[0] < first < comments[-1]
    assert texts(events) == "late and slow"


def test_openai_s_sdk_reads_on_over_a_silence(telling: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("late and slow", first_delay=1.6, token_delay=1.3))
    chunks = streamed(telling, "agno/echo")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "late and slow"


def test_an_error_after_a_silence_is_still_an_error_to_openai_s_sdk(telling: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("never whole", first_delay=1.6, cut_after=1))
    with pytest.raises(APIError):
        streamed(telling, "agno/echo")


def test_leaving_in_a_bridged_silence_stops_the_model_call(telling: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("late", first_delay=20))
    body = {"model": "agno/echo", "stream": True, "messages": HI}
    headers = {"authorization": f"Bearer {telling.key}"}
    with httpx.stream("POST", f"{telling.base_url}/chat/completions", json=body, headers=headers, timeout=30) as answer:
        assert next(answer.iter_bytes()).startswith(PING)
    left_at = time.monotonic()
    (call,) = llm.wait_for(lambda seen: len(seen) == 1 and not seen[0].open, timeout=30)
    assert call.disconnected_at is not None
    assert call.disconnected_at - left_at < WITHIN


def test_leaving_open_webui_s_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), Reply("and on ", endless=True), model="gpt-working")
    body = {"model": "agno/working", "stream": True, "messages": HI}
    headers = {"authorization": f"Bearer {proxy.key}", **CHAT}
    with httpx.stream("POST", f"{proxy.base_url}/chat/completions", json=body, headers=headers, timeout=30) as answer:
        seen = b""
        for piece in answer.iter_bytes():
            seen += piece
            if b"and on" in seen:
                break
    left_at = time.monotonic()
    calls = llm.wait_for(lambda seen: len(seen) == 2 and not any(call.open for call in seen), timeout=30)
    assert calls[1].disconnected_at is not None
    assert calls[1].disconnected_at - left_at < WITHIN


# Reasoning


@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
def test_what_a_model_thinks_goes_out_as_reasoning(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("42", reasoning=("Let me ", "think.")), times=2)
    chunks = streamed(proxy, model)
    assert reasoning_of(chunks) == "Let me think."
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "42"
    with client_of(proxy) as client:
        message: Any = client.chat.completions.create(model=model, messages=HI).choices[0].message  # type: ignore[arg-type]
    assert (message.reasoning_content, message.content) == ("Let me think.", "42")
