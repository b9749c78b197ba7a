"""`agentllm hotswap` as a process, against agents of a running proxy and against ADK's own server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import llm_environment
from tests.proxy import Proxy, clean_environment, free_port
from tests.scripted_llm import Reply, ScriptedLLM

pytestmark = pytest.mark.timeout(300)

START_SECONDS = 120.0


@pytest.fixture(scope="module")
def proxy(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    environment = {**llm_environment(running_llm), "AGENTLLM_SWAP_MODELS": "openai/*"}
    with Proxy(tmp_path_factory.mktemp("hotswap"), environment) as running:
        yield running


def command(*arguments: str, key: str | None = Proxy.key) -> subprocess.CompletedProcess[str]:
    """What `agentllm hotswap` prints, and what it ends with."""
    program = Path(sys.executable).with_name("agentllm")
    environment = clean_environment(**({"A2A_API_KEY": key} if key else {}))
    return subprocess.run(
        [str(program), "hotswap", *arguments], env=environment, capture_output=True, text=True, timeout=90, check=False
    )


@pytest.fixture
def url(proxy: Proxy) -> str:
    return f"{proxy.url}/agentllm/a2a/echo"


def talk(url: str, *arguments: str, context: str) -> str:
    done = command("--url", url, "--context", context, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def new() -> str:
    return uuid.uuid4().hex


def body(llm: ScriptedLLM) -> dict[str, Any]:
    """The last request to a model."""
    return dict(llm.requests()[-1].body)


def test_model_and_prompt_are_set_before_the_message_and_told_after_it(url: str, llm: ScriptedLLM) -> None:
    llm.script(Reply("Concisely: hi."), model="gpt-4o")
    context = new()
    arguments = ("--config", "--message", "hi", "--prompt", "You are concise.", "--model", "openai", "gpt-4o")
    said = talk(url, *arguments, context=context)
    answered, told = said.split("Concisely: hi.")
    assert "openai/gpt-4o" in answered
    assert "openai/gpt-4o" in told
    assert "You are concise." in told
    assert len(llm.requests()) == 1
    assert [message["content"] for message in body(llm)["messages"]] == ["You are concise.", "hi"]


def test_the_conversation_goes_on_in_the_next_call_and_other_contexts_know_nothing_of_it(
    url: str, llm: ScriptedLLM
) -> None:
    context = new()
    talk(url, "--model", "openai/gpt-4o", "--prompt", "Be brief.", "--message", "first", context=context)
    talk(url, "--message", "second", context=context)
    assert body(llm)["model"] == "gpt-4o"
    assert [m["content"] for m in body(llm)["messages"] if m["role"] == "user"] == ["first", "second"]
    talk(url, "--message", "third", context=new())
    assert body(llm)["model"] == "gpt-scripted"
    assert "Be brief." not in json.dumps(body(llm))


def test_an_empty_prompt_brings_back_the_agent_s_own(url: str, llm: ScriptedLLM) -> None:
    context = new()
    said = talk(url, "--prompt", "Be brief.\nVery.", context=context)
    assert "Be brief.\nVery." in said
    said = talk(url, "--prompt", "", "--message", "hi", context=context)
    assert "Be brief." not in said
    assert [message["role"] for message in body(llm)["messages"]] == ["user"]


def test_the_status_is_that_of_the_chat(proxy: Proxy, url: str) -> None:
    context = new()
    headers = {"Authorization": f"Bearer {proxy.key}", "x-agentllm-session-id": context}
    asked = {"model": "agno/echo", "messages": [{"role": "user", "content": "[HOTSWAP:GET_CONFIG]"}]}
    talk(url, "--model", "openai/gpt-4o", context=context)
    answer = httpx.post(f"{proxy.base_url}/chat/completions", json=asked, headers=headers, timeout=30).json()
    assert talk(url, "--config", context=context).strip() == answer["choices"][0]["message"]["content"].strip()


def test_an_answer_is_printed_as_it_comes(url: str) -> None:
    program = Path(sys.executable).with_name("agentllm")
    arguments = ["--url", url, "--context", new(), "--message", "!pace 10\n!tokens 30"]
    with subprocess.Popen(
        [str(program), "hotswap", *arguments], env=clean_environment(A2A_API_KEY=Proxy.key), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        first = os.read(process.stdout.fileno(), 1_000)
        began = time.monotonic()
        rest = process.stdout.read()
        assert time.monotonic() - began > 1
        assert process.wait(30) == 0
    assert (first + rest).decode().split() == [f"w{number}" for number in range(30)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--model", "nobody/nothing"), 6, "openai/*"),
        (("--model", "anthropic", "claude"), 6, "openai/*"),
        (("--message", "!pace 10\n!tokens 100", "--timeout", "1"), 5, "--timeout"),
        (("--message", "a wrong key of the provider"), 1, "gpt-scripted"),
        (("--model", "openai/[gpt]"), 6, "HOTSWAP:MODEL"),
        ((), 2, "--message"),
        (("--model", "openai/gpt-4o", "again"), 2, "again"),
    ],
)
def test_what_goes_wrong_is_said_and_told_by_the_status(
    url: str, llm: ScriptedLLM, arguments: tuple[str, ...], code: int, said: str
) -> None:
    llm.script(Reply.failing(401), contains="a wrong key")
    done = command("--url", url, "--context", new(), *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "http://[::1"), "--url"),
        (("--url", "http://ä..b"), "--url"),
        (("--url", "http://localhost", "--key", "sk-ä"), "--key"),
    ],
)
def test_what_no_request_can_be_made_of_is_said_in_a_line(arguments: tuple[str, ...], said: str) -> None:
    done = command("--config", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "sk-" not in done.stderr


def test_a_server_that_is_not_there_an_agent_that_is_not_and_a_wrong_key_are_told_apart(proxy: Proxy, url: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/agentllm/a2a/echo"
    found = [
        command("--url", nowhere, "--config"),
        command("--url", f"{proxy.url}/agentllm/a2a/nobody", "--config"),
        command("--url", url, "--config", key="sk-wrong"),
        command("--url", url, "--config", key=None),
    ]
    assert [one.returncode for one in found] == [3, 4, 7, 7]
    assert all(one.stderr.startswith("agentllm: ") and "Traceback" not in one.stderr for one in found)


ADK_AGENT = """
from google.adk.agents import LlmAgent
from google.adk.models.lite_llm import LiteLlm

