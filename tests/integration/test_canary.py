"""Nothing that people say, are answered or are known by comes out of the proxy's log, or in somebody else's error."""

from __future__ import annotations

import json
import re
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import AGENTS, llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

MARK = "tweety"
"""In every canary, and in nothing else."""

SETTLE_SECONDS = 0.3
"""In which what is logged beside an answer is in the log."""

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])

LEAKY = '''
"""Agents that take and give away what they are told, and AgentLLM's log in full."""

import logging

from agno.agent import Agent
from agno.workflow import Workflow

from agentllm.llm.providers import openai

logging.getLogger("agentllm").setLevel(logging.{level})


def save(file_name: str, text: str) -> str:
    """Save a file."""
    return f"saved {{text}} as {{file_name}}"


def refuse(file_name: str) -> str:
    """Fail to read a file."""
    raise ValueError(f"there is no file {{file_name}}")


def leaky() -> Agent:
    """Has tools for files."""
    return Agent(name="leaky", model=openai("gpt-leaky"), tools=[save, refuse], telemetry=False)


def angry(run_input) -> None:
    """Fail with what was asked."""
    raise RuntimeError(f"never say {{run_input.input_content}}") from ValueError(str(run_input.input_content))


def blind(step_input):
    """Fail with what was asked."""
    raise ValueError(f"cannot read {{step_input.input}}")


def hooked() -> Agent:
    """Has a hook that fails, which Agno passes over."""
    return Agent(name="hooked", model=openai("gpt-leaky"), pre_hooks=[angry], telemetry=False)


def blinded() -> Workflow:
    """Fails in its only step."""
    return Workflow(name="blinded", steps=[blind], telemetry=False)


__all__ = ["leaky", "hooked", "blinded"]
'''


class Canaries:
    """A proxy, and requests to it that hold canaries wherever a client can put them.

    Those of one request have a number of their own, so that an answer can be seen to have no others.
    """

    def __init__(self, proxy: Proxy, store: Path) -> None:
        self.proxy = proxy
        self.store = store
        self.number = ""
        self._read = 0

    def new(self) -> None:
        """Begin a request."""
        self.number = secrets.token_hex(4)

    def __call__(self, where: str) -> str:
        """A canary of the request; `where` tells which it was if it is found."""
        return f"{MARK}-{where}-{self.number}"

    def headers(self, **more: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.proxy.key}",
            "x-agentllm-session-id": self("session"),
            "x-openwebui-chat-id": self("chat"),
            "x-openwebui-user-id": self("person"),
            "x-openwebui-user-email": f"{self('email')}@example.org",
            "x-openwebui-user-name": self("name"),
            "x-agentllm-message-id": self("message-id"),
            "x-litellm-session-id": self("litellm-session"),
            "x-anything-else": self("header"),
            "User-Agent": self("user-agent"),
            "Cookie": f"token={self('cookie')}",
            **more,
        }

    def body(self, **more: object) -> dict[str, Any]:
        return {
            "model": "agno/leaky",
            "messages": [
                {"role": "system", "content": self("system")},
                {"role": "user", "content": self("earlier")},
                {"role": "assistant", "content": self("answered")},
                {"role": "user", "content": self("asked"), "name": self("name-of-user")},
            ],
            "metadata": {"session_id": self("body-session"), "files": self("file-name"), self("key"): "value"},
            "user": self("user"),
            **more,
        }

    def post(self, body: object, **headers: str) -> httpx.Response:
        """The response, after a look that neither it nor the log holds what it must not."""
        content = body if isinstance(body, str) else json.dumps(body)
        response = httpx.post(
            f"{self.proxy.base_url}/chat/completions",
            content=content,
            headers=self.headers(**{"Content-Type": "application/json", **headers}),
            timeout=60,
        )
        self.check(response.text)
        return response

    def check(self, seen: str = "") -> None:
        """Nothing is in the log, and in `seen` only what is this request's own."""
        assert [found for found in found_in(seen) if not found.endswith(self.number)] == []
        time.sleep(SETTLE_SECONDS)
        log = self.proxy.log
        new, self._read = log[self._read :], len(log)
        assert found_in(new) == [], context(new)
        assert self.proxy.key not in new


def found_in(text: str) -> list[str]:
    return sorted(set(re.findall(rf"{MARK}[\w-]*", text)))


