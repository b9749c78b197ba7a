"""LiteLLM's models under Agno: asked directly, and through a router as the proxy has one."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from agno.agent import Agent
from agno.exceptions import (
    AgnoError,
    ContextWindowExceededError,
    ModelAuthenticationError,
    ModelProviderError,
    ModelRateLimitError,
)
from agno.metrics import RunMetrics
from agno.models.message import Message
from agno.models.response import ModelResponse, ToolExecution
from agno.run.agent import RunCompletedEvent, RunContentEvent, ToolCallCompletedEvent
from agno.tools.function import Function
from openai import OpenAI
from pydantic import BaseModel

from agentllm.llm.router import CALLER_METADATA, RouterModel
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall, Usage

MODEL = "openai/scripted"
BROKEN = [Reply("one two", cut_after=0), Reply("one two three four", cut_after=2)]

# Both are LiteLLM's own use of pydantic.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:Accessing the 'model_\w+' attribute on the instance:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """Close the connections that LiteLLM keeps for the next call of this event loop."""
    yield
    import litellm
    from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

    for client in litellm.in_memory_llm_clients_cache.cache_dict.values():
        if isinstance(client, OpenAI):
            client.close()
    await close_litellm_async_clients()  # type: ignore[no-untyped-call]
    litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]


async def plain(model: RouterModel, **more: Any) -> str:
    return str((await model.ainvoke(**_hi(more))).content)


async def streamed(model: RouterModel, **more: Any) -> str:
    return "".join([piece.content or "" async for piece in model.ainvoke_stream(**_hi(more))])


async def plain_sync(model: RouterModel, **more: Any) -> str:
    return str(model.invoke(**_hi(more)).content)


async def streamed_sync(model: RouterModel, **more: Any) -> str:
    return "".join(piece.content or "" for piece in model.invoke_stream(**_hi(more)))


def _hi(more: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [Message(role="user", content="hi")], "assistant_message": Message(role="assistant"), **more}


Ask = Callable[..., Any]
every_way = pytest.mark.parametrize("ask", [plain, streamed, plain_sync, streamed_sync])
both_ways = pytest.mark.parametrize("ask", [plain, streamed])


@pytest.fixture
def proxy(provider: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedLLM]:
    """A proxy's router in this process, with the model `house` and `spare` behind it."""
    from litellm.router import Router

    def deployment(name: str, model: str, key: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": model, "api_key": key, "cooldown_time": 0}}

    router = Router(
        model_list=[deployment("house", MODEL, "house-key"), deployment("spare", "openai/tokens-20", "spare-key")],
        fallbacks=[{"house": ["spare"]}],
        num_retries=0,
    )
    monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=router))
    yield provider
    router.discard()  # type: ignore[no-untyped-call]


@every_way
async def test_a_model_of_litellm_answers(ask: Ask, provider: ScriptedLLM) -> None:
    assert await ask(RouterModel(id=MODEL)) == "echo: hi"


