"""Agents behind LiteLLM as a library: synchronous and asynchronous, plain and streamed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import litellm
import litellm.exceptions as litellm_errors
import openai
import pytest
from agno.exceptions import ModelProviderError
from litellm.types.utils import ModelResponse

from agentllm.core import Memory, Usage
from agentllm.errors import RunTimedOut
from agentllm.gateway.bridge import HomeLoop
from agentllm.gateway.handler import AgentHandler
from agentllm.gateway.request import HEALTH_CHECK_TAG
from agentllm.llm.router import CALLER_METADATA
from tests.gateway.conftest import Serve
from tests.runtimes.agno.spoken import Piece, agent, answer, heard

HI = [{"role": "user", "content": "hi"}]
SECOND = 30.0
"""Bounds of waits that take no time when all is well."""


def content(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def plain(**kwargs: Any) -> str:
    answered: Any = litellm.completion(**kwargs)
    return str(answered.choices[0].message.content)


def streamed(**kwargs: Any) -> str:
    chunks: Any = litellm.completion(**kwargs, stream=True)
    return "".join(map(content, chunks))


def async_plain(**kwargs: Any) -> str:
    async def ask() -> str:
        answered: Any = await litellm.acompletion(**kwargs)
        return str(answered.choices[0].message.content)

    return asyncio.run(ask())


def async_streamed(**kwargs: Any) -> str:
    async def ask() -> str:
        chunks: Any = await litellm.acompletion(**kwargs, stream=True)
        return "".join([content(chunk) async for chunk in chunks])

    return asyncio.run(ask())


def failure(ask: Callable[..., str], **kwargs: Any) -> Any:
    """The error that a call ends in; LiteLLM wraps the ones of streams that another model could stand in for."""
    with pytest.raises(openai.OpenAIError) as raised:
        ask(**kwargs)
    if isinstance(raised.value, litellm_errors.MidStreamFallbackError):
        return raised.value.original_exception
    return raised.value


Ask = Callable[..., str]
WAYS: Mapping[str, Ask] = {
    "plain": plain,
    "streamed": streamed,
    "async plain": async_plain,
    "async streamed": async_streamed,
}
EVERY_WAY = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


class Hanging:
    """A step of a model that waits until it is stopped, and notes both."""

    def __init__(self) -> None:
        self.started, self.stopped = threading.Event(), threading.Event()

    async def __call__(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


def until(event: threading.Event) -> Callable[[], Awaitable[None]]:
    """A step that waits for an event of another thread."""

    async def wait() -> None:
        assert await asyncio.to_thread(event.wait, SECOND)

    return wait


# Answers


@EVERY_WAY
def test_an_agent_answers_twice_in_a_row(ask: Ask, serve: Serve) -> None:
    serve(demo=agent("Good morning.")[0])
    assert [ask(model="agno/demo", messages=HI) for _ in range(2)] == ["Good morning."] * 2


def test_a_plain_answer_has_usage_a_finish_an_id_and_the_model(serve: Serve) -> None:
    serve(demo=agent(answer("cut", finish="length", usage=Usage(11, 2)))[0])
    answered: Any = litellm.completion(model="agno/demo", messages=HI)
    assert answered.choices[0].finish_reason == "length"
    assert (answered.usage.prompt_tokens, answered.usage.completion_tokens) == (11, 2)
    assert answered.id.startswith("chatcmpl-")
    assert answered.model == "demo"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_streamed_answer_has_one_id_one_finish_and_the_usage(is_async: bool, serve: Serve) -> None:
    thinking = Piece(reasoning="Let me think.")
    serve(demo=agent((thinking, *answer("a", "b", finish="length", usage=Usage(11, 2))))[0])
    asked: dict[str, Any] = {"model": "agno/demo", "messages": HI, "stream_options": {"include_usage": True}}

    async def stream() -> list[Any]:
        chunks: Any = await litellm.acompletion(**asked, stream=True)
        return [chunk async for chunk in chunks]

    def stream_synchronously() -> list[Any]:
        chunks: Any = litellm.completion(**asked, stream=True)
        return list(chunks)

    chunks = asyncio.run(stream()) if is_async else stream_synchronously()
    assert "".join(map(content, chunks)) == "ab"
    assert "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks) == "Let me think."
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["length"]
    usages = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None) is not None]
    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(11, 2)]


def test_a_synchronous_reader_has_the_first_words_while_the_agent_still_works(serve: Serve) -> None:
    go = threading.Event()
    serve(demo=agent(answer("first ", until(go), "second"))[0])
    chunks: Any = litellm.completion(model="agno/demo", messages=HI, stream=True)
    seen = ""
    while "first" not in seen:
        seen += content(next(chunks))
    assert "second" not in seen
    go.set()
    assert seen + "".join(map(content, chunks)) == "first second"


async def test_a_reader_on_another_loop_has_the_first_words_while_the_agent_still_works(serve: Serve) -> None:
    go = threading.Event()
    serve(demo=agent(answer("first ", until(go), "second"))[0])
    chunks: Any = await litellm.acompletion(model="agno/demo", messages=HI, stream=True)
    seen = ""
    while "first" not in seen:
        seen += content(await anext(chunks))
    assert "second" not in seen
    go.set()
    assert seen + "".join([content(chunk) async for chunk in chunks]) == "first second"


async def test_callers_on_the_home_loop_and_on_others_are_served_at_once(serve: Serve) -> None:
    handler = serve(demo=agent("hello")[0], on=HomeLoop(asyncio.get_running_loop()))
    asked: dict[str, Any] = {"model": "agno/demo", "messages": HI}
    answers = await asyncio.gather(
        *(asyncio.to_thread(ask, **asked) for ask in WAYS.values()), *(_ask_here(stream) for stream in (False, True))
    )
    assert answers == ["hello"] * 6
    assert handler


async def _ask_here(stream: bool) -> str:
    answered: Any = await litellm.acompletion(model="agno/demo", messages=HI, stream=stream)
    if stream:
        return "".join([content(chunk) async for chunk in answered])
    return str(answered.choices[0].message.content)


# Stopping


def test_closing_a_synchronous_stream_early_stops_the_agent(serve: Serve) -> None:
    hanging = Hanging()
    handler = serve(demo=agent(answer("first", hanging))[0])
    chunks = handler.streaming(**call())
    next(chunks)
    assert hanging.started.wait(SECOND)
    chunks.close()  # type: ignore[attr-defined]  # it is a generator
    assert hanging.stopped.is_set()


def test_dropping_litellm_s_synchronous_stream_stops_the_agent(serve: Serve) -> None:
    hanging = Hanging()
    serve(demo=agent(answer("first", hanging))[0])
    chunks: Any = litellm.completion(model="agno/demo", messages=HI, stream=True)
    while "first" not in content(next(chunks)):
        pass
    assert hanging.started.wait(SECOND)
    del chunks
    assert hanging.stopped.wait(SECOND)


@pytest.mark.parametrize("at_home", [True, False])
async def test_closing_litellm_s_stream_stops_the_agent(at_home: bool, serve: Serve) -> None:
    hanging = Hanging()
    serve(demo=agent(answer("first", hanging))[0], on=HomeLoop(asyncio.get_running_loop()) if at_home else None)
    chunks: Any = await litellm.acompletion(model="agno/demo", messages=HI, stream=True)
    while "first" not in content(await anext(chunks)):
        pass
    assert await asyncio.to_thread(hanging.started.wait, SECOND)
    await chunks.aclose()
    assert await asyncio.to_thread(hanging.stopped.wait, SECOND)


@pytest.mark.parametrize("at_home", [True, False])
@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_a_caller_stops_the_agent(at_home: bool, stream: bool, serve: Serve) -> None:
    hanging = Hanging()
    serve(demo=agent(answer("first", hanging))[0], on=HomeLoop(asyncio.get_running_loop()) if at_home else None)
    task = asyncio.create_task(_ask_here(stream))
    assert await asyncio.to_thread(hanging.started.wait, SECOND)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(hanging.stopped.wait, SECOND)


@EVERY_WAY
def test_a_run_over_its_time_limit_is_stopped_and_says_so(ask: Ask, serve: Serve) -> None:
    hanging = Hanging()
    serve(demo=agent(answer("first", hanging))[0], run_timeout=0.5)
    with pytest.raises(Exception, match=r"0\.5 seconds") as raised:
        ask(model="agno/demo", messages=HI)
    assert getattr(raised.value, "status_code", None) == 504
    assert hanging.stopped.wait(SECOND)


@EVERY_WAY
def test_a_caller_may_allow_less_time_but_not_more(ask: Ask, serve: Serve) -> None:
    serve(demo=agent(answer(Hanging()))[0], run_timeout=0.05)
    with pytest.raises(Exception, match=r"0\.05 seconds"):
        ask(model="agno/demo", messages=HI, timeout=60)
    serve(demo=agent(answer(Hanging()))[0], run_timeout=60)
    with pytest.raises(Exception, match=r"0\.04 seconds"):
        ask(model="agno/demo", messages=HI, timeout=0.04)


# Errors


@EVERY_WAY
def test_an_unknown_agent_is_not_found(ask: Ask, serve: Serve) -> None:
    serve(demo=agent()[0], other=agent()[0])
    with pytest.raises(litellm_errors.NotFoundError, match="agno/demo, agno/other"):
        ask(model="agno/nobody", messages=HI)


@EVERY_WAY
def test_a_request_that_cannot_be_served_is_a_bad_request(ask: Ask, serve: Serve) -> None:
    who, model = agent()
    serve(demo=who)
    with pytest.raises(litellm_errors.BadRequestError, match="'n'"):
        ask(model="agno/demo", messages=HI, n=2)
    assert model.asked == []


@EVERY_WAY
@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, litellm_errors.RateLimitError), (503, litellm_errors.ServiceUnavailableError)],
)
def test_a_provider_s_error_keeps_its_status_and_the_agent_runs_once(
    ask: Ask, status: int, kind: type[Exception], serve: Serve
) -> None:
    who, model = agent((ModelProviderError("the provider says no", status),))
    serve(demo=who)
    error = failure(ask, model="agno/demo", messages=HI)
    assert isinstance(error, kind)
    assert "the provider says no" in str(error)
    assert len(model.asked) == 1


@EVERY_WAY
def test_an_unexpected_error_is_told_without_its_content(
    ask: Ask, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        """A runtime with a mistake."""

        name = description = None
        memory = Memory()
        takes_front_end_tools = False

        async def run(self, turn: object) -> Any:
            yield Usage()
            raise ZeroDivisionError("secret-detail")

    serve(demo=Broken())
    error = failure(ask, model="agno/demo", messages=HI)
    assert isinstance(error, litellm_errors.InternalServerError)
    assert "secret-detail" not in str(error)
    assert "secret-detail" not in caplog.text
    assert "ZeroDivisionError at" in caplog.text


def test_an_error_in_the_middle_comes_after_the_text(serve: Serve) -> None:
    go = threading.Event()
    serve(demo=agent((Piece("half"), until(go), ModelProviderError("gone", 503)))[0])
    chunks: Any = litellm.completion(model="agno/demo", messages=HI, stream=True)
    seen = []

    def listen() -> None:
        for chunk in chunks:
            seen.append(content(chunk))
            go.set()

    with pytest.raises(litellm_errors.ServiceUnavailableError, match="gone"):
        listen()
    assert "".join(seen) == "half"


# What the proxy tells


def call(
    *, metadata: dict[str, Any] | None = None, call_id: str = "c-1", text: str = "hi", **more: Any
) -> dict[str, Any]:
    """The keyword arguments of LiteLLM's dispatch."""
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": text}],
        "model_response": ModelResponse(),
        "optional_params": {},
        "litellm_params": {"metadata": metadata or {}, "litellm_call_id": call_id},
        "timeout": 600.0,
        **more,
    }


