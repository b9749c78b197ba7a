"""Response caches of LiteLLM under agents: the model is asked once, the agent runs every time."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from tests.integration.routing import CONFIG, PRICED, USAGE, ask, routing_proxy
from tests.proxy import Proxy, free_port
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@contextmanager
def redis() -> Iterator[int]:
    """A Redis on a free port, which it gives."""
    if (program := shutil.which("redis-server")) is None:
        pytest.skip("This test needs a Redis server: `apt-get install redis-server` on Debian.")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Redis did not start") from None
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="module", params=["local", "disk", "redis"])
def proxy(
    request: pytest.FixtureRequest, running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder: Path = tmp_path_factory.mktemp(f"cache-{request.param}")
    with ExitStack() as stack:
        params = f"type: {request.param}, ttl: 60"
        if request.param == "disk":
            params += f", disk_cache_dir: {folder / 'cache'}"
        if request.param == "redis":
            params += f", host: 127.0.0.1, port: {stack.enter_context(redis())}"
        settings = f"litellm_settings:\n  cache: true\n  cache_params: {{{params}}}\n"
        config = CONFIG.replace("litellm_settings:\n", settings)
        yield stack.enter_context(routing_proxy(folder, running_llm, config))


@STREAM
def test_the_same_question_asks_the_model_once_and_costs_once(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("hello", usage=USAGE))
    first = ask(client, "priced", f"a question, {stream}", stream=stream)
    assert first.cost == pytest.approx(PRICED)
    for _ in range(100):  # the answer of a stream is kept a moment after its end
        again = ask(client, "priced", f"a question, {stream}", stream=stream)
        if again.cost == 0:
            break
        llm.reset()
        llm.script(Reply("hello", usage=USAGE))
    asked = len(llm.requests())
    again = ask(client, "priced", f"a question, {stream}", stream=stream)
    assert (again.text, again.cost, again.tokens) == ("hello", 0.0, 1_100)
    assert len(llm.requests()) == asked


@STREAM
def test_the_agent_runs_again_and_acts_again(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    """`direct` does not ask through LiteLLM, which so keeps nothing but what the agent itself would be kept as."""
    for _ in range(2):
        llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), Reply("3"))
        assert ask(client, "direct", f"add, {stream}", stream=stream).text == "3"
    assert len(llm.requests()) == 4


def test_a_client_cannot_have_an_agent_s_answer_kept(client: OpenAI, llm: ScriptedLLM) -> None:
    for text in ("one", "two"):
        llm.script(Reply(text))
        extra = {"cache": {"ttl": 60, "no-cache": False, "no-store": False}}
        assert ask(client, "direct", "keep this", extra_body=extra).text == text
