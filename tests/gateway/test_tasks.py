"""Background tasks: what they are answered with, and that no agent is run for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import litellm
import litellm.exceptions as litellm_errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.types.utils import Choices, ModelResponse
from litellm.types.utils import Message as LiteLLMMessage
from litellm.types.utils import Usage as LiteLLMUsage

from agentllm.gateway.openwebui import TASK_HEADER, Task, TaskKind
from agentllm.gateway.tasks import LONGEST_QUERY, LONGEST_TITLE, answer_without_model
from tests.gateway.conftest import Serve
from tests.gateway.test_handler import EVERY_WAY, Ask, failure
from tests.runtimes.agno.spoken import agent, answer

HEADERS = {"headers": {TASK_HEADER: "title_generation"}}


def history(*said: str) -> str:
    return "### Task:\nDo it.\n### Chat History:\n<chat_history>\n{}\n</chat_history>".format("\n".join(said))


def answered(kind: TaskKind, *said: str) -> Any:
    return json.loads(answer_without_model(Task(kind, history(*said))))


def title(message: str) -> str:
    return str(answered("title_generation", f"USER: {message}", "ASSISTANT: ")["title"])


# Titles


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("hello turn one", "hello turn one"),
        ("  hello\n\n  there ", "hello there"),
        ("# Plan the **next** _release_, `v1.2`", "Plan the next release, v1.2"),
        ("> quoted\n- a\n2. b", "quoted a b"),
        ("see [the notes](https://example.org/notes?x=1) and ![a chart](c.png)", "see the notes and a chart"),
        ("```python\nprint(1)\n```\nWhat does it print?", "print(1) What does it print?"),
        ("rename snake_case_name to 2 * 3 * 4", "rename snake_case_name to 2 * 3 * 4"),
        ("这是**重点**内容", "这是重点内容"),
        ('<attached_files>\n<file name="a.txt"/>\n</attached_files>\n\nSummarize it', "Summarize it"),
        ("Compare the changes between v1.2 and v1.3 and write notes", "Compare the changes between v1.2 and v1.3 and…"),
        ("short " + "x" * 60, "short " + "x" * 43 + "…"),
        ("語" * 60, "語" * 49 + "…"),
        ("a" * 48 + "é́́" + "b" * 9, "a" * 48 + "…"),
        ("a" * 46 + "👩\u200d👩\u200d👧 family", "a" * 46 + "…"),
        ("", ""),
        ("```\n```", ""),
    ],
)
def test_a_title_is_the_first_words_of_the_first_message(message: str, expected: str) -> None:
    assert title(message) == expected


def test_a_title_is_of_the_first_message_of_the_person() -> None:
    said = ("ASSISTANT: welcome", "USER: first", "more of it", "ASSISTANT: an answer", "USER: second")
    assert answered("title_generation", *said)["title"] == "first more of it"


@pytest.mark.parametrize("prompt", ["", "Name this chat.", "### Chat History:\n", "<chat_history>ASSISTANT: hi"])
def test_without_a_message_the_title_is_empty(prompt: str) -> None:
    assert json.loads(answer_without_model(Task("title_generation", prompt))) == {"title": ""}


@given(st.text())
def test_a_title_is_one_short_line(message: str) -> None:
    found = title(message)
    assert len(found) <= LONGEST_TITLE
    assert found == " ".join(found.split())


@given(st.sampled_from(get_args(TaskKind)), st.text())
def test_every_kind_has_an_answer_to_any_prompt(kind: TaskKind, prompt: str) -> None:
    assert isinstance(answer_without_model(Task(kind, prompt)), str)


# Other kinds


def test_each_kind_is_answered_in_the_form_that_open_webui_reads() -> None:
    said = ("USER: first", "ASSISTANT: an answer", "USER: what is\nin it?")
    assert answered("tags_generation", *said) == {"tags": ["General"]}
    assert answered("follow_up_generation", *said) == {"follow_ups": []}
    assert answered("query_generation", *said) == {"queries": ["what is in it?"]}
    assert answered("image_prompt_generation", *said) == {"prompt": "what is in it?"}
    assert answered("autocomplete_generation", *said) == {"text": ""}
    assert answered("function_calling", *said) == {"tool_calls": []}
    assert answered("memory_review", *said) == {"operations": []}
    assert answered("other", *said) == {}


def test_an_emoji_is_one_and_a_summary_is_left_to_open_webui() -> None:
    assert answer_without_model(Task("emoji_generation", "hi")) == "🙂"
    assert answer_without_model(Task("context_compaction", history("USER: hi"))) == ""


def test_without_a_message_nothing_is_searched_for() -> None:
    assert answered("query_generation", "ASSISTANT: hi") == {"queries": []}


def test_a_query_has_a_bound() -> None:
    (query,) = answered("query_generation", f"USER: {'word ' * 1_000}")["queries"]
    assert LONGEST_QUERY // 2 < len(query) <= LONGEST_QUERY


def test_answers_to_be_merged_come_one_after_the_other() -> None:
    prompt = 'Merge.\n\nResponses from models: """one\n\n"quoted""""\n\n"""two"""'
    assert answer_without_model(Task("moa_response_generation", prompt)) == 'one\n\n"quoted"\n\n---\n\ntwo'
    assert answer_without_model(Task("moa_response_generation", "hi")) == ""


# In the handler


@EVERY_WAY
def test_a_task_is_answered_and_no_agent_is_run(ask: Ask, serve: Serve) -> None:
    demo, model = agent(answer("from the agent"))
    serve(demo=demo)
    messages = [{"role": "user", "content": history("USER: Plan it.", "ASSISTANT: ")}]
    assert json.loads(ask(model="agno/demo", messages=messages, metadata=HEADERS)) == {"title": "Plan it."}
    assert model.asked == []


def test_a_task_without_a_model_uses_no_tokens(serve: Serve) -> None:
    serve(demo=agent()[0])
    answered: Any = litellm.completion(
        model="agno/demo", messages=[{"role": "user", "content": history("USER: Plan it.")}], metadata=HEADERS
    )
    assert (answered.usage.prompt_tokens, answered.usage.completion_tokens) == (0, 0)
    assert answered.choices[0].finish_reason == "stop"


@EVERY_WAY
def test_a_task_of_an_unknown_agent_is_not_found(ask: Ask, serve: Serve) -> None:
    serve(demo=agent()[0])
    messages = [{"role": "user", "content": "hi"}]
    assert failure(ask, model="agno/none", messages=messages, metadata=HEADERS).status_code == 404


@EVERY_WAY
def test_a_task_model_that_leads_to_an_agent_is_refused(ask: Ask, serve: Serve) -> None:
    demo, model = agent(answer("from the agent"))
    serve(demo=demo, task_model="agno/demo")
    messages = [{"role": "user", "content": history("USER: Plan it.")}]
    error = failure(ask, model="agno/demo", messages=messages, metadata=HEADERS)
    assert error.status_code == 503
    assert "AGENTLLM_TASK_MODEL" in str(error)
    assert model.asked == []


# With a model


@dataclass
class Asked:
    """LiteLLM's way to a model, which notes what it is asked and answers with what is given."""

    answers: list[object]
    requests: list[Mapping[str, Any]] = field(default_factory=list)

    async def __call__(self, request: Mapping[str, Any]) -> object:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def model_says(monkeypatch: pytest.MonkeyPatch, *answers: object) -> Asked:
    asked = Asked(list(answers))
    monkeypatch.setattr("agentllm.gateway.tasks.acompletion", asked)
    return asked


