"""Where a key is given, and an answer that goes out again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import litellm
import litellm.exceptions as litellm_errors
import pytest

from agentllm.errors import InvalidRequest
from agentllm.gateway.repeats import HEADER, LONGEST_KEY, idempotency_key
from tests.gateway.conftest import Serve
from tests.gateway.test_handler import Hanging, content, until
from tests.runtimes.agno.spoken import agent, answer

KEY = {"user_api_key_hash": "key"}
HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("key", ["a", "x" * LONGEST_KEY, "8e03978e-40d5-43e8-bc93-6894a57f9324", "with spaces", "ü"])
def test_a_key_is_what_its_header_says(key: str) -> None:
    assert idempotency_key({HEADER: key}) == key


def test_without_the_header_there_is_none() -> None:
    assert idempotency_key({}) is None


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "a\tb", "a\x00"])
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        idempotency_key({HEADER: key})
    assert caught.value.param == HEADER


def ask(key: str | None, text: str = "hi", **more: Any) -> Any:
    """An answer of LiteLLM as a library, asked by a caller of the proxy."""
    headers: Mapping[str, str] = {} if key is None else {HEADER: key, "x-agentllm-session-id": "s"}
    metadata = {**KEY, "headers": headers}
    return litellm.completion(
        model="agno/demo", messages=[{"role": "user", "content": text}], metadata=metadata, **more
    )


def test_a_repeated_request_gets_the_same_answer_under_the_same_id(serve: Serve) -> None:
    who, model = agent("one", "two", "three")
    serve(demo=who)
    first, second, other = ask("k"), ask("k"), ask("l")
    assert (first.id, first.created) == (second.id, second.created)
    assert [a.choices[0].message.content for a in (first, second, other)] == ["one", "one", "two"]
    assert second.usage == first.usage
    assert other.id != first.id
    assert len(model.asked) == 2


def test_the_answer_may_be_repeated_as_a_stream_and_back(serve: Serve) -> None:
    who, model = agent(answer("a", "b"), "other")
    serve(demo=who)
    chunks = list(ask("k", stream=True))
    whole = ask("k")
    assert "".join(map(content, chunks)) == whole.choices[0].message.content == "ab"
    assert {chunk.id for chunk in chunks} == {whole.id}
    assert {chunk.id for chunk in ask("k", stream=True)} == {whole.id}
    assert len(model.asked) == 1


def test_a_request_without_a_key_is_never_the_same(serve: Serve) -> None:
    who, model = agent("one", "two")
    serve(demo=who)
    assert ask(None).id != ask(None).id
    assert len(model.asked) == 2


def test_another_request_with_the_key_is_a_conflict(serve: Serve) -> None:
    serve(demo=agent("one")[0])
    ask("k")
    for stream in (False, True):
        with pytest.raises(litellm_errors.APIError) as caught:
            list(ask("k", "something else", stream=stream))
        assert caught.value.status_code == 409


def test_a_bad_key_is_a_bad_request(serve: Serve) -> None:
    who, model = agent("one")
    serve(demo=who)
    with pytest.raises(litellm_errors.BadRequestError):
        ask("k" * 256)
    assert model.asked == []


def test_a_run_that_takes_too_long_is_stopped_once_and_told_again(serve: Serve) -> None:
    hanging = Hanging()
    who, model = agent(answer("half", hanging))
    serve(demo=who, run_timeout=0.5)
    for _ in range(2):
        with pytest.raises(litellm_errors.APIError) as caught:
            ask("k")
        assert caught.value.status_code == 504
    assert hanging.stopped.wait(30)
    assert len(model.asked) == 1


def test_one_that_is_joined_streams_along(serve: Serve) -> None:
    go = threading.Event()
    who, model = agent(answer("first ", until(go), "second"))
    serve(demo=who)
    one, other = (iter(ask("k", stream=True)) for _ in range(2))
    seen = ["", ""]
    for number, chunks in enumerate((one, other)):
        while "first" not in seen[number]:
            seen[number] += content(next(chunks))
    go.set()
    for number, chunks in enumerate((one, other)):
        seen[number] += "".join(map(content, chunks))
    assert seen == ["first second"] * 2
    assert len(model.asked) == 1
