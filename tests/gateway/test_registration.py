"""Agents in a real router of LiteLLM."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import litellm
import litellm.exceptions as litellm_errors
import pytest
from litellm.llms.custom_llm import CustomLLM
from litellm.proxy import proxy_server
from litellm.router import Router

from agentllm.catalog import Catalog
from agentllm.core import FAMILIES, Agent
from agentllm.gateway import registration
from agentllm.gateway.registration import is_served_here, keep_registered, register, why_not
from agentllm.runtimes import runtime_for
from tests.gateway.conftest import Serve
from tests.runtimes.agno import spoken

SECOND = 30.0


def catalog(*names: str) -> Catalog:
    runtime = runtime_for(spoken.agent()[0])
    return Catalog({name: Agent(name, f"{name} does it.", runtime) for name in names})


def router(*deployments: dict[str, Any]) -> Router:
    return Router(model_list=list(deployments))


def entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **params}}


def ids(routes: Router) -> list[str]:
    return [deployment["model_name"] for deployment in routes.model_list]


@pytest.fixture(autouse=True)
def agno_is_a_provider(serve: Serve) -> None:
    serve(demo=spoken.agent("hello")[0])


@pytest.mark.parametrize("name", ["replicate", "my-replicated-report", "clarifai-like", "ft:gpt-3.5-turbo-x"])
def test_a_name_that_litellm_sends_elsewhere_is_refused_with_the_reason(name: str) -> None:
    assert "elsewhere" in (why_not(name) or "")


def test_a_model_s_name_of_such_a_provider_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "petals_models", {"stabilityai/StableBeluga2", "beluga"}, raising=False)
    assert "petals" in (why_not("beluga") or "")


@pytest.mark.parametrize("name", ["demo", "gpt-4o", "claude-3", "gemini-pro", "release-manager"])
def test_other_names_are_fine(name: str) -> None:
    assert why_not(name) is None


def test_every_agent_becomes_a_deployment_that_is_not_retried_and_does_not_cool_down() -> None:
    routes = router()
    assert register(routes, catalog("demo", "poet"))
    assert ids(routes) == ["agno/demo", "agno/poet"]
    for deployment in routes.model_list:
        assert (deployment["litellm_params"]["num_retries"], deployment["litellm_params"]["cooldown_time"]) == (0, 0)
        assert deployment["model_info"]["mode"] == "chat"
    assert routes.model_list[0]["model_info"]["description"] == "demo does it."


def test_registering_again_changes_nothing() -> None:
    routes, agents = router(), catalog("demo")
    register(routes, agents)
    assert not register(routes, agents)
    assert ids(routes) == ["agno/demo"]


def test_an_explicit_entry_wins_and_gets_our_retries_and_cooldown() -> None:
    routes = router(entry("agno/demo", "agno/demo", num_retries=3), entry("mine", "agno/demo"))
    assert not register(routes, catalog("demo"))
    first, second = (deployment["litellm_params"] for deployment in routes.model_list)
    assert (first["num_retries"], first["cooldown_time"]) == (3, 0)
    assert (second["num_retries"], second["cooldown_time"]) == (0, 0)


@pytest.mark.parametrize("name", ["reasoning_effort", "verbosity", "thinking", "response_format"])
def test_agents_get_the_parameters_that_litellm_holds_back_from_custom_providers(name: str) -> None:
    routes = router(entry("mine", "agno/demo"), entry("theirs", "agno/demo", allowed_openai_params=["seed"]))
    register(routes, catalog("poet"))
    allowed = [deployment["litellm_params"]["allowed_openai_params"] for deployment in routes.model_list]
    assert [name in one for one in allowed] == [True, False, True]


async def test_effort_reaches_an_agent_through_the_router(serve: Serve) -> None:
    who, model = spoken.agent("hello")
    serve(demo=who)
    routes = router()
    register(routes, catalog("demo"))
    await routes.acompletion(
        model="agno/demo", messages=[{"role": "user", "content": "hi"}], reasoning_effort="low", verbosity=None
    )
    assert model.calls[0].reasoning_effort == "low"


def test_deployments_of_others_are_left_alone() -> None:
    routes = router(entry("gpt", "openai/gpt", api_key="k"))
    register(routes, catalog("demo"))
    assert routes.model_list[0]["litellm_params"].get("num_retries") is None


async def test_an_agent_answers_through_the_router() -> None:
    routes = router()
    register(routes, catalog("demo"))
    answer: Any = await routes.acompletion(model="agno/demo", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "hello"


async def test_an_agent_that_fails_is_not_tried_again_and_does_not_cool_down(serve: Serve) -> None:
    from agno.exceptions import ModelProviderError

    who, model = spoken.agent((ModelProviderError("no", 429),), (ModelProviderError("no", 401),), "hello")
    serve(demo=who)
    routes = router()
    register(routes, catalog("demo"))
    for kind in (litellm_errors.RateLimitError, litellm_errors.AuthenticationError):
        with pytest.raises(kind):
            await routes.acompletion(model="agno/demo", messages=[{"role": "user", "content": "hi"}])
    assert len(model.asked) == 2
    answer: Any = await routes.acompletion(model="agno/demo", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "hello"


@pytest.mark.parametrize(
    ("model", "served"),
    [("agno/demo", True), ("agno/nobody", True), ("mine", True), ("gpt", False), ("nothing", False), (None, False)],
)
def test_a_request_is_ours_by_its_name_or_by_the_entry_of_its_name(model: object, served: bool) -> None:
    routes = router(entry("gpt", "openai/gpt", api_key="k"), entry("mine", "agno/demo"))
    assert is_served_here(routes, model) is served


def test_without_a_router_only_the_name_tells() -> None:
    assert is_served_here(None, "agno/demo")
    assert not is_served_here(None, "mine")


def test_clients_call_an_agent_by_the_provider_and_its_name() -> None:
    (agent,) = catalog("demo")
    assert agent.model == "agno/demo"


class Watched(Catalog):
    """A catalog that tells when it was read."""

    def __iter__(self) -> Any:
        READ.set()
        return super().__iter__()


READ = asyncio.Event()


async def read_again(agents: Iterable[Agent]) -> None:
    READ.clear()
    await asyncio.wait_for(READ.wait(), SECOND)
    await asyncio.sleep(0)


async def test_agents_are_registered_once_the_proxy_has_a_router_and_again_when_they_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registration, "RECONCILE_SECONDS", 0.001)
    monkeypatch.setattr(proxy_server, "llm_router", None)
    monkeypatch.setattr(proxy_server, "llm_model_list", None)
    agents = Watched(catalog("demo").agents)
    monkeypatch.setattr(litellm, "custom_provider_map", [])
    handler = CustomLLM()
    task = asyncio.create_task(keep_registered(agents, handler))
    try:
        await asyncio.sleep(0)
        routes = router()
        proxy_server.llm_router = routes
        await read_again(agents)
        assert ids(routes) == ["agno/demo"]
        assert {item["provider"]: item["custom_handler"] for item in litellm.custom_provider_map} == dict.fromkeys(
            FAMILIES, handler
        )
        assert [deployment["model_name"] for deployment in proxy_server.llm_model_list or ()] == ["agno/demo"]
        routes.delete_deployment("agentllm-agno-demo")
        assert ids(routes) == []
        await read_again(agents)
        assert ids(routes) == ["agno/demo"]
        another = router()
        proxy_server.llm_router = another
        await read_again(agents)
        await read_again(agents)
        assert ids(another) == ["agno/demo"]
    finally:
        task.cancel()
        await asyncio.wait({task})