def test_the_model_is_asked_for_the_caller_with_the_parameters_of_the_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ModelResponse(
        choices=[Choices(message=LiteLLMMessage(content="a title", reasoning_content="hm"), finish_reason="length")],
        usage=LiteLLMUsage(prompt_tokens=9, completion_tokens=3, total_tokens=12),
    )
    asked = model_says(monkeypatch, said)
    demo, model = agent()
    serve(demo=demo, task_model="small")
    messages = [{"role": "user", "content": "name it"}]
    answered: Any = litellm.completion(
        model="agno/demo",
        messages=messages,
        max_tokens=1_000,
        temperature=0.5,
        metadata={**HEADERS, "user_api_key_hash": "hash-of-key", "user_api_key_team_id": "team"},
    )
    assert (answered.choices[0].message.content, answered.choices[0].message.reasoning_content) == ("a title", "hm")
    assert (answered.choices[0].finish_reason, answered.usage.prompt_tokens) == ("length", 9)
    (request,) = asked.requests
    assert (request["model"], request["messages"]) == ("small", messages)
    assert (request["max_tokens"], request["temperature"]) == (1_000, 0.5)
    assert request["metadata"]["user_api_key_hash"] == "hash-of-key"
    assert request["metadata"]["user_api_key_team_id"] == "team"
    assert "stream" not in request
    assert model.asked == []


@EVERY_WAY
def test_a_failure_of_the_model_keeps_its_status_and_is_not_tried_again(
    ask: Ask, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = litellm_errors.RateLimitError("litellm.RateLimitError: too many", "openai", "small")
    asked = model_says(monkeypatch, error)
    serve(demo=agent()[0], task_model="small")
    failed = failure(ask, model="agno/demo", messages=[{"role": "user", "content": "name it"}], metadata=HEADERS)
    assert failed.status_code == 429
    assert "too many" in str(failed)
    assert len(asked.requests) == 1
