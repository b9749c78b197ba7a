"""Background tasks of a real Open WebUI, replayed: what they are answered with, and who is asked for that."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from agentllm.gateway.openwebui import Task, TaskKind
from agentllm.gateway.tasks import answer_without_model
from tests.integration.conftest import llm_environment
from tests.openwebui import TASKS, TURNS, Captured
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, Usage

STREAM = pytest.mark.parametrize("stream", [False, True])
EVERY_TASK = pytest.mark.parametrize("task", TASKS, ids=str)
EVERY_TURN = pytest.mark.parametrize("turn", TURNS, ids=str)

TITLES = {1: "hello turn one", 11: "hello edited one", 16: "summarize the file", 25: "hello both", 32: "askme"}
QUERIES = {17: "summarize the file", 21: "and again"}
TASK_MODEL = "gpt-task"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, plain or streamed."""

    text: str
    finish: str
    usage: Mapping[str, Any]


def replay(
    proxy: Proxy, request: Captured, headers: Mapping[str, str], *, stream: bool | None = None
) -> httpx.Response:
    """Send a captured request again, to an agent of these tests."""
    body: dict[str, Any] = {**request.body, "model": "agno/echo"}
    if stream is not None:
        body["stream"] = stream
    if body["stream"]:
        body["stream_options"] = {"include_usage": True}
    return httpx.post(
        f"{proxy.base_url}/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {proxy.key}", **headers},
        timeout=30,
    )


def answer_of(response: httpx.Response) -> Answer:
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith("application/json"):
        whole = response.json()
        choice = whole["choices"][0]
        return Answer(choice["message"]["content"], choice["finish_reason"], whole["usage"])
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return Answer(
        "".join(choice["delta"].get("content") or "" for choice in choices),
        next(choice["finish_reason"] for choice in choices if choice.get("finish_reason")),
        next(chunk["usage"] for chunk in chunks if chunk.get("usage")),
    )


def in_chat(request: Captured, chat: str, *, connection_headers: bool) -> dict[str, str]:
    """The headers of a request, as if it were of another chat."""
    given = request.headers if connection_headers else request.without_connection_headers
    return {name: chat if name.endswith("-chat-id") else value for name, value in given.items()}


def assert_readable(task: Captured, text: str) -> None:
    """Read it as Open WebUI does: what stands between the outer braces, by the task's own key."""
    read = json.loads(text[text.find("{") : text.rfind("}") + 1])
    expected: Mapping[str, object] = {
        "title_generation": {"title": TITLES.get(task.number)},
        "tags_generation": {"tags": ["General"]},
        "follow_up_generation": {"follow_ups": []},
        "query_generation": {"queries": [QUERIES.get(task.number)]},
    }
    assert read == expected[task.task]


# Without a model for them


@STREAM
@EVERY_TASK
def test_a_task_named_by_a_header_asks_no_model(proxy: Proxy, llm: ScriptedLLM, task: Captured, stream: bool) -> None:
    answer = answer_of(replay(proxy, task, task.headers, stream=stream))
    assert_readable(task, answer.text)
    assert answer.finish == "stop"
    assert (answer.usage["prompt_tokens"], answer.usage["completion_tokens"]) == (0, 0)
    assert llm.requests() == []


@STREAM
@EVERY_TASK
def test_a_task_that_fills_no_message_asks_no_model(
    proxy: Proxy, llm: ScriptedLLM, task: Captured, stream: bool
) -> None:
    headers = {name: value for name, value in task.headers.items() if name != "x-agentllm-task"}
    assert_readable(task, answer_of(replay(proxy, task, headers, stream=stream)).text)
    assert llm.requests() == []


@EVERY_TASK
def test_a_task_known_by_its_shape_asks_no_model(proxy: Proxy, llm: ScriptedLLM, task: Captured) -> None:
    assert_readable(task, answer_of(replay(proxy, task, task.without_connection_headers)).text)
    assert_readable(task, answer_of(replay(proxy, task, {})).text)
    assert llm.requests() == []


@STREAM
@pytest.mark.parametrize("kind", get_args(TaskKind))
def test_a_task_of_any_kind_has_an_answer(proxy: Proxy, llm: ScriptedLLM, kind: TaskKind, stream: bool) -> None:
    answer = answer_of(replay(proxy, TASKS[0], {"x-agentllm-task": kind}, stream=stream))
    prompt = TASKS[0].body["messages"][0]["content"]
    expected = "title_generation" if kind == "other" else kind
    assert answer.text == answer_without_model(Task(expected, prompt))
    assert llm.requests() == []


