"""The official wire, kept: what clients of /v1/chat/completions get, to the letter.

`RENEW_WIRE_SNAPSHOTS=1` writes the files of tests/data/wire anew; see `wire.check_wire`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import llm_environment
from tests.integration.wire import check_wire
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

USAGE = Usage(prompt=11, completion=3)
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
LETTER = ToolCall("send", '{"to": "Ann", "text": "hello"}', id="call_1")
LOOK: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@pytest.fixture(scope="module")
def client(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    environment = {**llm_environment(running_llm), "AGENTLLM_AGENTS": str(Path(__file__).parent / "wire_agents")}
    with Proxy(tmp_path_factory.mktemp("wire"), environment) as proxy:
        headers = {"Authorization": f"Bearer {proxy.key}"}
        with httpx.Client(base_url=proxy.base_url, headers=headers, timeout=30) as client:
            yield client


def ask(client: httpx.Client, agent: str, *, stream: bool, text: str = "hi", **more: Any) -> httpx.Response:
    body = {"model": f"agno/{agent}", "messages": [{"role": "user", "content": text}], "stream": stream, **more}
    if stream:
        body["stream_options"] = {"include_usage": True}
    return client.post("/chat/completions", json=body)


def check(name: str, answer: httpx.Response, *, stream: bool) -> None:
    check_wire(f"{name}.{'sse' if stream else 'json'}", answer)


@STREAM
def test_an_answer(client: httpx.Client, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("Good morning, Ann.", reasoning=("She said hi.",), usage=USAGE))
    check("answer", ask(client, "speaker", stream=stream), stream=stream)


@STREAM
def test_an_agent_s_own_work(client: httpx.Client, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall("weigh", '{"grams": 1500}', id="call_1")), Reply("1.5 kg", usage=USAGE))
    check("work", ask(client, "speaker", stream=stream), stream=stream)


@STREAM
def test_a_call_of_a_client_s_tool(client: httpx.Client, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("Let me look.", tool_calls=(ToolCall("look", '{"place": "sky"}', id="call_1"),), usage=USAGE))
    check("tool_call", ask(client, "speaker", stream=stream, tools=[LOOK]), stream=stream)


@STREAM
def test_an_approval_in_words(client: httpx.Client, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("I write to Ann.", tool_calls=(LETTER,), usage=USAGE))
    answer = ask(client, "sender", stream=stream, text=f"write to Ann {stream}")
    check("approval", answer, stream=stream)


@STREAM
def test_an_approval_for_a_client_that_has_tools(client: httpx.Client, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("I write to Ann.", tool_calls=(LETTER,), usage=USAGE))
    answer = ask(client, "sender", stream=stream, text=f"send it {stream}", tools=[LOOK])
    check("approval_call", answer, stream=stream)


@STREAM
def test_an_error_before_the_first_byte(client: httpx.Client, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.failing(429, "slow down"))
    check("error_before", ask(client, "speaker", stream=stream), stream=stream)


def test_an_error_after_the_first_byte(client: httpx.Client, llm: ScriptedLLM) -> None:
    llm.script(Reply("one two three four", cut_after=2, token_delay=0.05))
    check("error_after", ask(client, "speaker", stream=True), stream=True)


def test_a_request_that_cannot_be_served(client: httpx.Client, llm: ScriptedLLM) -> None:
    check("refused", ask(client, "speaker", stream=False, n=2), stream=False)