def context(log: str) -> str:
    """The lines of the log that hold a canary."""
    return "\n".join(line[:1_000] for line in log.splitlines() if MARK in line)


@pytest.fixture(scope="module", params=["usual", "talkative"])
def running(
    request: pytest.FixtureRequest, running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Canaries]:
    """With the log as it is by itself, and with all that AgentLLM has to say and LiteLLM's own of each request."""
    folder = tmp_path_factory.mktemp("birds")
    agents = folder / "agents"
    agents.mkdir()
    is_talkative = request.param == "talkative"
    (agents / "leaky.py").write_text(LEAKY.format(level="DEBUG" if is_talkative else "INFO"))
    environment = {
        **llm_environment(running_llm),
        "AGENTLLM_AGENTS": f"{AGENTS}:{agents}",
        **({"LITELLM_LOG": "INFO"} if is_talkative else {}),
    }
    with Proxy(folder, environment) as proxy:
        yield Canaries(proxy, folder / "data" / "agentllm.sqlite3")


@pytest.fixture
def canaries(running: Canaries, llm: ScriptedLLM) -> Canaries:
    running.new()
    return running


@STREAM
def test_an_answer_with_tool_calls(canaries: Canaries, llm: ScriptedLLM, stream: bool) -> None:
    call = ToolCall.of("save", file_name=canaries("tool-file"), text=canaries("tool-text"))
    llm.script(Reply.calling(call), Reply(f"It is {canaries('answer')}.", reasoning=(canaries("thought"),)))
    response = canaries.post(canaries.body(stream=stream))
    assert response.status_code == 200
    assert canaries("answer") in response.text
    assert canaries("tool-text") in json.dumps(llm.requests()[-1].body)


@STREAM
def test_a_tool_that_fails(canaries: Canaries, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("refuse", file_name=canaries("tool-file"))), canaries("answer"))
    assert canaries.post(canaries.body(stream=stream)).status_code == 200
    assert canaries("tool-file") in json.dumps(llm.requests()[-1].body)


@STREAM
@pytest.mark.parametrize(("agent", "status", "place"), [("hooked", 200, "in angry"), ("blinded", 500, "in blind")])
def test_code_of_an_agent_that_fails(
    canaries: Canaries, llm: ScriptedLLM, agent: str, status: int, place: str, stream: bool
) -> None:
    response = canaries.post(canaries.body(model=f"agno/{agent}", stream=stream))
    assert response.status_code == status
    assert place in canaries.proxy.log
    assert "never say" not in response.text
    assert "cannot read" not in response.text


@STREAM
def test_a_tool_that_is_called_wrongly(canaries: Canaries, llm: ScriptedLLM, stream: bool) -> None:
    for call in (
        ToolCall.of("save", **{canaries("argument"): canaries("value")}),
        ToolCall(canaries("tool"), json.dumps({"a": canaries("value")})),
        ToolCall("save", f'{{"text": "{canaries("broken-json")}'),
    ):
        llm.script(Reply.calling(call), "sorry")
        assert canaries.post(canaries.body(stream=stream)).status_code == 200


@STREAM
@pytest.mark.parametrize("model", ["agno/leaky", "agno/gemini-echo", "agno/routed", "agno/team", "agno/flow"])
@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_model_that_fails(canaries: Canaries, llm: ScriptedLLM, stream: bool, model: str, status: int) -> None:
    llm.script(Reply.failing(status, f"You said {canaries('quoted')}."), times=None)
    assert canaries.post(canaries.body(model=model, stream=stream)).status_code == status


@STREAM
@pytest.mark.parametrize("model", ["agno/leaky", "agno/gemini-echo", "agno/routed"])
def test_a_model_that_breaks_off_or_talks_nonsense(
    canaries: Canaries, llm: ScriptedLLM, stream: bool, model: str
) -> None:
    text = " ".join([canaries("spoken")] * 6)
    for reply in (Reply(text, cut_after=3, token_delay=0.02), Reply(text, malformed=True), Reply()):
        llm.script(reply)
        canaries.post(canaries.body(model=model, stream=stream))


