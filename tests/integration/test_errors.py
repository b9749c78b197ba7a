"""Errors through the running proxy: real statuses, OpenAI's form, and one run of the agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, APIStatusError, OpenAI

from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

MODELS = pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
STREAM = pytest.mark.parametrize("stream", [False, True])


def ask(client: OpenAI, model: str, *, stream: bool = False, content: str = "hi", **more: Any) -> str:
    """The text of the answer; a stream is read to its end."""
    answer: Any = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}], stream=stream, **more
    )
    if not stream:
        return answer.choices[0].message.content or ""
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def failure(client: OpenAI, model: str, **more: Any) -> APIStatusError:
    """The error that a call ends in."""
    with pytest.raises(APIStatusError) as raised:
        ask(client, model, **more)
    return raised.value


def error_of(error: APIStatusError) -> dict[str, Any]:
    """OpenAI's error object, after a look that nothing internal is in it."""
    body = error.response.text
    assert "Traceback" not in body
    assert "site-packages" not in body
    found = json.loads(body)["error"]
    assert set(found) >= {"message", "type", "param", "code"}
    assert found["code"] == str(error.status_code)
    return dict(found)


@MODELS
@STREAM
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_provider_s_error_keeps_its_status_and_the_model_is_asked_once(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool, status: int
) -> None:
    llm.script(Reply.failing(status, "the provider says no"), times=None)
    error = failure(client, model, stream=stream)
    assert error.status_code == status
    assert "the provider says no" in error_of(error)["message"]
    assert len(llm.requests()) == 1


@MODELS
@STREAM
@pytest.mark.parametrize("status", [429, 503])
def test_how_long_a_provider_asks_to_wait_is_passed_on(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool, status: int
) -> None:
    llm.script(Reply.failing(status, "slow down", retry_after=7), Reply("fast again"))
    assert failure(client, model, stream=stream).response.headers["retry-after"] == "7"
    assert ask(client, model, stream=stream) == "fast again"


@STREAM
@pytest.mark.parametrize("status", [400, 401, 429])
def test_a_provider_s_error_in_a_workflow_s_first_step_keeps_its_status(
    client: OpenAI, llm: ScriptedLLM, stream: bool, status: int
) -> None:
    llm.script(Reply.failing(status, "the provider says no"), model="gpt-first", times=None)
    error = failure(client, "agno/flow", stream=stream)
    assert error.status_code == status
    assert "the provider says no" in error_of(error)["message"]


@STREAM
def test_a_provider_s_error_in_a_later_step_is_one_of_the_stream_that_told_of_the_first(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    llm.script("draft", model="gpt-first")
    llm.script(Reply.failing(429, "the provider says no"), model="gpt-second", times=None)
    with pytest.raises(APIError, match="the provider says no") as raised:
        ask(client, "agno/flow", stream=stream)
    assert isinstance(raised.value, APIStatusError) is not stream
    assert len(llm.requests()) == 2


@STREAM
def test_the_openai_client_is_told_not_to_run_a_failed_agent_again(
    proxy: Proxy, llm: ScriptedLLM, stream: bool
) -> None:
    llm.script(Reply.failing(500), times=None)
    with OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=2) as retrying:
        failure(retrying, "agno/echo", stream=stream)
    assert len(llm.requests()) == 1


@STREAM
def test_retries_that_the_client_demands_of_the_proxy_get_the_first_error(
    proxy: Proxy, client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    llm.script(Reply.failing(500, "first"), Reply.failing(500, "second"), Reply.failing(500, "third"))
    error = failure(client, "agno/echo", stream=stream, extra_headers={"x-litellm-num-retries": "2"})
    assert "first" in error_of(error)["message"]
    assert len(llm.requests()) == 1


@MODELS
@STREAM
def test_an_empty_answer_is_an_error(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply())
    error = failure(client, model, stream=stream)
    assert error.status_code == 502
    assert "empty" in error_of(error)["message"]


@MODELS
@STREAM
def test_malformed_json_is_an_error(client: OpenAI, llm: ScriptedLLM, model: str, stream: bool) -> None:
    llm.script(Reply("some words here", malformed=True))
    with pytest.raises(APIError):
        ask(client, model, stream=stream)


@MODELS
@STREAM
def test_a_connection_cut_before_the_answer_is_an_error(
    client: OpenAI, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply("some words here", cut_after=0))
    error = failure(client, model, stream=stream)
    assert error.status_code >= 500
    error_of(error)


@MODELS
def test_a_connection_cut_in_the_middle_is_an_error_event_after_the_text(
    proxy: Proxy, llm: ScriptedLLM, model: str
) -> None:
    llm.script(Reply("one two three four", cut_after=2, token_delay=0.05))
    lines = sse(proxy, model)
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in lines if "choices" in event)
    assert text.startswith("one two")
    assert "error" in lines[-1]
    assert not any(
        choice["finish_reason"] for e in lines if "choices" in e for choice in e["choices"] if "finish_reason" in choice
    )


