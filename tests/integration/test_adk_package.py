"""The hot-swap agent as a package of ADK: `adk web`, `adk run` and `adk api_server --a2a`, each as a process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, SendMessageRequest

from agentllm.conversations.store import Store
from tests.integration.conftest import llm_environment
from tests.integration.stored import sqlite_url
from tests.proxy import ROOT, START_SECONDS, clean_environment, free_port
from tests.scripted_llm import ScriptedLLM

APP = "hotswap_agent"
SET = "[HOTSWAP:MODEL:openai/gpt-two]\n[HOTSWAP:PROMPT:Speak like a pirate.]"
ASK = "[HOTSWAP:GET_CONFIG]"
PARALLEL = 20

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A copy of the packages, beside which a server may keep what it likes."""
    return shutil.copytree(ROOT / "adk_agents", tmp_path / "adk_agents", ignore=shutil.ignore_patterns("__pycache__"))


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def environment(llm: ScriptedLLM) -> dict[str, str]:
    swap = {"AGENTLLM_MODEL": "openai/gpt-one", "AGENTLLM_SWAP_MODELS": "openai/gpt-*"}
    of_llm = {name: value for name, value in llm_environment(llm).items() if name != "AGENTLLM_AGENTS"}
    return clean_environment(**of_llm, **swap, ADK_DISABLE_LOCAL_STORAGE="1")


@contextmanager
def serving(llm: ScriptedLLM, folder: Path, port: int, *command: str) -> Iterator[str]:
    """The URL of a server of ADK, which ends with the block."""
    log = folder / "adk.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program("adk"), *command],
            cwd=folder,
            env=environment(llm),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start:\n{log.read_text()[-4_000:]}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/list-apps", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


async def say(client: httpx.AsyncClient, user: str, session: str, text: str) -> str:
    """The last text of the answer."""
    body = {
        "app_name": APP,
        "user_id": user,
        "session_id": session,
        "new_message": {"role": "user", "parts": [{"text": text}]},
    }
    answer = await client.post("/run", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[-1]["content"]["parts"][-1]["text"])


async def begin(client: httpx.AsyncClient, user: str) -> str:
    session = uuid.uuid4().hex
    answer = await client.post(f"/apps/{APP}/users/{user}/sessions/{session}", json={})
    assert answer.status_code == 200, answer.text
    return session


async def test_adk_web_keeps_what_is_set_for_each_session_in_our_database(
    llm: ScriptedLLM, agents: Path, tmp_path: Path
) -> None:
    store = Store(sa.make_url(sqlite_url(tmp_path)))
    store.create()
    store.close()
    uri = sqlite_url(tmp_path).replace("sqlite:", "sqlite+aiosqlite:")
    more = ("--no-reload", "--session_service_uri", uri, str(agents))
    port = free_port()
    with serving(llm, tmp_path, port, "web", "--port", str(port), *more) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            assert APP in (await client.get("/list-apps")).json()
            ann, bob = await begin(client, "ann"), await begin(client, "bob")
            told = await say(client, "ann", ann, SET)
            assert "openai/gpt-two" in told
            assert "pirate" in told
            assert llm.requests() == []
            await say(client, "ann", ann, "hello")
            await say(client, "bob", bob, "hello")
            await say(client, "ann", await begin(client, "ann"), "hello")
    asked = [(request.model, "pirate" in str(request.body)) for request in llm.requests()]
    assert asked == [("gpt-two", True), ("gpt-one", False), ("gpt-one", False)]
    assert "HOTSWAP" not in str(llm.requests()[0].body["messages"])

    port = free_port()
    with serving(llm, tmp_path, port, "web", "--port", str(port), *more) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            assert "openai/gpt-two" in await say(client, "ann", ann, ASK)
            assert "openai/gpt-two" not in await say(client, "bob", bob, ASK)
    engine = sa.create_engine(sqlite_url(tmp_path))
    tables = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    assert {"sessions", "events", "conversations", "turns"} <= tables