@STREAM
def test_a_store_that_cannot_be_written(canaries: Canaries, llm: ScriptedLLM, stream: bool) -> None:
    with closing(sqlite3.connect(canaries.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert canaries.post(canaries.body(stream=stream)).status_code == 503
    assert llm.requests() == []


@STREAM
@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "{c}-role", "content": "{c}-content"}]},
        {"messages": [{"role": "user", "content": [{"type": "{c}-type", "text": "{c}-content"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "{c}-file.pdf"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "{c}-url"}}]}]},
        {"messages": [{"role": "user", "content": "{c}-half \ud800"}]},
        {"messages": [{"role": "user", "content": {"{c}-name": "{c}-value"}}]},
        {"messages": [{"role": "system", "content": "{c}-system"}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": "{c}-calls"}]},
        {"messages": "{c}-messages"},
        {"messages": ["{c}-message"]},
        {"temperature": "{c}-temperature"},
        {"max_tokens": "{c}-tokens"},
        {"stop": ["{c}-stop", 1]},
        {"stop": {"{c}-name": "{c}-stop"}},
        {"response_format": {"type": "{c}-format"}},
        {"reasoning_effort": "{c}-effort"},
        {"{c}-parameter": "{c}-value"},
        {"n": "{c}-n"},
        {"timeout": "{c}-timeout"},
        {"tools": "{c}-tools"},
        {"tools": [{"type": "function", "function": {"name": "{c}-tool"}}], "tool_choice": "{c}-choice"},
        {"metadata": "{c}-metadata"},
        {"user": {"{c}-name": "{c}-user"}},
        {"model": "agno/{c}-agent"},
        {"model": ["{c}-model"]},
        {"stream_options": "{c}-options"},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_served(
    canaries: Canaries, llm: ScriptedLLM, wrong: dict[str, Any], stream: bool
) -> None:
    whole = json.dumps(canaries.body(stream=stream, **wrong))
    canaries.post(re.sub(r"\{c\}-(\w+)", lambda found: canaries(found[1]), whole))


def test_a_body_that_is_no_json(canaries: Canaries, llm: ScriptedLLM) -> None:
    whole = json.dumps(canaries.body())
    for body in (whole[:-5], f'"{canaries("text")}"', f"[{whole}]", canaries("bare"), ""):
        assert canaries.post(body).status_code >= 400


@pytest.mark.parametrize(
    "header", ["x-agentllm-session-id", "x-openwebui-chat-id", "x-openwebui-user-id", "x-agentllm-message-id"]
)
def test_an_id_that_is_too_long(canaries: Canaries, llm: ScriptedLLM, header: str) -> None:
    long = f"{'x' * 600} {canaries('long')}"
    assert canaries.post(canaries.body(), **{"x-agentllm-session-id": "", header: long}).status_code == 400
    assert canaries.post(canaries.body(metadata={"session_id": [canaries("list")]})).status_code < 500


@pytest.mark.parametrize("scheme", ["Bearer sk-", "Bearer ", "Basic ", ""])
def test_a_key_that_is_wrong(canaries: Canaries, llm: ScriptedLLM, scheme: str) -> None:
    response = canaries.post(canaries.body(), Authorization=f"{scheme}{canaries('api-key')}")
    assert response.status_code == 401
    assert MARK not in response.text


def test_a_person_who_is_not_to_be_believed(canaries: Canaries, llm: ScriptedLLM) -> None:
    response = canaries.post(canaries.body(), **{"x-openwebui-user-jwt": f"a.{canaries('token')}.b"})
    assert response.status_code == 401


@STREAM
@pytest.mark.parametrize("task", ["title_generation", "unheard-of"])
def test_a_background_task(canaries: Canaries, llm: ScriptedLLM, task: str, stream: bool) -> None:
    assert canaries.post(canaries.body(stream=stream), **{"x-agentllm-task": task}).status_code == 200


@STREAM
def test_a_client_that_leaves(canaries: Canaries, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply(f"{canaries('spoken')} ", endless=True))
    body = json.dumps(canaries.body(stream=stream)).encode()
    headers = canaries.headers(**{"Content-Type": "application/json", "Content-Length": str(len(body)), "Host": "me"})
    lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    host, _, port = canaries.proxy.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        llm.wait_for(lambda seen: len(seen) == 1)
        time.sleep(0.3)
    llm.wait_for(lambda seen: not any(call.open for call in seen))
    canaries.check()
