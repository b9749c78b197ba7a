"""What answers cost: told to clients, counted once, and named with the model that wrote them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.integration.routing import PRICED, USAGE, ask, bills, routing_proxy
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
GPT_4O = 1_000 * 2.5e-6 + 100 * 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("costs")


@pytest.fixture(scope="module")
def proxy(running_llm: ScriptedLLM, folder: Path) -> Iterator[Proxy]:
    with routing_proxy(folder, running_llm, environment={"AGENTLLM_SWAP_MODELS": "offline,priced,unpriced"}) as running:
        yield running


@STREAM
def test_an_answer_tells_its_cost_and_its_model(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("hello", usage=USAGE))
    told = ask(client, "priced", stream=stream)
    assert (told.text, told.model, told.tokens) == ("hello", "openai/gpt-priced", 1_100)
    assert told.cost == pytest.approx(PRICED)


@STREAM
def test_all_calls_of_a_run_are_summed(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    call = ToolCall.of("add", a=1, b=2)
    llm.script(Reply(tool_calls=(call,), usage=USAGE), Reply("3", usage=USAGE))
    told = ask(client, "priced", stream=stream)
    assert told.cost == pytest.approx(2 * PRICED)
    assert told.tokens == 2_200


@STREAM
def test_agno_s_own_classes_are_priced_by_litellm_s_table(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("hello", usage=USAGE))
    told = ask(client, "direct", stream=stream)
    assert told.model == "openai/gpt-4o"
    assert told.cost == pytest.approx(GPT_4O)


@STREAM
def test_members_of_a_team_count(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    asked = ToolCall.of("delegate_task_to_member", member_id="member", task="say hello")
    llm.script(Reply(tool_calls=(asked,), usage=USAGE), Reply("done", usage=USAGE), model="gpt-4o")
    llm.script(Reply("hello", usage=USAGE), model="gpt-priced")
    told = ask(client, "team", stream=stream)
    assert told.model == "openai/gpt-4o"
    assert told.cost == pytest.approx(2 * GPT_4O + PRICED)


@STREAM
def test_steps_of_a_workflow_count(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("one", usage=USAGE), model="gpt-priced")
    llm.script(Reply("two", usage=USAGE), model="gpt-4o")
    told = ask(client, "flow", stream=stream)
    assert told.model == "openai/gpt-4o"
    assert told.cost == pytest.approx(GPT_4O + PRICED)


@STREAM
@pytest.mark.parametrize(("agent", "model"), [("unpriced", "openai/gpt-unpriced"), ("offline", "offline")])
def test_a_model_without_a_price_has_no_cost(
    client: OpenAI, llm: ScriptedLLM, agent: str, model: str, stream: bool
) -> None:
    told = ask(client, agent, stream=stream)
    assert (told.cost, told.model) == (None, model)


@STREAM
@pytest.mark.parametrize(("model", "cost"), [("offline", None), ("unpriced", None), ("priced", PRICED)])
def test_an_answer_of_a_model_that_was_set_has_the_cost_of_that_model(
    client: OpenAI, llm: ScriptedLLM, model: str, cost: float | None, stream: bool
) -> None:
    llm.script(Reply("hello", usage=USAGE))
    told = ask(client, "direct", stream=stream, extra_body={"metadata": {"agentllm": {"model": model}}})
    assert told.cost == (cost and pytest.approx(cost))


@STREAM
def test_a_repeated_answer_tells_the_same(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("hello", usage=USAGE))
    headers = {"Idempotency-Key": f"cost-{stream}"}
    first = ask(client, "priced", stream=stream, extra_headers=headers)
    again = ask(client, "priced", stream=stream, extra_headers=headers)
    assert first == again
    assert again.cost == pytest.approx(PRICED)
    assert len(llm.requests()) == 1


@STREAM
def test_responses_tell_the_cost_and_the_model(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("hello", usage=USAGE))
    if stream:
        with client.responses.stream(model="agno/priced", input="hi") as events:
            response: Any = events.until_done().get_final_response()
    else:
        response = client.responses.create(model="agno/priced", input="hi")
    assert response.output_text == "hello"
    assert response.usage.model_extra["cost"] == pytest.approx(PRICED)
    assert response.metadata == {"agentllm_model": "openai/gpt-priced"}


@STREAM
def test_messages_tell_the_cost_and_the_model(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("hello", usage=USAGE))
    body: Any = {"model": "agno/priced", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]}
    with Anthropic(base_url=proxy.url, api_key=proxy.key, max_retries=0, timeout=30) as anthropic:
        if stream:
            with anthropic.messages.stream(**body) as events:
                told: Any = [event for event in events if event.type == "message_delta"][-1]
        else:
            told = anthropic.messages.create(**body)
    assert told.usage.output_tokens == 100
    assert told.usage.model_extra["cost"] == pytest.approx(PRICED)
    assert told.model_extra["agentllm_model"] == "openai/gpt-priced"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@STREAM
def test_litellm_counts_the_calls_for_the_key_and_the_answer_for_nothing(
    proxy: Proxy, folder: Path, llm: ScriptedLLM, path: str, stream: bool
) -> None:
    llm.script(Reply("hello", usage=USAGE))
    said = {"input": "hi"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hi"}]}
    before = len(bills(folder))
    headers = {"Authorization": f"Bearer {proxy.key}"}
    body = {"model": "agno/priced", "stream": stream, "max_tokens": 500, **said}
    answer = httpx.post(f"{proxy.url}{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200
    found = wait_for_bills(folder, before)
    inner = [bill for bill in found if bill["provider"] == "openai"]
    outer = [bill for bill in found if bill["provider"] == "agno"]
    assert [bill["cost"] for bill in inner] == [pytest.approx(PRICED)]
    assert inner[0]["key"] == outer[0]["key"] is not None
    assert sum(bill["cost"] or 0.0 for bill in outer) == 0.0


def wait_for_bills(folder: Path, before: int, seconds: float = 10.0) -> list[dict[str, Any]]:
    """The bills since there were `before`, once there is one of the answer itself and one of its model."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = bills(folder)[before:]
        if {"openai", "agno"} <= {bill["provider"] for bill in found}:
            return found
        time.sleep(0.05)
    raise AssertionError(f"only {bills(folder)[before:]}")