async def answered(handler: AgentHandler, stream: bool, **more: Any) -> str:
    if not stream:
        whole: Any = await handler.acompletion(**call(**more))
        return str(whole.choices[0].message.content)
    chunks: list[Any] = [chunk async for chunk in handler.astreaming(**call(**more))]
    return "".join(chunk["text"] if isinstance(chunk, dict) else content(chunk) for chunk in chunks)


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@BOTH
async def test_a_health_check_asks_no_model(stream: bool, serve: Serve) -> None:
    who, model = agent()
    handler = serve(demo=who)
    assert "loaded" in await answered(handler, stream, metadata={"tags": [HEALTH_CHECK_TAG]})
    assert model.asked == []


@BOTH
async def test_a_health_check_of_an_agent_that_is_not_there_fails(stream: bool, serve: Serve) -> None:
    with pytest.raises(litellm_errors.NotFoundError):
        await answered(serve(), stream, metadata={"tags": [HEALTH_CHECK_TAG]})


@BOTH
async def test_a_retry_gets_the_first_error_and_runs_nothing(stream: bool, serve: Serve) -> None:
    who, model = agent((ModelProviderError("first", 503),), (ModelProviderError("second", 503),))
    handler = serve(demo=who)
    for attempt in range(3):
        with pytest.raises(litellm_errors.ServiceUnavailableError, match="first"):
            await answered(handler, stream, metadata={"attempted_retries": attempt})
    assert len(model.asked) == 1