def sse(proxy: Proxy, model: str) -> list[dict[str, Any]]:
    """The events of a streamed answer as they stand on the wire."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": f"Bearer {proxy.key}"}
    with httpx.stream("POST", f"{proxy.base_url}/chat/completions", json=body, headers=headers, timeout=30) as response:
        assert response.status_code == 200
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    return [json.loads(item) for item in data if item != "[DONE]"]


@STREAM
def test_a_tool_that_fails_is_told_to_the_model_and_the_run_goes_on(
    client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    llm.script(Reply.calling(ToolCall.of("explode")), "The tool failed.")
    assert ask(client, "agno/tooled", stream=stream) == "The tool failed."


@STREAM
def test_an_unknown_agent_is_404_and_lists_the_agents_there_are(client: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    for _ in range(3):
        error = failure(client, "agno/nobody", stream=stream)
        assert error.status_code == 404
        message = error_of(error)["message"]
        assert "'nobody'" in message
        assert "release-manager" in message
        assert ask(client, "agno/echo") == "echo: hi"


@pytest.mark.parametrize(
    "name",
    ["", "../../etc/passwd", "a" * 5_000, "demo\n", "Demo", "{x}", "*", "%s", "demo/x", "\u202eomed", "replicate"],
)
def test_a_hostile_name_is_an_unknown_agent(client: OpenAI, llm: ScriptedLLM, name: str) -> None:
    error = failure(client, f"agno/{name}")
    assert error.status_code == 404
    assert len(error_of(error)["message"]) < 1_000


@STREAM
def test_a_broken_agent_is_503_and_its_cause_is_in_the_log_only(
    proxy: Proxy, client: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    error = failure(client, "agno/broken", stream=stream)
    assert error.status_code == 503
    assert "ZeroDivisionError" not in error_of(error)["message"]
    assert "broken.py:3: ZeroDivisionError: division by zero" in proxy.log


@pytest.mark.parametrize("key", ["sk-wrong", "", "sk-agno-test-key-1234", "x" * 10_000])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
def test_a_wrong_key_is_401_in_openai_s_form(proxy: Proxy, key: str, path: str) -> None:
    body = {"model": "agno/echo", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    method = "GET" if path == "/v1/models" else "POST"
    response = httpx.request(method, f"{proxy.url}{path}", json=body, headers=headers, timeout=30)
    assert response.status_code == 401
    assert set(response.json()["error"]) >= {"message", "type", "param", "code"}
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "only"}]}, "user"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "king"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
        ({"n": 3}, "'n'"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"reasoning_effort": "endless"}, "reasoning_effort"),
    ],
)
@STREAM
def test_a_request_that_cannot_be_served_is_400_and_names_what_is_wrong(
    client: OpenAI, llm: ScriptedLLM, body: dict[str, Any], named: str, stream: bool
) -> None:
    whole: Any = {"model": "agno/echo", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **body}
    with pytest.raises(APIStatusError) as raised:
        client.chat.completions.create(**whole)
    assert raised.value.status_code == 400
    assert named in error_of(raised.value)["message"]
    assert llm.requests() == []


def test_health_checks_ask_no_model(proxy: Proxy, llm: ScriptedLLM) -> None:
    headers = {"Authorization": f"Bearer {proxy.key}"}
    found = httpx.get(f"{proxy.url}/health?model=agno/echo", headers=headers, timeout=60).json()
    assert found["healthy_count"] == 1
    assert llm.requests() == []


@pytest.fixture(scope="module")
def hasty(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A proxy that gives every run one second, drops unsupported parameters, and has an entry for an agent."""
    folder: Path = tmp_path_factory.mktemp("hasty")
    config = folder / "config.yaml"
    config.write_text(
        """
model_list:
  - model_name: my-echo
    litellm_params: {model: agno/echo}
  - model_name: agno/echo
    litellm_params: {model: agno/echo}
    model_info: {description: of the configuration}
litellm_settings:
  drop_params: true
  custom_provider_map:
    - {provider: agno, custom_handler: agentllm.gateway.plugin.agno}
general_settings:
  custom_auth: agentllm.gateway.plugin.custom_auth
"""
    )
    environment = {**llm_environment(running_llm), "AGENTLLM_RUN_TIMEOUT": "1"}
    with (
        Proxy(folder, environment, config=config) as proxy,
        OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as client,
    ):
        yield client


@STREAM
def test_a_run_over_its_time_limit_is_stopped_and_says_so(hasty: OpenAI, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("x", first_delay=20))
    error = failure(hasty, "agno/echo", stream=stream)
    assert error.status_code == 504
    assert "1 second" in error_of(error)["message"]
    llm.wait_for(lambda requests: all(not request.open for request in requests), timeout=30)


def test_an_endless_stream_ends_at_the_time_limit_with_an_error(hasty: OpenAI, llm: ScriptedLLM) -> None:
    llm.script(Reply("again ", endless=True))
    with pytest.raises(APIError):
        ask(hasty, "agno/echo", stream=True)
    llm.wait_for(lambda requests: all(not request.open for request in requests), timeout=30)


@STREAM
def test_unsupported_parameters_are_dropped_where_the_proxy_says_so(
    hasty: OpenAI, llm: ScriptedLLM, stream: bool
) -> None:
    llm.script("final", model="gpt-second")
    assert ask(hasty, "agno/flow", stream=stream, temperature=0.5) == "final"


def test_a_workflow_refuses_sampling_parameters(client: OpenAI, llm: ScriptedLLM) -> None:
    error = failure(client, "agno/flow", temperature=0.5)
    assert error.status_code == 400
    assert error_of(error)["message"].count("'temperature'") == 1


def test_an_explicit_entry_works_wins_and_does_not_cool_down(hasty: OpenAI, llm: ScriptedLLM) -> None:
    assert ask(hasty, "my-echo") == "echo: hi"
    assert [model.id for model in hasty.models.list()].count("agno/echo") == 1
    for status in (401, 404):
        llm.script(Reply.failing(status), times=3)
        for _ in range(3):
            assert failure(hasty, "my-echo").status_code == status
        assert ask(hasty, "my-echo") == "echo: hi"
