"""Which models a caller may set, by the operator's rule, the key and the providers' keys, and what a request sets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from litellm.proxy import proxy_server
from litellm.proxy._types import UserAPIKeyAuth
from litellm.router import Router

from agentllm.core import Change
from agentllm.errors import InvalidRequest, SwapRefused
from agentllm.gateway.swaps import CallersPolicy, changes_of
from tests.gateway.conftest import Serve
from tests.runtimes.agno.spoken import agent

MODELS = {
    "fast": {"model": "openai/gpt-5.4-mini", "api_key": "k"},
    "wild/*": {"model": "openai/*", "api_key": "k"},
    "from-environment": {"model": "gemini/gemini-2.5-pro"},
    "local": {"model": "ollama_chat/llama3.2"},
    "disguised": {"model": "agno/demo"},
    "agno/demo": {"model": "agno/demo"},
}


@pytest.fixture(autouse=True)
def router(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> Iterator[Router]:
    """The proxy's router, with models of two providers, a pattern, an alias and an agent under another name."""
    serve(demo=agent()[0])
    models: Any = [{"model_name": name, "litellm_params": params} for name, params in MODELS.items()]
    made = Router(model_list=models, model_group_alias={"other-name": "fast"})
    monkeypatch.setattr(proxy_server, "llm_router", made)
    yield made
    made.discard()  # type: ignore[no-untyped-call]  # LiteLLM has no types for it


async def name_of(model: str, *patterns: str, key: UserAPIKeyAuth | None = None) -> str:
    return await CallersPolicy(patterns or None, key).allow(model)


async def refusal(model: str, *patterns: str, key: UserAPIKeyAuth | None = None) -> str:
    with pytest.raises(SwapRefused) as raised:
        await name_of(model, *patterns, key=key)
    return raised.value.message


@pytest.mark.parametrize("model", ["fast", "wild/gpt-5.4", "local", "other-name"])
async def test_by_itself_the_proxy_s_own_models_can_be_set(model: str) -> None:
    assert await name_of(model) == model


@pytest.mark.parametrize("model", ["openai/gpt-5.4-mini", "gpt-4o", "offline", "nonsense", "no/such", "", "FAST"])
async def test_by_itself_nothing_else_can_be_set(model: str) -> None:
    message = await refusal(model)
    assert "fast" in message
    assert "agno" not in message.partition("Models here:")[2]
    assert "disguised" not in message.partition("Models here:")[2]


@pytest.mark.parametrize("model", ["agno/demo", "adk/x", "litellm/x", "disguised", "agno/*"])
async def test_an_agent_is_never_set(model: str) -> None:
    for patterns in ((), ("*",)):
        assert "agent" in await refusal(model, *patterns)


async def test_the_operator_s_patterns_rule_in_the_place_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    patterns = ("openai/gpt-*", "offline", "fast")
    assert await name_of("openai/gpt-4o", *patterns) == "openai/gpt-4o"
    assert await name_of("gpt-4o", *patterns) == "openai/gpt-4o"
    assert await name_of("offline", *patterns) == "offline"
    assert await name_of("fast", *patterns) == "fast"
    message = await refusal("local", *patterns)
    assert "openai/gpt-*" in message
    assert "fast" in message


@pytest.mark.parametrize("model", ["openai/", "openai/ ", "openai/*", "openai/gpt-*", "wild/", "wild/*", "*"])
async def test_a_provider_alone_or_a_pattern_is_no_model(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    for patterns in ((), ("openai/*", "wild/*"), ("*",)):
        await refusal(model, *patterns)


async def test_of_what_the_operator_allows_litellm_must_know_the_provider() -> None:
    await refusal("no-such-provider/model", "*")
    await refusal("no-such-model", "*")


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("from-environment", "GEMINI_API_KEY"),
    ],
)
async def test_a_model_without_its_provider_s_key_is_refused_by_the_key_s_name(
    model: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert variable in await refusal(model, "*")
    monkeypatch.setenv(variable, "k")
    assert await name_of(model, "*") == model


async def test_a_key_sets_only_what_it_may_use() -> None:
    key = UserAPIKeyAuth(api_key="k", models=["fast", "agno/demo"])
    assert await name_of("fast", key=key) == "fast"
    assert (await refusal("local", key=key)).endswith("Models here: other-name, fast.")
    team = UserAPIKeyAuth(api_key="k", team_id="t", team_models=["local"])
    assert await name_of("local", key=team) == "local"
    assert (await refusal("fast", key=team)).endswith("Models here: local.")


async def test_a_key_s_aliases_give_it_no_other_models() -> None:
    key = UserAPIKeyAuth(api_key="k", models=["local"], aliases={"fast": "local"})
    await refusal("fast", key=key)


async def test_code_that_cannot_wait_is_told_the_same_on_the_loop_and_on_a_thread() -> None:
    policy = CallersPolicy(None, UserAPIKeyAuth(api_key="k", models=["fast"]))
    assert policy.allow_now("fast") == "fast"
    with pytest.raises(SwapRefused):
        policy.allow_now("local")
    assert await asyncio.to_thread(policy.allow_now, "fast") == "fast"
    with pytest.raises(SwapRefused):
        await asyncio.to_thread(policy.allow_now, "local")


@pytest.mark.parametrize(
    ("metadata", "changes"),
    [
        (None, ()),
        ({}, ()),
        ({"agentllm": None}, ()),
        ({"agentllm": {}}, ()),
        ({"agentllm": {"prompt": "p", "model": "m"}}, (Change("model", "m"), Change("prompt", "p"))),
        ({"agentllm": {"model": None}}, (Change("model", None),)),
        ({"agentllm.prompt": "", "session_id": "s"}, (Change("prompt", ""),)),
        ({"agentllm.model": "a", "agentllm": {"model": "b"}}, (Change("model", "b"),)),
    ],
)
def test_metadata_sets_what_it_names(metadata: object, changes: tuple[Change, ...]) -> None:
    assert changes_of(metadata) == changes


@pytest.mark.parametrize(
    "metadata",
    [{"agentllm": "m"}, {"agentllm": ["m"]}, {"agentllm": {"models": "m"}}, {"agentllm": {"model": 1}}],
)
def test_metadata_of_another_form_is_refused(metadata: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        changes_of(metadata)
    assert raised.value.param == "metadata"