@BOTH
async def test_a_retry_of_a_call_that_is_not_known_runs(stream: bool, serve: Serve) -> None:
    """As after a restart of the proxy, or where the first try went to another model."""
    handler = serve(demo=agent("hello")[0])
    assert await answered(handler, stream, metadata={"attempted_retries": 1}) == "hello"


@BOTH
async def test_another_caller_s_call_with_the_same_id_runs(stream: bool, serve: Serve) -> None:
    handler = serve(demo=agent((ModelProviderError("mine", 503),), "hello")[0])
    with pytest.raises(litellm_errors.ServiceUnavailableError):
        await answered(handler, stream, metadata={"user_api_key_hash": "me"})
    theirs = {"user_api_key_hash": "them", "attempted_retries": 1}
    assert await answered(handler, stream, metadata=theirs) == "hello"


@BOTH
async def test_a_session_remembers(stream: bool, serve: Serve) -> None:
    who, model = agent("hello")
    handler = serve(demo=who)
    mine = {"headers": {"x-agentllm-session-id": "s"}, "user_api_key_hash": "me"}
    for text, metadata in (("a", mine), ("b", mine), ("c", {**mine, "user_api_key_hash": "them"})):
        await answered(handler, stream, metadata=metadata, text=text)
    assert [[said for _, said in heard(model, number)] for number in range(3)] == [["a"], ["a", "hello", "b"], ["c"]]


@EVERY_WAY
def test_model_calls_know_whom_they_are_for(ask: Ask, serve: Serve) -> None:
    seen: list[Any] = []

    async def look() -> None:
        seen.append(CALLER_METADATA.get())

    serve(demo=agent(answer("a", look, "b", look))[0])
    ask(model="agno/demo", messages=HI, metadata={"user_api_key_hash": "me", "other": 1})
    assert [known["user_api_key_hash"] for known in seen] == ["me", "me"]
    assert all("other" not in known for known in seen)
    assert CALLER_METADATA.get() is None


async def test_what_ran_too_long_is_remembered_as_such(serve: Serve) -> None:
    handler = serve(demo=agent(answer(Hanging()), "never said")[0], run_timeout=0.02)
    for attempt in range(2):
        with pytest.raises(litellm_errors.APIError, match="0\\.02") as raised:
            await answered(handler, False, metadata={"attempted_retries": attempt})
        assert raised.value.status_code == RunTimedOut.status
