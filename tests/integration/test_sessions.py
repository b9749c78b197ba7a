"""Sessions through the running proxy: what is remembered, for whom, and what is not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.integration.checks import asked
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

HEADERS = pytest.mark.parametrize("header", ["x-agentllm-session-id", "x-openwebui-chat-id"])
MODELS = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])


def say(
    client: OpenAI,
    content: str,
    headers: Mapping[str, str] | None = None,
    *,
    model: str = "agno/echo",
    stream: bool = False,
) -> str:
    """The answer to one new message."""
    answer: Any = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}], stream=stream, extra_headers=headers
    )
    if not stream:
        return str(answer.choices[0].message.content)
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def person(chat: str, user: str) -> dict[str, str]:
    """The headers of Open WebUI for a chat of one of its people."""
    return {"x-openwebui-chat-id": chat, "x-openwebui-user-id": user}


def session() -> str:
    return str(uuid.uuid4())


@HEADERS
@MODELS
@pytest.mark.parametrize("stream", [False, True])
def test_a_session_remembers_the_turn_before(
    client: OpenAI, llm: ScriptedLLM, model: str, header: str, stream: bool
) -> None:
    chat = {header: session()}
    say(client, "My name is Ada.", chat, model=model, stream=stream)
    say(client, "What is my name?", chat, model=model, stream=stream)
    body = json.dumps(llm.requests()[-1].body)
    assert "My name is Ada." in body
    assert "echo: My name is Ada." in body
    assert body.index("echo: My name is Ada.") < body.index("What is my name?")


def test_without_a_session_id_the_transcript_is_all_there_is(client: OpenAI, llm: ScriptedLLM) -> None:
    say(client, "one")
    say(client, "two")
    assert asked(llm) == [("user", "two")]
    client.chat.completions.create(
        model="agno/echo",
        messages=[
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
    )
    assert asked(llm) == [("user", "a"), ("assistant", "b"), ("user", "c")]


def test_a_client_that_sends_the_whole_transcript_gets_it_once(client: OpenAI, llm: ScriptedLLM) -> None:
    chat = {"x-openwebui-chat-id": session()}
    say(client, "a", chat)
    client.chat.completions.create(
        model="agno/echo",
        messages=[
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "echo: a"},
            {"role": "user", "content": "b"},
        ],
        extra_headers=chat,
    )
    assert asked(llm) == [("user", "a"), ("assistant", "echo: a"), ("user", "b")]


def test_a_transcript_that_was_edited_wins_over_what_was_stored(client: OpenAI, llm: ScriptedLLM) -> None:
    chat = {"x-agentllm-session-id": session()}
    for text in ("a", "b"):
        say(client, text, chat)
    client.chat.completions.create(
        model="agno/echo",
        messages=[
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "echo: a"},
            {"role": "user", "content": "B, edited"},
        ],
        extra_headers=chat,
    )
    assert asked(llm) == [("user", "a"), ("assistant", "echo: a"), ("user", "B, edited")]
    say(client, "c", chat)
    assert [text for role, text in asked(llm) if role == "user"] == ["a", "B, edited", "c"]


@pytest.mark.parametrize("model", ["agno/tooled", "agno/gemini-tooled"])
def test_tool_calls_of_earlier_turns_are_remembered(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    chat = {"x-agentllm-session-id": session()}
    llm.script(Reply.calling(ToolCall.of("add", a=20, b=22)), "It is 42.")
    say(client, "20 + 22?", chat, model=model)
    say(client, "And before?", chat, model=model)
    body = json.dumps(llm.requests()[-1].body)
    assert body.index('"add"') < body.index("It is 42.") < body.index("And before?")
    assert "42" in body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["agno/tooled", "agno/gemini-tooled"])
def test_what_a_tool_returned_may_hold_halves_of_characters(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    chat = {"x-agentllm-session-id": session()}
    llm.script(Reply.calling(ToolCall.of("list_files")), "There is one.", "It is café.txt.")
    answer: Any = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Which files?"}], extra_headers=chat, stream=stream
    )
    if stream:
        assert "one" in "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    assert say(client, "What is it called?", chat, model=model) == "It is café.txt."
    assert "caf\ufffd.txt" in json.dumps(llm.requests()[-1].body, ensure_ascii=False)


@pytest.mark.parametrize("model", ["agno/counting", "agno/counting-flow"])
def test_session_state_is_kept_for_the_session_and_for_no_other(client: OpenAI, llm: ScriptedLLM, model: str) -> None:
    mine, other = {"x-agentllm-session-id": session()}, {"x-agentllm-session-id": session()}
    for chat, expected in ((mine, 1), (mine, 2), (other, 1), (mine, 3)):
        llm.script(Reply.calling(ToolCall.of("count")), "done")
        say(client, "count", chat, model=model)
        assert f"count is {expected}" in json.dumps(llm.requests()[-1].body["messages"][-1])


async def test_fifty_parallel_sessions_do_not_mix(aclient: AsyncOpenAI, llm: ScriptedLLM) -> None:
    async def converse(name: str) -> str:
        for text in (f"I am {name}.", f"{name} likes tea.", "what did I say?"):
            stream = await aclient.chat.completions.create(
                model="agno/echo",
                messages=[{"role": "user", "content": text}],
                stream=True,
                extra_headers={"x-agentllm-session-id": f"parallel-{name}"},
            )
            answer = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        return answer

    names = [f"person{number:02}" for number in range(50)]
    answers = await asyncio.gather(*(converse(name) for name in names))
    for name, answer in zip(names, answers, strict=True):
        assert f"I am {name}." in answer
        assert f"{name} likes tea." in answer
        assert not [other for other in names if other != name and other in answer]


async def test_parallel_turns_of_one_session_are_all_remembered(aclient: AsyncOpenAI, llm: ScriptedLLM) -> None:
    chat = {"x-agentllm-session-id": session()}

    async def turn(text: str) -> None:
        await aclient.chat.completions.create(
            model="agno/echo", messages=[{"role": "user", "content": text}], extra_headers=chat
        )

    await asyncio.gather(*(turn(f"message {number}") for number in range(10)))
    await turn("last")
    said = [text for role, text in asked(llm) if role == "user"]
    assert sorted(said[:-1]) == sorted(f"message {number}" for number in range(10))


def test_two_people_of_a_front_end_with_one_chat_id_never_meet(client: OpenAI, llm: ScriptedLLM) -> None:
    chat = session()
    say(client, "Ada's secret", person(chat, "ada"))
    say(client, "what did I say?", person(chat, "bob"))
    assert "Ada's secret" not in json.dumps(llm.requests()[-1].body)
    say(client, "what did I say?", person(chat, "ada"))
    assert "Ada's secret" in json.dumps(llm.requests()[-1].body)


def test_two_agents_in_one_chat_have_a_conversation_each(client: OpenAI, llm: ScriptedLLM) -> None:
    chat = {"x-openwebui-chat-id": session()}
    say(client, "for echo only", chat)
    say(client, "hello", chat, model="agno/tooled")
    assert "for echo only" not in json.dumps(llm.requests()[-1].body)


@pytest.mark.parametrize("claim", [{"user": "ada"}, {"metadata": {"user_id": "ada", "user_api_key_user_id": "ada"}}])
def test_a_body_never_chooses_whose_conversation_it_is(client: OpenAI, llm: ScriptedLLM, claim: dict[str, Any]) -> None:
    chat = session()
    say(client, "Ada's secret", person(chat, "ada"))
    client.chat.completions.create(
        model="agno/echo",
        messages=[{"role": "user", "content": "what did I say?"}],
        extra_headers={"x-openwebui-chat-id": chat},
        extra_body=claim,
    )
    assert "Ada's secret" not in json.dumps(llm.requests()[-1].body)


def test_background_tasks_of_open_webui_leave_the_conversation_alone(client: OpenAI, llm: ScriptedLLM) -> None:
    chat = {"x-openwebui-chat-id": session()}
    say(client, "### Task:\nGenerate a concise title\n<chat_history>\nUSER: hi\n</chat_history>", chat)
    say(client, "hi", chat)
    assert asked(llm) == [("user", "hi")]


def test_a_failed_turn_is_not_remembered(client: OpenAI, llm: ScriptedLLM) -> None:
    chat = {"x-agentllm-session-id": session()}
    llm.script(Reply.failing(500))
    with pytest.raises(Exception, match="scripted error"):
        say(client, "lost", chat)
    say(client, "kept", chat)
    assert asked(llm) == [("user", "kept")]


def test_an_overlong_session_id_is_refused(client: OpenAI, llm: ScriptedLLM) -> None:
    with pytest.raises(Exception, match="512"):
        say(client, "hi", {"x-agentllm-session-id": "x" * 513})
    assert llm.requests() == []


def test_a_session_goes_on_after_a_restart_and_no_log_shows_what_was_said(
    running_llm: ScriptedLLM, tmp_path: Path
) -> None:
    environment = llm_environment(running_llm)
    for text in ("my very own words", "after"):
        with Proxy(tmp_path, environment) as proxy, OpenAI(base_url=proxy.base_url, api_key=proxy.key) as client:
            say(client, text, {"x-agentllm-session-id": "my-very-own-session"})
            assert "very own" not in proxy.log
    assert asked(running_llm) == [
        ("user", "my very own words"),
        ("assistant", "echo: my very own words"),
        ("user", "after"),
    ]
