"""The cards of agents, in the form that Open WebUI takes over."""

from __future__ import annotations

from typing import Any

import pytest
from agno.agent import Agent as AgnoAgent
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from litellm.proxy import proxy_server
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth
from litellm.router import Router

from agentllm.catalog import Catalog
from agentllm.core import Agent, Card
from agentllm.gateway import model_cards
from agentllm.gateway.model_cards import BUILT_IN_TOOLS, PATHS, model_info_of, show_cards
from agentllm.gateway.registration import register
from agentllm.runtimes import runtime_for
from tests.gateway.conftest import Serve
from tests.runtimes.agno import spoken

CARD = Card("Weather", ("weather", "en"), ("Will it rain in London tomorrow?",), takes_images=False)


def an_agent(card: Card = CARD, **metadata: Any) -> Agent:
    made = AgnoAgent(name="weather", model=spoken.Spoken(), metadata=metadata or None, telemetry=False)
    return Agent("weather", "Tells the weather.", runtime_for(made), card)


@pytest.fixture
def routes(serve: Serve) -> Router:
    """A router with the agent, an explicit entry that points to it, and a model of another provider."""
    serve(weather=spoken.agent("hello")[0])
    mine = {"model_name": "mine", "litellm_params": {"model": "agno/weather"}, "model_info": {"description": "Mine."}}
    other = {"model_name": "gpt", "litellm_params": {"model": "openai/gpt", "api_key": "k"}}
    made = Router(model_list=[mine, other])
    register(made, Catalog({"weather": an_agent()}))
    return made


def test_a_card_has_what_open_webui_shows() -> None:
    info = model_info_of(an_agent(), {})
    assert (info["name"], info["description"]) == ("Weather", "Tells the weather.")
    assert info["tags"] == [{"name": "weather"}, {"name": "en"}]
    meta = info["info"]["meta"]
    assert meta["description"] == "Tells the weather."
    assert meta["suggestion_prompts"] == [
        {"title": ["Will it rain in", "London tomorrow?"], "content": "Will it rain in London tomorrow?"}
    ]
    assert meta["capabilities"]["vision"] is False
    assert meta["capabilities"]["builtin_tools"] is True
    assert all(isinstance(value, bool) for value in meta["capabilities"].values())


def test_of_the_built_in_tools_only_the_one_that_asks_the_person_is_on() -> None:
    tools = model_info_of(an_agent(), {})["info"]["meta"]["builtinTools"]
    assert set(tools) == set(BUILT_IN_TOOLS)
    assert [name for name, is_on in tools.items() if is_on] == ["user_input"]


def test_an_agent_that_takes_a_front_end_s_tools_leaves_them_on() -> None:
    meta = model_info_of(an_agent(front_end_tools=True), {})["info"]["meta"]
    assert "builtinTools" not in meta
    assert meta["capabilities"]["builtin_tools"] is True


def test_an_agent_that_says_nothing_of_itself_is_shown_by_its_name() -> None:
    info = model_info_of(an_agent(Card()), {})
    assert (info["name"], info["tags"], info["info"]["meta"]["suggestion_prompts"]) == ("weather", [], [])
    assert info["info"]["meta"]["capabilities"]["vision"] is True


def test_a_short_prompt_is_its_own_title() -> None:
    info = model_info_of(an_agent(Card(prompts=("Rain?",))), {})
    assert info["info"]["meta"]["suggestion_prompts"] == [{"title": ["Rain?", ""], "content": "Rain?"}]


def test_what_the_model_s_own_info_says_is_left_as_it_is() -> None:
    info = model_info_of(an_agent(), {"description": "Mine.", "tags": []})
    assert set(info) == {"name", "info"}
    assert info["info"]["meta"]["description"] == "Mine."


def test_an_entry_of_the_configuration_gets_the_card_and_keeps_its_own(routes: Router) -> None:
    (mine,) = [deployment for deployment in routes.model_list if deployment["model_name"] == "mine"]
    assert mine["model_info"]["description"] == "Mine."
    assert mine["model_info"]["name"] == "Weather"
    assert mine["model_info"]["info"]["meta"]["description"] == "Mine."


def test_registering_again_changes_no_card(routes: Router) -> None:
    before = [dict(deployment["model_info"]) for deployment in routes.model_list]
    assert not register(routes, Catalog({"weather": an_agent(Card("another"))}))
    assert [deployment["model_info"] for deployment in routes.model_list] == before


Entries = dict[str, dict[str, Any]]


@pytest.fixture
def plain(routes: Router, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """LiteLLM's own endpoints, asked by somebody who may see every model."""
    app = FastAPI()
    app.include_router(proxy_server.router)
    app.dependency_overrides[user_api_key_auth] = lambda: UserAPIKeyAuth(api_key="k", models=[])
    monkeypatch.setattr(proxy_server, "app", app)
    monkeypatch.setattr(proxy_server, "llm_router", routes)
    monkeypatch.setattr(proxy_server, "llm_model_list", routes.get_model_list())
    return TestClient(app)


@pytest.fixture
def before(plain: TestClient) -> Entries:
    """What LiteLLM itself answers."""
    return {entry["id"]: entry for entry in plain.get("/v1/models").json()["data"]}


@pytest.fixture
def client(plain: TestClient, before: Entries) -> TestClient:
    """The same with ours before them."""
    show_cards()
    return plain


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_our_entries_have_cards_and_those_of_others_are_as_they_were(
    client: TestClient, before: Entries, path: str
) -> None:
    answer = client.get(path).json()
    entries = {entry["id"]: entry for entry in answer["data"]}
    assert answer["object"] == "list"
    assert entries.keys() == before.keys() == {"agno/weather", "mine", "gpt"}
    assert entries["gpt"] == before["gpt"]
    for name in ("agno/weather", "mine"):
        assert entries[name].items() >= before[name].items()
        assert entries[name]["name"] == "Weather"
        assert entries[name]["info"]["meta"]["builtinTools"]["user_input"] is True


@pytest.mark.parametrize("path", ["/v1/models/gpt", "/models/gpt"])
def test_one_model_of_another_provider_is_as_it_was(client: TestClient, path: str) -> None:
    assert set(client.get(path).json()).isdisjoint(model_cards.FIELDS)


def test_a_list_in_another_form_is_as_it_was(client: TestClient) -> None:
    answer = client.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert all("info" not in entry for entry in answer["data"])


def test_query_parameters_reach_litellm(client: TestClient) -> None:
    assert client.get("/v1/models", params={"scope": "nonsense"}).status_code == 400
    entries = client.get("/v1/models", params={"include_metadata": True}).json()["data"]
    assert all("metadata" in entry for entry in entries)


def test_litellm_s_own_description_of_its_api_is_unchanged(client: TestClient) -> None:
    app = proxy_server.app
    first = [route for route in app.router.routes[: len(PATHS)] if isinstance(route, APIRoute)]
    assert {route.path.replace(":path", "") for route in first} == set(PATHS)
    assert not any(route.include_in_schema for route in first)


def test_before_there_is_a_router_the_list_is_litellm_s(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_server, "llm_router", None)
    assert client.get("/v1/models").json()["data"] == []