root_agent = LlmAgent(name="remote", model=LiteLlm(model="openai/gpt-adk"), instruction="Be kind.")
"""


@contextmanager
def adk_server(folder: Path, llm: ScriptedLLM, *, streaming: bool) -> Iterator[str]:
    """`adk api_server --a2a` with one agent; gives the URL of its card."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/a2a/remote"
    agent = folder / "agents" / "remote"
    agent.mkdir(parents=True)
    (agent / "__init__.py").write_text("from . import agent\n")
    (agent / "agent.py").write_text(ADK_AGENT)
    card = {
        "name": "remote",
        "description": "A remote agent.",
        "url": url,
        "version": "1",
        "protocolVersion": "0.3.0",
        "capabilities": {"streaming": streaming},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [],
    }
    (agent / "agent.json").write_text(json.dumps(card))
    environment = clean_environment(OPENAI_API_KEY="sk-scripted", OPENAI_API_BASE=llm.openai_base)
    program = Path(sys.executable).with_name("adk")
    arguments = ["api_server", "--a2a", "--port", str(port), "--session_service_uri", "memory://", "agents"]
    with (
        (folder / "adk.log").open("wb") as log,
        subprocess.Popen([str(program), *arguments], cwd=folder, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            card_url = f"{url}/.well-known/agent-card.json"
            deadline = time.monotonic() + START_SECONDS
            while not _answers(card_url):
                assert process.poll() is None, (folder / "adk.log").read_text()
                assert time.monotonic() < deadline, (folder / "adk.log").read_text()
                time.sleep(0.1)
            yield card_url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("streaming", [True, False])
def test_an_agent_of_adk_s_own_server_is_talked_to_by_its_card(
    llm: ScriptedLLM, tmp_path: Path, streaming: bool
) -> None:
    llm.script(Reply("Hello from afar."), Reply("Again."), model="gpt-adk")
    with adk_server(tmp_path, llm, streaming=streaming) as card:
        assert talk(card, "--message", "hi", "--timeout", "60", context="demo") == "Hello from afar.\n"
        assert talk(card, "--message", "and now?", "--timeout", "60", context="demo") == "Again.\n"
    said = [message["content"] for message in body(llm)["messages"] if message["role"] == "user"]
    assert json.dumps(said).count("hi") == 1
    assert "and now?" in json.dumps(said)