async def test_parallel_sessions_of_adk_web_have_their_own_models_and_prompts(
    llm: ScriptedLLM, agents: Path, tmp_path: Path
) -> None:
    port = free_port()
    with serving(llm, tmp_path, port, "web", "--no-reload", "--port", str(port), str(agents)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:

            async def talk(number: int) -> None:
                user = f"user-{number % 2}"
                session = await begin(client, user)
                for turn in range(3):
                    mine = f"{number}-{turn}"
                    await say(
                        client, user, session, f"[HOTSWAP:MODEL:openai/gpt-{mine}]\n[HOTSWAP:PROMPT:prompt-{mine}.]"
                    )
                    await say(client, user, session, f"question-{mine}.")

            await asyncio.gather(*(talk(number) for number in range(PARALLEL)))
    assert len(llm.requests()) == PARALLEL * 3
    for request in llm.requests():
        mine = (request.model or "").removeprefix("gpt-")
        system, *_, question = request.body["messages"]
        assert system["content"].startswith(f"prompt-{mine}.")
        assert question["content"] == f"question-{mine}."


def test_adk_run_talks_at_the_terminal(llm: ScriptedLLM, agents: Path, tmp_path: Path) -> None:
    said = f"[HOTSWAP:MODEL:openai/gpt-two]\n{ASK}\nhello\nexit\n"
    done = subprocess.run(
        [program("adk"), "run", str(agents / APP)],
        cwd=tmp_path,
        env=environment(llm),
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "openai/gpt-two (set for this conversation)" in done.stdout
    assert "echo: hello" in done.stdout
    assert [request.model for request in llm.requests()] == ["gpt-two"]


async def test_adk_api_server_serves_it_over_a2a_by_its_card(llm: ScriptedLLM, agents: Path, tmp_path: Path) -> None:
    port = free_port()
    write_cards(llm, agents, port)
    with serving(llm, tmp_path, port, "api_server", "--a2a", "--port", str(port), str(agents)) as url:
        async with httpx.AsyncClient(timeout=60) as http:
            card = await A2ACardResolver(http, f"{url}/a2a/{APP}").get_agent_card()
            assert {face.protocol_version for face in card.supported_interfaces} >= {"1.0", "0.3.0"}
            client = ClientFactory(ClientConfig(httpx_client=http, streaming=True)).create(card)

            async def send(context: str, text: str) -> str:
                message = Message(
                    message_id=uuid.uuid4().hex, context_id=context, role=Role.ROLE_USER, parts=[Part(text=text)]
                )
                events = [str(event) async for event in client.send_message(SendMessageRequest(message=message))]
                return "\n".join(events)

            assert "gpt-two" in await send("one", SET)
            assert "gpt-two" not in await send("two", ASK)
            assert "echo: hello" in await send("one", "hello")
            assert "echo: hello" in await send("two", "hello")
        async with httpx.AsyncClient(timeout=60) as http:
            old = await http.post(f"{url}/a2a/{APP}", json=_of_0_3("three", "hello"))
    assert "echo: hello" in old.text
    assert [request.model for request in llm.requests()] == ["gpt-two", "gpt-one", "gpt-one"]


def write_cards(llm: ScriptedLLM, agents: Path, port: int) -> None:
    made = [program("agentllm"), "adk-cards", str(agents), "--url", f"http://127.0.0.1:{port}"]
    subprocess.run(made, cwd=agents, env=environment(llm), check=True, timeout=60)


def _of_0_3(context: str, text: str) -> Mapping[str, Any]:
    """A request as clients of protocol 0.3 send it."""
    message = {
        "kind": "message",
        "messageId": uuid.uuid4().hex,
        "contextId": context,
        "role": "user",
        "parts": [{"kind": "text", "text": text}],
    }
    return {"jsonrpc": "2.0", "id": "1", "method": "message/send", "params": {"message": message}}
