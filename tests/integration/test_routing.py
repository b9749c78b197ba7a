"""What the proxy's router does for agents: fallbacks, balance over keys, retries, limits of time and rate, budgets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from tests.integration.routing import PRICED, USAGE, ask, routing_proxy
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture(scope="module")
def proxy(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with routing_proxy(tmp_path_factory.mktemp("routing"), running_llm) as running:
        yield running


def refused(client: OpenAI, agent: str, *, stream: bool) -> tuple[int, dict[str, Any]]:
    """The status and the error that a request ends in."""
    with pytest.raises(APIStatusError) as caught:
        ask(client, agent, stream=stream)
    return caught.value.status_code, json.loads(caught.value.response.read())["error"]


@STREAM
@pytest.mark.parametrize("status", [500, 503, 429, 401])
def test_where_a_model_fails_its_fallback_answers_and_is_named(
    client: OpenAI, llm: ScriptedLLM, status: int, stream: bool
) -> None:
    llm.script(Reply.failing(status), model="gpt-guarded")
    llm.script(Reply("from the fallback", usage=USAGE), model="gpt-priced")
    told = ask(client, "guarded", stream=stream)
    assert (told.text, told.model) == ("from the fallback", "openai/gpt-priced")
    assert told.cost == pytest.approx(PRICED)
    assert [request.model for request in llm.requests()] == ["gpt-guarded", "gpt-priced"]


@STREAM
def test_where_the_fallback_fails_too_the_client_gets_an_error(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.failing(500, "both are down"), times=None)
    status, error = refused(client, "guarded", stream=stream)
    assert status == 500
    assert "both are down" in error["message"]
    assert "gpt-priced" not in error["message"]


def test_two_keys_share_the_load(client: OpenAI, llm: ScriptedLLM) -> None:
    for number in range(30):
        ask(client, "balanced", f"message {number}")
    keys = {request.headers["authorization"] for request in llm.requests()}
    assert keys == {"Bearer key-one", "Bearer key-two"}


def test_a_call_is_tried_again(client: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply.failing(500), Reply.failing(500), Reply("at last"))
    assert ask(client, "retried").text == "at last"
    assert len(llm.requests()) == 3


@STREAM
def test_a_model_that_takes_too_long_is_given_up(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("late", first_delay=20), times=None)
    status, error = refused(client, "hasty", stream=stream)
    assert status == 504, error
    llm.wait_for(lambda requests: all(not request.open for request in requests), timeout=30)


@STREAM
def test_a_provider_s_rate_limit_is_429(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.failing(429, "slow down"))
    status, error = refused(client, "unpriced", stream=stream)
    assert status == 429
    assert "slow down" in error["message"]


def test_the_rate_limit_of_a_deployment_is_429(client: OpenAI, llm: ScriptedLLM) -> None:
    assert ask(client, "limited").text == "echo: hi"
    status, _ = refused(client, "limited", stream=False)
    assert status == 429
    assert len(llm.requests()) == 1


@STREAM
def test_the_budget_of_a_deployment_is_429_budget_exceeded(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("dear", usage=USAGE), times=None)
    if not stream:
        assert ask(client, "capped").text == "dear"
    for _ in range(100):
        try:
            ask(client, "capped", stream=stream)
        except APIStatusError:
            break
    status, error = refused(client, "capped", stream=stream)
    assert (status, error["type"], error["code"]) == (429, "budget_exceeded", "429")
    assert "openai" not in error["message"]
