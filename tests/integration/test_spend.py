"""What models cost is written down, printed by `agentllm cost`, and stops keys whose budget is used up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, OpenAI

from agentllm.keys import KeyFile, make_key
from tests.integration.calling import client_of
from tests.integration.routing import PRICED, USAGE, ask, routing_proxy
from tests.proxy import Proxy, clean_environment
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
PERSONS = ("ada", "bob", "cyd", "dan", "eve", "fay")


@dataclass(frozen=True, slots=True)
class Two:
    """Two proxies with one store and one file of keys."""

    one: Proxy
    other: Proxy
    folder: Path
    keys: dict[str, str]

    def client(self, person: str, *, other: bool = False) -> OpenAI:
        return client_of(self.other if other else self.one, self.keys[person])

    def costs(self, *options: str) -> list[dict[str, Any]]:
        """What `agentllm cost --json` prints."""
        program = Path(sys.executable).with_name("agentllm")
        done = subprocess.run(
            [str(program), "cost", "--json", *options],
            env=clean_environment(AGENTLLM_DATA_DIR=str(self.folder / "data")),
            cwd=self.folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
        return found

    def cost_of(self, by: str, name: str, calls: int) -> dict[str, Any]:
        """The line of `name`, once it counts so many calls."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            line = next((line for line in self.costs("--by", by) if line[by] == name), None)
            if line is not None and line["calls"] >= calls:
                return line
        raise AssertionError(f"{calls} calls of {name!r} are not written: {line}")


@pytest.fixture(scope="module")
def two(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("spend")
    keys = {}
    for person in PERSONS:
        budget = None if person == "ada" else PRICED * 1.5
        duration = None if budget is None else "1d"
        keys[person], key = make_key(person, user=person, budget=budget, budget_duration=duration)
        KeyFile(folder / "keys.yaml").add(key)
    shared = {"AGENTLLM_DATA_DIR": str(folder / "data"), "AGENTLLM_KEYS": str(folder / "keys.yaml")}
    with (
        routing_proxy(folder / "one", running_llm, environment=shared) as one,
        routing_proxy(folder / "other", running_llm, environment=shared) as other,
    ):
        yield Two(one, other, folder, keys)


@STREAM
def test_each_call_is_written_by_agent_model_and_caller(two: Two, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), model="gpt-priced")
    llm.script(Reply("3", usage=USAGE), times=None)
    so_far = {line["agent"]: line for line in two.costs()}
    before = so_far.get("priced", {"calls": 0})["calls"]
    with two.client("ada") as client:
        ask(client, "priced", "first", stream=stream)
        ask(client, "direct", "second", stream=stream)
    found = two.cost_of("agent", "priced", before + 2)
    assert found["calls"] == before + 2
    assert found["cost"] > PRICED
    assert two.cost_of("agent", "direct", 1)["completion_tokens"] % 100 == 0
    assert two.cost_of("model", "openai/gpt-priced", 2)["prompt_tokens"] >= 1_000
    assert two.cost_of("model", "openai/gpt-4o", 1)["cost"] > 0
    assert two.cost_of("caller", "user:ada", 3)["cost"] > PRICED


def test_an_answer_is_no_call(two: Two) -> None:
    assert not [line for line in two.costs("--by", "model") if line["model"].startswith("agno/")]


def test_a_period_can_be_asked_for(two: Two, llm: ScriptedLLM) -> None:
    with two.client("ada") as client:
        ask(client, "unpriced")
    found = two.cost_of("agent", "unpriced", 1)
    assert found["cost"] is None
    assert not two.costs("--until", "1h")
    assert two.costs("--since", "1h")


def refused(client: OpenAI, agent: str, *, stream: bool) -> dict[str, Any]:
    """The error of a request that is refused for a budget."""
    with pytest.raises(APIError) as caught:
        ask(client, agent, stream=stream)
    error: Any = caught.value.body
    assert (error["type"], error["code"]) == ("budget_exceeded", "429")
    assert getattr(caught.value, "status_code", 429) == 429
    return dict(error)


@pytest.mark.parametrize(("stream", "person"), [(False, "bob"), (True, "cyd")], ids=["plain", "stream"])
def test_a_used_up_budget_stops_the_next_call_and_every_later_request(
    two: Two, llm: ScriptedLLM, stream: bool, person: str
) -> None:
    call = ToolCall.of("add", a=1, b=2)
    llm.script(*(Reply(tool_calls=(call,), usage=USAGE) for _ in range(5)), times=1)
    with two.client(person) as client:
        error = refused(client, "priced", stream=stream)
        assert "$1.8" in error["message"]
        assert len(llm.requests()) == 2
        two.cost_of("caller", f"user:{person}", 2)
        refused(client, "priced", stream=stream)
        refused(client, "offline", stream=stream)
    with two.client(person, other=True) as client:
        refused(client, "priced", stream=stream)
        with pytest.raises(APIStatusError):
            client.chat.completions.create(model="priced", messages=[{"role": "user", "content": "hi"}])
    assert len(llm.requests()) == 2


def test_what_another_worker_spends_counts(two: Two, llm: ScriptedLLM) -> None:
    llm.script(Reply("hello", usage=USAGE), times=None)
    with two.client("dan") as one, two.client("dan", other=True) as other:
        assert ask(one, "priced").text == "hello"
        two.cost_of("caller", "user:dan", 1)
        assert ask(other, "priced").text == "hello"
        two.cost_of("caller", "user:dan", 2)
        refused(one, "priced", stream=False)


def test_models_that_are_asked_directly_count_too(two: Two, llm: ScriptedLLM) -> None:
    llm.script(Reply("hello", usage=USAGE), times=None)
    with two.client("eve") as client:
        for calls in (1, 2):
            client.chat.completions.create(model="priced", messages=[{"role": "user", "content": "hi"}])
            two.cost_of("caller", "user:eve", calls)
        refused(client, "priced", stream=False)


def test_calls_through_agno_s_own_classes_count(two: Two, llm: ScriptedLLM) -> None:
    dear = Reply("hello", usage=type(USAGE)(prompt=10_000_000, completion=1))
    llm.script(dear)
    with two.client("fay") as client:
        assert ask(client, "direct").cost == pytest.approx(25, abs=0.1)
        refused(client, "direct", stream=False)


def test_a_key_without_a_budget_goes_on(two: Two, llm: ScriptedLLM) -> None:
    llm.script(Reply("hello", usage=USAGE), times=None)
    with two.client("ada") as client:
        for _ in range(3):
            assert ask(client, "priced").text == "hello"


def test_a_proxy_that_is_stopped_has_written_what_it_answered(
    running_llm: ScriptedLLM, llm: ScriptedLLM, two: Two
) -> None:
    shared = {"AGENTLLM_DATA_DIR": str(two.folder / "data"), "AGENTLLM_KEYS": str(two.folder / "keys.yaml")}
    before = next((line["calls"] for line in two.costs() if line["agent"] == "guarded"), 0)
    with routing_proxy(two.folder / "stopped", running_llm, environment=shared) as proxy:
        body = {"model": "agno/guarded", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"Authorization": f"Bearer {two.keys['ada']}"}
        assert httpx.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers).status_code == 200
    assert next(line["calls"] for line in two.costs() if line["agent"] == "guarded") == before + 1