@both_ways
class TestRequests:
    async def test_nothing_is_sent_that_is_not_set(self, ask: Ask, provider: ScriptedLLM) -> None:
        await ask(RouterModel(id=MODEL))
        sent = set(provider.requests()[-1].body) - {"stream", "stream_options"}
        assert sent == {"model", "messages"}

    async def test_parameters_are_sent(self, ask: Ask, provider: ScriptedLLM) -> None:
        given = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2}
        await ask(RouterModel(id=MODEL, max_tokens=5, stop=["END"], **given))  # type: ignore[arg-type]
        body = provider.requests()[-1].body
        assert {key: body[key] for key in (*given, "max_tokens", "stop")} == {**given, "max_tokens": 5, "stop": ["END"]}

    async def test_the_newer_name_of_the_limit_is_sent_as_each_provider_calls_it(
        self, ask: Ask, provider: ScriptedLLM
    ) -> None:
        await ask(RouterModel(id=MODEL, max_completion_tokens=5))
        assert provider.requests()[-1].body["max_tokens"] == 5

    async def test_further_arguments_win(self, ask: Ask, provider: ScriptedLLM) -> None:
        await ask(RouterModel(id=MODEL, temperature=0.5, request_params={"temperature": 1.0}))
        assert provider.requests()[-1].body["temperature"] == 1.0

    async def test_a_schema_for_the_answer_is_sent(self, ask: Ask, provider: ScriptedLLM) -> None:
        class Sum(BaseModel):
            total: int

        await ask(RouterModel(id=MODEL), response_format=Sum)
        assert provider.requests()[-1].body["response_format"]["json_schema"]["name"] == "Sum"

    async def test_the_choice_of_tool_is_sent_and_agnos_own_keys_are_not(self, ask: Ask, provider: ScriptedLLM) -> None:
        function = Function(name="f", description="d", parameters={"type": "object", "properties": {}})
        function.external_execution = True
        offered = [{"type": "function", "function": function.to_dict()}]
        assert "external_execution" in offered[0]["function"]
        choice = {"type": "function", "function": {"name": "f"}}
        await ask(RouterModel(id=MODEL), tools=offered, tool_choice=choice)
        body = provider.requests()[-1].body
        assert body["tool_choice"] == choice
        assert set(body["tools"][0]["function"]) <= {"name", "description", "parameters", "strict"}

    async def test_instructions_may_have_either_role(self, ask: Ask, provider: ScriptedLLM) -> None:
        messages = [Message(role="developer", content="Be kind."), Message(role="user", content="hi")]
        assert await ask(RouterModel(id=MODEL), messages=messages) == "echo: hi"


class Listening(RouterModel):
    """Hears the raw replies, as the runtime does."""

    def listen(self) -> list[str]:
        reasons: list[str] = []
        parse, parse_delta = self._parse_provider_response, self._parse_provider_response_delta

        def note(response: Any) -> None:
            if response.choices:
                reasons.append(response.choices[0].finish_reason)

        def parsed(response: Any, **kwargs: Any) -> ModelResponse:
            note(response)
            return parse(response, **kwargs)

        def parsed_delta(response_delta: Any) -> ModelResponse:
            note(response_delta)
            return parse_delta(response_delta)

        self._parse_provider_response = parsed  # type: ignore[method-assign, assignment]
        self._parse_provider_response_delta = parsed_delta  # type: ignore[method-assign]
        return reasons


@every_way
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
async def test_the_last_choice_has_the_finish_reason(ask: Ask, finish: Any, provider: ScriptedLLM) -> None:
    provider.script(Reply("one two", finish=finish))
    model = Listening(id=MODEL)
    reasons = model.listen()
    await ask(model)
    assert reasons[-1] == finish


@pytest.mark.parametrize("stream", [True, False])
class TestAnswers:
    async def run(self, stream: bool, *tools: Callable[..., Any]) -> tuple[str, str, list[Any], tuple[int, int, int]]:
        agent = Agent(model=RouterModel(id=MODEL), tools=list(tools), telemetry=False)
        if not stream:
            run = await agent.arun("hi")
            assert run.metrics is not None
            usage = (run.metrics.input_tokens, run.metrics.output_tokens, run.metrics.reasoning_tokens)
            return str(run.content), run.reasoning_content or "", [t.result for t in run.tools or ()], usage
        text, reasoning, results, usage = "", "", [], (0, 0, 0)
        async for event in agent.arun("hi", stream=True, stream_events=True):
            match event:
                case RunContentEvent():
                    text += event.content or ""
                    reasoning += event.reasoning_content or ""
                case ToolCallCompletedEvent(tool=ToolExecution(result=result)):
                    results.append(result)
                case RunCompletedEvent(metrics=RunMetrics() as metrics):
                    usage = (metrics.input_tokens, metrics.output_tokens, metrics.reasoning_tokens)
        return text, reasoning, results, usage

    async def test_calls_of_tools_come_whole(self, stream: bool, provider: ScriptedLLM) -> None:
        def join(left: str, right: str) -> str:
            """Join two texts."""
            return f"{left}-{right}"

        calls = ToolCall.of("join", left="a", right="b"), ToolCall.of("join", left="c" * 200, right="d")
        provider.script(Reply.calling(*calls))
        provider.script(Reply("joined"))
        text, _, results, _ = await self.run(stream, join)
        assert (text, results) == ("joined", ["a-b", "c" * 200 + "-d"])
        roles = [message["role"] for message in provider.requests()[-1].body["messages"]]
        assert roles == ["user", "assistant", "tool", "tool"]

    async def test_reasoning_comes_beside_the_text(self, stream: bool, provider: ScriptedLLM) -> None:
        provider.script(Reply("done", reasoning=("let ", "me ", "see")))
        text, reasoning, _, _ = await self.run(stream)
        assert (text, reasoning) == ("done", "let me see")

    async def test_usage_is_the_providers(self, stream: bool, provider: ScriptedLLM) -> None:
        provider.script(Reply("done", usage=Usage(prompt=11, completion=7, reasoning=3, cached=5)))
        *_, usage = await self.run(stream)
        assert usage == (11, 7, 3)


