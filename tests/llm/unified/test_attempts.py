"""Model calls that fail: what the error says, and when another try or another model is made use of."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import litellm
import pytest

from agentllm import UnifiedAgent
from agentllm.core import Text
from agentllm.errors import (
    BudgetExceeded,
    ContentRefused,
    ContextTooLong,
    ModelFailed,
    ModelKeyRefused,
    ModelRateLimited,
    ModelRequestRefused,
    ModelTimedOut,
    ProviderDown,
)
from agentllm.llm.unified import UnifiedEvent
from agentllm.llm.unified.attempts import LONGEST_WAIT
from tests.llm.unified.asking import OPENAI, SPARE, add, answer_of, either_way
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.scripted_llm import Usage as Counts

pytestmark = pytest.mark.usefixtures("provider")

LAST = "openai/gpt-4.1"
DOWN = Reply.failing(503, "down for now", retry_after=0)


def models(llm: ScriptedLLM) -> list[str | None]:
    return [request.model for request in llm.requests()]


async def until_cached() -> None:
    async with asyncio.timeout(5):
        cache: Any = litellm.cache
        while not cache.cache.cache_dict:  # noqa: ASYNC110 - LiteLLM writes it beside the answer
            await asyncio.sleep(0.005)


@either_way
class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, ModelRequestRefused),
            (401, ModelKeyRefused),
            (403, ModelKeyRefused),
            (404, ModelRequestRefused),
            (429, ModelRateLimited),
            (500, ProviderDown),
            (503, ProviderDown),
        ],
    )
    async def test_they_have_the_provider_s_status_and_words(
        self, stream: bool, status: int, kind: type[ModelFailed], llm: ScriptedLLM
    ) -> None:
        llm.script(Reply.failing(status, "the words of the provider"), times=None)
        with pytest.raises(kind) as raised:
            await answer_of(UnifiedAgent(OPENAI, retries=0), stream=stream)
        assert raised.value.status == status
        assert raised.value.message.endswith("failed: the words of the provider")
        assert OPENAI in raised.value.message
        assert len(llm.requests()) == 1

    async def test_a_conversation_that_is_too_long_is_told_apart(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(400, "This model's maximum context length is 10 tokens."))
        with pytest.raises(ContextTooLong):
            await answer_of(UnifiedAgent(OPENAI), stream=stream)

    async def test_a_model_that_is_too_slow_is_told_apart(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply("late", first_delay=20))
        with pytest.raises(ModelTimedOut) as raised:
            await answer_of(UnifiedAgent(OPENAI, timeout=0.3, retries=0), stream=stream)
        assert (raised.value.status, raised.value.type) == (504, "timeout_error")

    @pytest.mark.parametrize(
        "reply",
        [Reply(), Reply("one two", cut_after=0), Reply("one two three", cut_after=2), Reply("one", malformed=True)],
        ids=["empty", "none", "cut", "malformed"],
    )
    async def test_no_answer_is_a_bad_gateway(self, stream: bool, reply: Reply, llm: ScriptedLLM) -> None:
        llm.script(reply, times=None)
        with pytest.raises(ModelFailed) as raised:
            await answer_of(UnifiedAgent(OPENAI, retries=0), stream=stream)
        assert raised.value.status == 502

    async def test_an_answer_that_breaks_off_is_an_error(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply("one two three four", cut_after=2))
        with pytest.raises(ProviderDown):
            await answer_of(UnifiedAgent(OPENAI, retries=0), stream=stream)


async def test_what_a_filter_refuses_is_told_apart(llm: ScriptedLLM) -> None:
    llm.script(Reply.failing(400, "The request was rejected as a result of the safety system."))
    with pytest.raises(ContentRefused):
        await UnifiedAgent(OPENAI).run("hi")


async def test_a_budget_of_litellm_that_is_used_up_is_told_apart_and_no_other_model_asked(
    llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "max_budget", 1.0)
    monkeypatch.setattr(litellm, "_current_cost", 2.0)
    with pytest.raises(BudgetExceeded) as raised:
        await UnifiedAgent(OPENAI, fallbacks=[LAST]).run("hi")
    assert (raised.value.status, raised.value.type) == (429, "budget_exceeded")
    assert llm.requests() == []


@either_way
class TestBudget:
    async def test_a_run_that_has_cost_its_budget_makes_no_further_call(self, stream: bool, llm: ScriptedLLM) -> None:
        dear = Counts(prompt=1_000_000, completion=10)
        llm.script(Reply(tool_calls=(ToolCall.of("add", a=1, b=2),), usage=dear), times=None)
        with pytest.raises(BudgetExceeded, match="budget"):
            await answer_of(UnifiedAgent(OPENAI, tools=[add], budget=0.1), stream=stream)
        assert len(llm.requests()) == 1

    async def test_within_it_nothing_is_different(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), "3")
        assert (await answer_of(UnifiedAgent(OPENAI, tools=[add], budget=1), stream=stream)).text == "3"


@either_way
class TestRetries:
    async def test_what_may_pass_is_tried_again_twice(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(DOWN, DOWN)
        assert (await answer_of(UnifiedAgent(OPENAI), stream=stream)).text == "echo: hi"
        assert len(llm.requests()) == 3

    async def test_and_no_more(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(DOWN, times=None)
        with pytest.raises(ProviderDown):
            await answer_of(UnifiedAgent(OPENAI), stream=stream)
        assert len(llm.requests()) == 3

    async def test_or_as_often_as_the_agent_says(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(DOWN, times=None)
        with pytest.raises(ProviderDown):
            await answer_of(UnifiedAgent(OPENAI, retries=1), stream=stream)
        assert len(llm.requests()) == 2

    @pytest.mark.parametrize(
        "reply", [Reply.failing(400), Reply.failing(401), Reply.failing(429, retry_after=int(LONGEST_WAIT) + 1)]
    )
    async def test_what_will_not_pass_soon_is_not(self, stream: bool, reply: Reply, llm: ScriptedLLM) -> None:
        llm.script(reply, times=None)
        with pytest.raises(ModelFailed):
            await answer_of(UnifiedAgent(OPENAI), stream=stream)
        assert len(llm.requests()) == 1

    async def test_a_plain_answer_that_breaks_off_is_and_what_was_streamed_is_not_said_twice(
        self, stream: bool, llm: ScriptedLLM
    ) -> None:
        llm.script(Reply("one two three four", cut_after=2))
        agent = UnifiedAgent(OPENAI, fallbacks=[SPARE], retries=0)
        if not stream:
            assert (await agent.run("hi")).text == "echo: hi"
            return
        said: list[UnifiedEvent] = []

        async def read() -> None:
            async for event in agent.stream("hi"):
                said.append(event)  # noqa: PERF401 - it does not end

        with pytest.raises(ProviderDown):
            await read()
        assert "".join(event.text for event in said if isinstance(event, Text)) == "one two"
        assert len(llm.requests()) == 1


@either_way
class TestFallbacks:
    @pytest.mark.parametrize("status", [400, 401, 429, 500])
    async def test_the_next_model_answers_where_one_fails(self, stream: bool, status: int, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(status), model="gpt-4o", times=None)
        llm.script(Reply.failing(500), model="gpt-4o-mini", times=None)
        agent = UnifiedAgent.with_fallbacks(OPENAI, [SPARE, LAST], retries=0)
        answer = await answer_of(agent, stream=stream)
        assert (answer.text, answer.model) == ("echo: hi", LAST)
        assert models(llm) == ["gpt-4o", "gpt-4o-mini", "gpt-4.1"]

    async def test_where_all_fail_the_first_one_s_error_is_told(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(429, "the first words"), model="gpt-4o", times=None)
        llm.script(Reply.failing(401, "the last words"), model="gpt-4o-mini", times=None)
        with pytest.raises(ModelRateLimited, match="the first words"):
            await answer_of(UnifiedAgent(OPENAI, fallbacks=[SPARE], retries=0), stream=stream)

    async def test_they_stand_by_for_each_call_of_a_run(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), Reply.failing(500), model="gpt-4o")
        agent = UnifiedAgent(OPENAI, tools=[add], fallbacks=[LAST], retries=0)
        assert (await answer_of(agent, stream=stream)).text == "results: 3"
        assert models(llm) == ["gpt-4o", "gpt-4o", "gpt-4.1"]

    async def test_what_a_fallback_does_not_take_is_left_out(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(500), model="gpt-4o")
        searching = "openai/gpt-5-search-api"
        agent = UnifiedAgent(OPENAI, temperature=0.5, fallbacks=[searching], retries=0)
        assert (await answer_of(agent, stream=stream)).model == searching
        assert "temperature" not in llm.requests()[-1].body


@either_way
class TestCache:
    @pytest.fixture(autouse=True)
    def no_cache(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(litellm, "cache", None)

    async def test_an_equal_call_gets_the_same_answer_for_nothing(self, stream: bool, llm: ScriptedLLM) -> None:
        agent = UnifiedAgent(OPENAI, cache=60)
        first = await answer_of(agent, "once", stream=stream)
        await until_cached()
        second = await answer_of(agent, "once", stream=stream)
        assert (first.text, second.text) == ("echo: once", "echo: once")
        assert (first.model, second.model) == (OPENAI, OPENAI)
        assert first.usage.cost
        assert second.usage.cost == 0
        assert len(llm.requests()) == 1

    async def test_another_agent_is_not_given_it_unasked(self, stream: bool, llm: ScriptedLLM) -> None:
        for cache in (True, None, False):
            await answer_of(UnifiedAgent(OPENAI, cache=cache), "again", stream=stream)
        assert len(llm.requests()) == 3


@either_way
class TestProxy:
    """A proxy's router in this process, with the model `house`, which has a price, and `spare` behind it."""

    @pytest.fixture(autouse=True)
    def router(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        from litellm.router import Router

        def deployment(name: str, model: str, **more: Any) -> dict[str, Any]:
            return {"model_name": name, "litellm_params": {"model": model, "cooldown_time": 0, "api_key": "k", **more}}

        priced = {"input_cost_per_token": 0.5, "output_cost_per_token": 1.0}
        router = Router(
            model_list=[deployment("house", "openai/gpt-house", **priced), deployment("spare", "openai/gpt-spare")],
            fallbacks=[{"house": ["spare"]}],
            num_retries=0,
        )
        monkeypatch.setitem(sys.modules, "litellm.proxy.proxy_server", SimpleNamespace(llm_router=router))
        yield
        router.discard()  # type: ignore[no-untyped-call]

    async def test_its_price_counts(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply("done", usage=Counts(prompt=10, completion=4)))
        answer = await answer_of(UnifiedAgent("house"), stream=stream)
        assert (answer.model, answer.usage.cost) == ("openai/gpt-house", 9.0)

    async def test_without_a_price_no_cost_is_known(self, stream: bool, llm: ScriptedLLM) -> None:
        assert (await answer_of(UnifiedAgent("spare"), stream=stream)).usage.cost is None

    async def test_an_answer_of_the_cache_is_of_the_same_model(
        self, stream: bool, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(litellm, "cache", None)
        agent = UnifiedAgent("spare", cache=60)
        first = await answer_of(agent, "once more", stream=stream)
        await until_cached()
        second = await answer_of(agent, "once more", stream=stream)
        assert (first.model, second.model) == ("openai/gpt-spare", "openai/gpt-spare")
        assert len(llm.requests()) == 1

    async def test_its_fallbacks_work_and_the_one_that_answered_is_told(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(500), model="gpt-house", times=None)
        answer = await answer_of(UnifiedAgent("house"), stream=stream)
        assert (answer.text, answer.model) == ("echo: hi", "openai/gpt-spare")
        assert models(llm) == ["gpt-house", "gpt-spare"]

    async def test_a_failure_has_no_word_of_the_configuration(self, stream: bool, llm: ScriptedLLM) -> None:
        llm.script(Reply.failing(500, "the words of the provider"), times=None)
        with pytest.raises(ProviderDown) as raised:
            await answer_of(UnifiedAgent("house"), stream=stream)
        assert raised.value.message.endswith("failed: the words of the provider")
