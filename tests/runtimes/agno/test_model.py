"""One run's copy of a model: its finish reason, its errors, its client."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from agno.exceptions import ContextWindowExceededError, ModelAuthenticationError, ModelProviderError
from agno.models.base import Model
from agno.models.google import Gemini
from agno.models.message import Message as AgnoMessage
from agno.models.openai import OpenAIChat
from google.genai.types import Candidate, FinishReason, GenerateContentResponse
from litellm.types.utils import Delta, ModelResponseStream, StreamingChoices
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agentllm.llm.offline import OfflineModel, Reply
from agentllm.llm.router import RouterModel
from agentllm.llm.streams import JoiningTransport
from agentllm.runtimes.agno.calls import AgentCalls, Calls
from agentllm.runtimes.agno.model import for_run, open_client
from agentllm.runtimes.agno.outcome import Outcome
from tests.runtimes.agno.spoken import Piece, Spoken, answer

pytestmark = pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning")


def copy_of(model: Model) -> Any:
    return for_run(model, AgentCalls(Calls()))


def openai_answer(finish: str | None, **choice: Any) -> ChatCompletion:
    whole = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": "x"}, **choice}
    return ChatCompletion.model_construct(
        id="c", choices=[SimpleNamespace(**whole)], created=1, model="m", object="chat.completion"
    )


def openai_chunk(finish: str | None = None, *, empty: bool = False) -> ChatCompletionChunk:
    choices = [] if empty else [{"index": 0, "delta": {"content": "x"}, "finish_reason": finish}]
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return ChatCompletionChunk.model_validate(data)


def gemini(finish: FinishReason | None) -> GenerateContentResponse:
    return GenerateContentResponse(candidates=[Candidate(finish_reason=finish)])


def noted(*responses: object) -> Outcome:
    outcome = Outcome("m")
    for response in responses:
        outcome.note(response)
    return outcome


def anthropic(stop_reason: str | None) -> object:
    """A message of Anthropic's SDK, which is not installed here: only its shape is known."""
    return SimpleNamespace(type="message", role="assistant", content=[], stop_reason=stop_reason)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (openai_answer("stop"), "stop"),
        (openai_answer("tool_calls"), "stop"),
        (openai_answer("length"), "length"),
        (openai_answer("content_filter"), "content_filter"),
        (openai_chunk("length"), "length"),
        (gemini(FinishReason.STOP), "stop"),
        (gemini(FinishReason.MAX_TOKENS), "length"),
        (gemini(FinishReason.SAFETY), "content_filter"),
        (gemini(FinishReason.RECITATION), "content_filter"),
        (gemini(FinishReason.PROHIBITED_CONTENT), "content_filter"),
        (gemini(FinishReason.BLOCKLIST), "content_filter"),
        (gemini(FinishReason.SPII), "content_filter"),
        (anthropic("end_turn"), "stop"),
        (anthropic("max_tokens"), "length"),
        (anthropic("model_context_window_exceeded"), "length"),
        (anthropic("refusal"), "content_filter"),
        (Reply("x", "length"), "length"),
        (object(), "stop"),
        (GenerateContentResponse(candidates=[]), "stop"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_the_words_of_every_provider_for_the_end_of_an_answer_are_known(response: object, reason: str) -> None:
    assert noted(response).reason == reason


def test_litellm_s_chunks_are_read_as_openai_s() -> None:
    chunk = ModelResponseStream(choices=[StreamingChoices(finish_reason="length", delta=Delta())])
    assert noted(chunk).reason == "length"


def anthropic_end(stop_reason: str) -> list[object]:
    """The events that end a stream of Anthropic's SDK and carry the reason."""
    return [
        SimpleNamespace(type="message_delta", delta=SimpleNamespace(stop_reason=stop_reason, stop_sequence=None)),
        SimpleNamespace(type="message_stop", message=anthropic(stop_reason)),
    ]


@pytest.mark.parametrize(
    ("responses", "reason"),
    [
        (anthropic_end("max_tokens"), "length"),
        (anthropic_end("refusal"), "content_filter"),
        ([SimpleNamespace(done=True, done_reason="length", message={})], "length"),
    ],
    ids=["anthropic, length", "anthropic, refusal", "ollama"],
)
def test_providers_that_tell_the_end_elsewhere_are_understood_too(responses: list[object], reason: str) -> None:
    assert noted(*responses).reason == reason


def test_the_last_call_of_a_run_decides() -> None:
    assert noted(openai_chunk("length"), openai_chunk(), openai_chunk("stop")).reason == "stop"
    assert noted(gemini(FinishReason.MAX_TOKENS), gemini(FinishReason.STOP)).reason == "stop"


def test_a_piece_without_a_reason_after_the_last_one_changes_nothing() -> None:
    assert noted(openai_chunk("length"), openai_chunk(empty=True)).reason == "length"
    assert noted(gemini(FinishReason.MAX_TOKENS), gemini(None)).reason == "length"


@pytest.mark.parametrize(
    ("responses", "is_open"),
    [
        ([], False),
        ([openai_chunk()], True),
        ([openai_chunk(), openai_chunk("stop")], False),
        ([openai_chunk("stop"), openai_chunk()], True),
        ([openai_chunk("stop"), openai_chunk(empty=True)], False),
        ([gemini(None)], False),
    ],
)
def test_an_answer_of_openai_is_open_until_it_has_a_finish_reason(responses: list[object], is_open: bool) -> None:
    assert noted(*responses).open_answer is is_open


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ModelProviderError("quota is\n  used up", 429), 429, "quota is used up"),
        (ModelAuthenticationError("bad key"), 401, "bad key"),
        (ContextWindowExceededError("too long"), 400, "too long"),
        (RuntimeError("broken pipe"), 502, "broken pipe"),
        (RuntimeError(), 502, "RuntimeError"),
        (RuntimeError("x" * 10_000), 502, "x" * 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failed_call_is_told_with_the_provider_s_status_and_words(error: Exception, status: int, words: str) -> None:
    failure = Outcome("gpt-1", error=error).failure()
    assert failure is not None
    assert failure.status == status
    assert words in failure.message
    assert "'gpt-1'" in failure.message
    assert len(failure.message) < 600


def test_there_is_no_failure_without_an_error() -> None:
    assert Outcome("m").failure() is None


async def call(model: Model, *, stream: bool) -> None:
    messages, said = [AgnoMessage(role="user", content="hi")], AgnoMessage(role="assistant")
    if stream:
        async for _ in model.ainvoke_stream(messages, said):
            pass
    else:
        await model.ainvoke(messages, said)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_copy_listens_and_the_shared_model_does_not(stream: bool) -> None:
    shared = Spoken.of(answer("cut", finish="length"))
    copied = for_run(shared, calls := AgentCalls(Calls()))
    await call(shared, stream=stream)
    assert calls.outcome.finish_reason is None
    await call(copied, stream=stream)
    assert calls.outcome.reason == "length"
    assert not {"ainvoke", "ainvoke_stream", "_parse_provider_response"} & vars(shared).keys()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_exception_of_the_model_is_kept_and_goes_on(stream: bool) -> None:
    error = ModelProviderError("no", 503)
    copied = for_run(Spoken.of((Piece("half"), error)), calls := AgentCalls(Calls()))
    with pytest.raises(ModelProviderError):
        await call(copied, stream=stream)
    assert calls.outcome.error is error


def test_copies_of_an_openai_model_share_one_client_and_all_models_its_connections() -> None:
    shared, another = OpenAIChat(id="gpt", api_key="k"), OpenAIChat(id="gpt", api_key="another")
    copies = [copy_of(shared) for _ in range(3)]
    assert {id(copied.get_async_client()) for copied in copies} == {id(shared.get_async_client())}
    other = copy_of(another).get_async_client()
    assert other is not shared.get_async_client()
    assert other._client is shared.get_async_client()._client
    assert isinstance(other._client._transport, JoiningTransport)
    assert (shared.get_async_client().api_key, other.api_key) == ("k", "another")


def test_a_client_that_the_agent_brings_is_kept() -> None:
    client = OpenAIChat(id="gpt", api_key="k").get_async_client()
    assert copy_of(OpenAIChat(async_client=client)).async_client is client


def test_connections_that_the_agent_brings_are_used() -> None:
    connections = httpx.AsyncClient()
    model = OpenAIChat(id="gpt", api_key="k", http_client=connections)
    assert copy_of(model).get_async_client()._client is connections


class Elsewhere(OpenAIChat):
    """A model of OpenAI's format with a client of its own, as Azure's."""

    def get_async_client(self) -> AsyncOpenAI:
        self.async_client = self.async_client or AsyncOpenAI(api_key="k", base_url="http://elsewhere.invalid")
        return self.async_client


def test_a_model_that_makes_its_client_in_its_own_way_keeps_it() -> None:
    shared = Elsewhere(id="gpt")
    copied = copy_of(shared)
    assert copied.get_async_client() is shared.async_client
    assert "elsewhere" in str(copied.get_async_client().base_url)


def test_copies_of_a_gemini_model_share_one_client() -> None:
    shared = Gemini(id="gemini", api_key="k")
    assert copy_of(shared).get_client() is shared.get_client()


@dataclass
class Unopenable(OfflineModel):
    """Fails to make its client."""

    def get_async_client(self) -> object:
        raise ValueError("no key")


@pytest.mark.parametrize("model", [Unopenable(), RouterModel(id="m"), OfflineModel(), OpenAIChat(id="no-key")])
def test_a_client_that_cannot_be_made_is_left_to_the_run(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    open_client(model)
    assert getattr(model, "http_client", None) is None