@every_way
class TestFailures:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, ModelProviderError),
            (401, ModelAuthenticationError),
            (403, ModelProviderError),
            (404, ModelProviderError),
            (429, ModelRateLimitError),
            (500, ModelProviderError),
            (503, ModelProviderError),
        ],
    )
    async def test_a_failure_comes_back_at_once_with_its_status_and_words(
        self, ask: Ask, status: int, kind: type[AgnoError], provider: ScriptedLLM
    ) -> None:
        provider.script(Reply.failing(status, "the words of the provider"), times=None)
        with pytest.raises(kind) as caught:
            await ask(RouterModel(id=MODEL))
        assert caught.value.status_code == status
        assert caught.value.message == "the words of the provider"
        assert len(provider.requests()) == 1

    async def test_a_prompt_that_is_too_long_is_told_apart(self, ask: Ask, provider: ScriptedLLM) -> None:
        provider.script(Reply.failing(400, "This model's maximum context length is 10 tokens."))
        with pytest.raises(ContextWindowExceededError):
            await ask(RouterModel(id=MODEL))

    async def test_a_model_that_litellm_does_not_know_is_a_bad_request(self, ask: Ask) -> None:
        with pytest.raises(ModelProviderError) as caught:
            await ask(RouterModel(id="nobody/nothing"))
        assert caught.value.status_code == 400

    async def test_an_answer_that_breaks_off_is_a_failure(self, ask: Ask, provider: ScriptedLLM) -> None:
        provider.script(Reply("one two three four", cut_after=2))
        with pytest.raises(ModelProviderError):
            await ask(RouterModel(id=MODEL))

    @pytest.mark.parametrize("model", [MODEL, "gemini/gemini-3-flash"])
    @pytest.mark.parametrize("reply", BROKEN, ids=["no answer", "half an answer"])
    async def test_a_connection_that_breaks_is_a_bad_gateway(
        self, ask: Ask, model: str, reply: Reply, provider: ScriptedLLM
    ) -> None:
        provider.script(reply, times=None)
        with pytest.raises(ModelProviderError) as caught:
            await ask(RouterModel(id=model))
        assert caught.value.status_code == 502

    async def test_an_answer_that_is_no_json_is_a_bad_gateway(self, ask: Ask, provider: ScriptedLLM) -> None:
        provider.script(Reply("one two", malformed=True), times=None)
        with pytest.raises(ModelProviderError) as caught:
            await ask(RouterModel(id=MODEL))
        assert caught.value.status_code == 502

    async def test_retries_can_be_asked_for(self, ask: Ask, provider: ScriptedLLM) -> None:
        provider.script(Reply.failing(503))
        assert await ask(RouterModel(id=MODEL, num_retries=1)) == "echo: hi"
        assert len(provider.requests()) == 2


async def test_a_stream_that_is_closed_ends_the_providers(provider: ScriptedLLM) -> None:
    provider.script(Reply(tokens=("on ", "and "), endless=True))
    pieces: AsyncIterator[ModelResponse] = RouterModel(id=MODEL).ainvoke_stream(**_hi({}))
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    await provider.wait_for_async(lambda requests: requests[-1].disconnected_at is not None)