@pytest.mark.parametrize("connection_headers", [True, False])
@EVERY_TURN
def test_a_turn_is_the_agents(proxy: Proxy, llm: ScriptedLLM, turn: Captured, connection_headers: bool) -> None:
    headers = in_chat(turn, str(uuid.uuid4()), connection_headers=connection_headers)
    answer_of(replay(proxy, turn, headers))
    (asked,) = llm.requests()
    assert asked.model == "gpt-scripted"
    assert asked.body["messages"][-1]["content"] == turn.body["messages"][-1]["content"]


@pytest.mark.parametrize("connection_headers", [True, False])
def test_tasks_leave_no_trace_in_the_chat(proxy: Proxy, llm: ScriptedLLM, connection_headers: bool) -> None:
    """A title is asked for before the first turn; tags and follow-ups between the first and the second."""
    chat = str(uuid.uuid4())
    first, second = TURNS[0], TURNS[1]
    before = [task for task in TASKS if task.number < first.number]
    between = [task for task in TASKS if first.number < task.number < second.number]
    assert [task.task for task in (*before, *between)] == [
        "title_generation",
        "follow_up_generation",
        "tags_generation",
    ]
    for request in (*before, first, *between, second):
        replay(proxy, request, in_chat(request, chat, connection_headers=connection_headers)).raise_for_status()
    asked = [[(m["role"], m["content"]) for m in request.body["messages"]] for request in llm.requests()]
    assert asked[0] == [("user", "hello turn one")]
    assert [text for role, text in asked[1] if role == "user"] == ["hello turn one", "and turn two"]
    assert len(asked) == 2


# With one


@pytest.fixture(scope="module")
def with_task_model(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that has a model for background tasks, by a name of its own."""
    folder: Path = tmp_path_factory.mktemp("with_task_model")
    config = folder / "config.yaml"
    config.write_text(
        f"""
model_list:
  - model_name: small
    litellm_params: {{model: openai/{TASK_MODEL}}}
router_settings: {{num_retries: 0}}
litellm_settings:
  custom_provider_map:
    - {{provider: agno, custom_handler: agentllm.gateway.plugin.agno}}
general_settings:
  custom_auth: agentllm.gateway.plugin.custom_auth
"""
    )
    environment = {**llm_environment(running_llm), "AGENTLLM_TASK_MODEL": "small"}
    with Proxy(folder, environment, config=config) as running:
        yield running


@STREAM
@EVERY_TASK
def test_a_task_asks_its_model_once(with_task_model: Proxy, llm: ScriptedLLM, task: Captured, stream: bool) -> None:
    llm.script(Reply('{"said": "by the model"}', usage=Usage(prompt=120, completion=7)), model=TASK_MODEL)
    answer = answer_of(replay(with_task_model, task, task.headers, stream=stream))
    assert answer.text == '{"said": "by the model"}'
    assert (answer.usage["prompt_tokens"], answer.usage["completion_tokens"]) == (120, 7)
    (asked,) = llm.requests()
    assert (asked.model, asked.stream) == (TASK_MODEL, stream)
    assert asked.body["messages"] == task.body["messages"]
    assert asked.body.get("max_tokens") == task.body.get("max_tokens")


@EVERY_TASK
def test_a_task_known_by_its_shape_asks_its_model_once(
    with_task_model: Proxy, llm: ScriptedLLM, task: Captured
) -> None:
    answer_of(replay(with_task_model, task, task.without_connection_headers))
    assert [asked.model for asked in llm.requests()] == [TASK_MODEL]


@EVERY_TURN
def test_a_turn_never_asks_the_model_for_tasks(with_task_model: Proxy, llm: ScriptedLLM, turn: Captured) -> None:
    answer_of(replay(with_task_model, turn, in_chat(turn, str(uuid.uuid4()), connection_headers=True)))
    assert [asked.model for asked in llm.requests()] == ["gpt-scripted"]


@STREAM
@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_failure_of_the_model_for_tasks_keeps_its_status(
    with_task_model: Proxy, llm: ScriptedLLM, status: int, stream: bool
) -> None:
    llm.script(Reply.failing(status, "no title today", retry_after=7), model=TASK_MODEL)
    response = replay(with_task_model, TASKS[0], TASKS[0].headers, stream=stream)
    assert response.status_code == status
    assert response.headers["retry-after"] == "7"
    assert "no title today" in response.json()["error"]["message"]
    assert [asked.model for asked in llm.requests()] == [TASK_MODEL]


def test_a_model_for_tasks_that_is_an_agent_stops_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="AGENTLLM_TASK_MODEL"),
        Proxy(tmp_path, {"AGENTLLM_TASK_MODEL": "agno/demo"}),
    ):
        pass
