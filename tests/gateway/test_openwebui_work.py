"""An agent's work in Open WebUI's dialect, and only there."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.proxy import proxy_server
from litellm.types.utils import Delta, ModelResponseStream, StreamingChoices

from agentllm.catalog import Catalog
from agentllm.core import Event, Finished, Text, Usage, Work
from agentllm.gateway.chunks import Answer
from agentllm.gateway.hooks import AgentHooks
from agentllm.gateway.openwebui_work import shows_work, with_cards
from agentllm.gateway.work import WORK, work_fields

CHAT = {"x-openwebui-chat-id": "chat-1"}
ADDING = Work("work_1", "tool", "add", "started", {"a": 1})
ADDED = Work("work_1", "tool", "add", "finished", {"a": 1}, "1")
MEMBER = Work("work_2", "member", "researcher", "started")
MEMBER_DONE = Work("work_2", "member", "researcher", "finished", {}, "found")


class Broken(Exception):
    """What a stream fails with."""


async def chunks_of(events: Sequence[Event], failure: Exception | None = None) -> AsyncGenerator[Any, None]:
    """What LiteLLM gives its hooks of `events`: the chunks of one form pass it as they are."""
    answer = Answer("agno/demo", "chatcmpl-1")

    async def told() -> AsyncGenerator[Event, None]:
        for event in events:
            yield event

    async for chunk in answer.chunks(told()):
        if isinstance(chunk, ModelResponseStream):
            yield chunk
        elif chunk["text"]:
            yield ModelResponseStream(choices=[StreamingChoices(delta=Delta(content=chunk["text"]))])
    if failure:
        raise failure


async def shown(events: Sequence[Event], failure: Exception | None = None) -> list[Any]:
    """What Open WebUI is sent: its own events as objects, texts as they are."""
    sent: list[Any] = []
    try:
        async for chunk in with_cards(chunks_of(events, failure)):
            told = json.loads(chunk) if isinstance(chunk, str) else chunk.choices[0].delta.content
            sent.append(told)
    except Broken:
        sent.append("broken")
    return sent


def statuses(sent: list[Any]) -> list[tuple[str, bool]]:
    data = [one["event"]["data"] for one in sent if isinstance(one, dict) and "event" in one]
    return [(item["description"], item["done"]) for item in data]


def items(sent: list[Any]) -> list[dict[str, Any]]:
    return [one["item"] for one in sent if isinstance(one, dict) and "item" in one]


async def test_a_call_is_a_card_with_its_output_under_one_id() -> None:
    sent = await shown([ADDING, ADDED, Text("It is 1."), Finished("stop")])
    made, output = items(sent)
    assert (made["type"], made["name"], json.loads(made["arguments"])) == ("function_call", "add", {"a": 1})
    assert (output["type"], output["output"]) == ("function_call_output", [{"type": "input_text", "text": "1"}])
    assert made["call_id"] == output["call_id"] == "work_1"
    assert made["id"] != output["id"]
    assert sent[-1] == "It is 1."


async def test_cards_stand_behind_what_was_said_before() -> None:
    sent = await shown([Text("Let me."), ADDING, ADDED, Text("Done."), Finished("stop")])
    assert sent[0] == "Let me."
    indexes = [one["output_index"] for one in sent if isinstance(one, dict) and "item" in one]
    assert min(indexes) > 10_000  # more than there can be items


async def test_the_status_line_has_an_entry_for_each_start_and_end_and_one_when_all_is_done() -> None:
    sent = await shown([MEMBER, ADDING, ADDED, MEMBER_DONE, Text("a"), Text("b"), Usage(), Finished("stop")])
    assert [done for _, done in statuses(sent)] == [False, False, False, False, True]
    for (said, _), name in zip(statuses(sent), ["researcher", "add", "add", "researcher"], strict=False):
        assert name in said
    assert len({said for said, _ in statuses(sent)}) == 5


async def test_the_line_rests_once_the_work_is_done_and_the_words_go_on() -> None:
    sent = await shown([ADDING, Text("meanwhile"), ADDED, Text("after"), Finished("stop")])
    assert [done for _, done in statuses(sent[: sent.index("meanwhile") + 1])] == [False]
    assert statuses(sent[: sent.index("after")])[-1][1]


async def test_members_and_steps_have_no_card() -> None:
    sent = await shown([MEMBER, MEMBER_DONE, Text("a"), Finished("stop")])
    assert items(sent) == []


async def test_a_failed_tool_is_shown_as_failed() -> None:
    failed = Work("work_1", "tool", "add", "failed", {"a": 1}, "It failed.")
    sent = await shown([ADDING, failed, Text("sorry"), Finished("stop")])
    assert items(sent)[-1]["status"] == "failed"
    assert ["failed" in said for said, _ in statuses(sent)] == [False, True, True]


@pytest.mark.parametrize("failure", [None, Broken()])
async def test_no_call_is_left_without_an_output(failure: Exception | None) -> None:
    sent = await shown([ADDING, MEMBER, Finished("stop")], failure)
    assert [item["type"] for item in items(sent)] == ["function_call", "function_call_output"]
    assert statuses(sent)[-1][1]
    assert (sent[-1] == "broken") is (failure is not None)


@given(st.lists(st.sampled_from([ADDING, ADDED, MEMBER, MEMBER_DONE, Text("a"), Usage()]), max_size=12), st.booleans())
async def test_whatever_happens_every_call_is_answered_and_every_word_arrives(events: list[Event], fails: bool) -> None:
    sent = await shown(events, Broken() if fails else None)
    calls = {item["call_id"] for item in items(sent) if item["type"] == "function_call"}
    outputs = {item["call_id"] for item in items(sent) if item["type"] == "function_call_output"}
    assert calls <= outputs
    assert [one for one in sent if isinstance(one, str) and one != "broken"] == [
        event.text for event in events if isinstance(event, Text)
    ]
    assert not statuses(sent) or statuses(sent)[-1][1]


async def test_a_client_that_leaves_is_told_nothing_more() -> None:
    reading = with_cards(chunks_of([ADDING, ADDED, Text("a")]))
    await anext(reading)
    await reading.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(reading)


@pytest.mark.parametrize(
    ("headers", "shows"),
    [
        (CHAT, True),
        ({"x-agentllm-chat-id": "chat-1"}, True),
        ({"x-agentllm-chat-id": "chat-1", "x-agentllm-task": ""}, True),
        ({**CHAT, "x-agentllm-task": "title_generation"}, False),
        ({"x-openwebui-user-id": "u"}, False),
        ({}, False),
    ],
)
def test_only_chats_of_open_webui_show_work_in_its_way(headers: dict[str, str], shows: bool) -> None:
    assert shows_work(headers) is shows


@pytest.mark.parametrize(
    ("model", "headers"),
    [("gpt", {}), ("gpt", CHAT), (None, CHAT)],
)
def test_another_model_s_stream_is_given_back_as_it_is(
    model: str | None, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_server, "llm_router", None)
    stream = object()
    data = {"model": model, "proxy_server_request": {"headers": headers}}
    assert AgentHooks(Catalog({}, {})).async_post_call_streaming_iterator_hook(None, stream, data) is stream


@pytest.mark.parametrize("headers", [{}, {**CHAT, "x-agentllm-task": "x"}])
async def test_an_agent_s_work_is_left_as_it_is_for_everyone_else(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_server, "llm_router", None)
    data = {"model": "agno/demo", "proxy_server_request": {"headers": headers}}
    stream = AgentHooks(Catalog({}, {})).async_post_call_streaming_iterator_hook(None, chunks_of([ADDING]), data)
    assert [chunk.choices[0].delta.provider_specific_fields async for chunk in stream] == [{WORK: work_fields(ADDING)}]


async def test_an_agent_s_stream_for_a_chat_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_server, "llm_router", None)
    data = {"model": "agno/demo", "proxy_server_request": {"headers": CHAT}}
    stream = AgentHooks(Catalog({}, {})).async_post_call_streaming_iterator_hook(None, chunks_of([ADDING, ADDED]), data)
    assert all(isinstance(chunk, str) for chunk in [chunk async for chunk in stream][1:])