@every_way
class TestProxy:
    async def test_its_model_is_asked_through_its_router(self, ask: Ask, proxy: ScriptedLLM) -> None:
        assert await ask(RouterModel(id="house")) == "echo: hi"
        request = proxy.requests()[-1]
        assert request.headers["authorization"] == "Bearer house-key"
        assert request.body["model"] == "scripted"

    async def test_its_fallbacks_work(self, ask: Ask, proxy: ScriptedLLM) -> None:
        proxy.script(Reply.failing(503), model="scripted")
        assert (await ask(RouterModel(id="house"))).startswith("w0 w1")

    async def test_a_failure_has_the_providers_words_and_no_word_of_the_configuration(
        self, ask: Ask, proxy: ScriptedLLM
    ) -> None:
        proxy.script(Reply.failing(503, "the words of the provider"), times=None)
        with pytest.raises(ModelProviderError) as caught:
            await ask(RouterModel(id="house"))
        assert caught.value.status_code == 503
        assert caught.value.message == "the words of the provider"

    async def test_a_model_it_does_not_know_is_asked_directly(self, ask: Ask, proxy: ScriptedLLM) -> None:
        await ask(RouterModel(id=MODEL))
        assert proxy.requests()[-1].headers["authorization"] == "Bearer an-openai-key"


@both_ways
@pytest.mark.parametrize("model", ["house", MODEL])
async def test_the_callers_metadata_goes_to_litellm_and_not_to_the_provider(
    ask: Ask, model: str, proxy: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    seen: list[dict[str, Any]] = []

    class Noting(CustomLogger):
        async def async_log_pre_api_call(self, model: Any, messages: Any, kwargs: dict[str, Any]) -> None:
            seen.append(kwargs["litellm_params"]["metadata"])

        def log_pre_api_call(self, model: Any, messages: Any, kwargs: dict[str, Any]) -> None:
            seen.append(kwargs["litellm_params"]["metadata"])

    monkeypatch.setattr(litellm, "callbacks", [Noting()])
    token = CALLER_METADATA.set({"user_api_key_user_id": "ann"})
    try:
        await ask(RouterModel(id=model, metadata={"trace": "t"}))
    finally:
        CALLER_METADATA.reset(token)
    assert {"user_api_key_user_id": "ann", "trace": "t"}.items() <= seen[-1].items()
    assert "metadata" not in proxy.requests()[-1].body


# What LiteLLM knows of models


@pytest.mark.parametrize(
    ("model", "parameter", "takes"),
    [
        ("openai/gpt-4o", "reasoning_effort", False),
        ("openai/gpt-4o", "seed", True),
        ("gemini/gemini-2.5-flash", "reasoning_effort", True),
        ("gemini/gemini-2.5-flash", "verbosity", False),
        ("a model of nobody", "verbosity", True),
        ("github_copilot/gpt-4o", "verbosity", True),
    ],
)
def test_a_parameter_is_taken_where_litellm_gives_it_to_the_model(model: str, parameter: str, takes: bool) -> None:
    assert RouterModel(id=model).takes(parameter) is takes


@pytest.mark.parametrize(
    ("model", "takes"), [("openai/gpt-4o", True), ("gemini/gemini-2.5-flash", True), ("openai/gpt-scripted", False)]
)
def test_a_schema_is_taken_where_litellm_says_so(model: str, takes: bool) -> None:
    assert RouterModel(id=model).takes_schema() is takes


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gemini/gemini-2.5-flash", False),
        ("vertex_ai/gemini-2.0-flash", False),
        ("gemini/gemini-3-flash-preview", True),
        ("gemini/gemini-flash-latest", True),
        ("openai/gpt-4o", True),
    ],
)
def test_tools_and_json_go_together_except_for_older_models_of_google(model: str, takes: bool) -> None:
    assert RouterModel(id=model).takes_tools_with_json() is takes


def test_a_name_of_the_proxy_takes_what_all_models_behind_it_take(proxy: ScriptedLLM) -> None:
    assert RouterModel(id="house").takes("temperature")
    assert not RouterModel(id="house").takes("web_search")
    routed = sys.modules["litellm.proxy.proxy_server"].llm_router
    routed.model_list[0]["litellm_params"]["allowed_openai_params"] = ["web_search"]
    assert RouterModel(id="house").takes("web_search")
