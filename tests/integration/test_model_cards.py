"""The model lists of running proxies: our models with their cards, for whom they are meant, and all others as ever."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openai import NotFoundError, OpenAI

from agentllm.gateway.model_cards import BUILT_IN_TOOLS, FIELDS
from agentllm.keys import KeyFile, make_key
from tests.integration.conftest import llm_environment
from tests.proxy import ROOT, Proxy
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.timeout(300)

LISTS = pytest.mark.parametrize("path", ["/v1/models", "/models"])
INFOS = pytest.mark.parametrize("path", ["/v1/model/info", "/model/info"])

AGENTS = """
from agno.agent import Agent

from agentllm.llm.default import default_model


def weather() -> Agent:
    metadata = {"tags": ["weather"], "suggestion_prompts": ["Will it rain in London tomorrow?"], "takes_images": False}
    return Agent(
        name="Weather Service", description="Tells the weather.", model=default_model(), metadata=metadata,
        telemetry=False,
    )


def wrong() -> Agent:
    return Agent(name="wrong", model=default_model(), metadata={"tags": "no list"}, telemetry=False)
"""


def made_agents(folder: Path) -> Path:
    agents = folder / "agents"
    agents.mkdir(parents=True)
    (agents / "cards.py").write_text(textwrap.dedent(AGENTS))
    return agents


def configuration(folder: Path) -> Path:
    """The project's own, with entries that point to an agent."""
    config = yaml.safe_load((ROOT / "proxy_config.yaml").read_text())
    config["model_list"] += [
        {
            "model_name": "forecast",
            "litellm_params": {"model": "agno/weather-service"},
            "model_info": {"name": "Forecast", "description": "As the operator calls it."},
        },
        {"model_name": "meteo", "litellm_params": {"model": "agno/weather-service"}},
    ]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module", params=[("agentllm", "serve"), ("litellm", "--run_gunicorn", "--num_workers", "2")])
def listing(
    request: pytest.FixtureRequest, running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, str]]:
    """A proxy as it is started alone and with workers, and a key for one model of ours and one of another provider."""
    folder = tmp_path_factory.mktemp("cards")
    file = KeyFile(folder / "keys.yaml")
    secret, key = make_key("ada", user="ada", models=("agno/weather-service", "gemini-2.5-pro"))
    file.add(key)
    environment = {
        **llm_environment(running_llm),
        "AGENTLLM_AGENTS": str(made_agents(folder)),
        "AGENTLLM_KEYS": str(file.path),
    }
    with Proxy(folder, environment, config=configuration(folder), command=request.param) as proxy:
        yield proxy, secret


def get(proxy: Proxy, path: str, key: str | None = None, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or proxy.key}", **more.pop("headers", {})}
    return httpx.get(f"{proxy.url}{path}", headers=headers, timeout=30, **more)


def entries(response: httpx.Response) -> dict[str, dict[str, Any]]:
    assert response.status_code == 200, response.text
    return {entry["id"]: entry for entry in response.json()["data"]}


def check_card(card: Mapping[str, Any], *, name: str, description: str) -> None:
    assert (card["name"], card["description"]) == (name, description)
    assert card["tags"] == [{"name": "weather"}]
    meta = card["info"]["meta"]
    assert meta["description"] == description
    assert meta["suggestion_prompts"] == [
        {"title": ["Will it rain in", "London tomorrow?"], "content": "Will it rain in London tomorrow?"}
    ]
    assert (meta["capabilities"]["vision"], meta["capabilities"]["builtin_tools"]) == (False, True)
    assert meta["builtinTools"] == {tool: tool == "user_input" for tool in BUILT_IN_TOOLS}


@LISTS
def test_a_model_of_ours_is_listed_with_its_agent_s_card(listing: tuple[Proxy, str], path: str) -> None:
    for _ in range(6):  # each connection may reach another worker
        listed = entries(get(listing[0], path))
        check_card(listed["agno/weather-service"], name="Weather Service", description="Tells the weather.")
        check_card(listed["forecast"], name="Forecast", description="As the operator calls it.")
        check_card(listed["meteo"], name="Weather Service", description="Tells the weather.")


@LISTS
def test_models_of_other_providers_are_listed_as_ever(listing: tuple[Proxy, str], path: str) -> None:
    entry = entries(get(listing[0], path))["gemini-2.5-pro"]
    assert set(entry).isdisjoint(FIELDS)
    assert (entry["object"], entry["owned_by"]) == ("model", "openai")


@LISTS
def test_one_model_is_shown_with_the_same_card(listing: tuple[Proxy, str], path: str) -> None:
    for name in ("forecast", "gemini-2.5-pro"):
        entry = get(listing[0], f"{path}/{name}").json()
        listed = entries(get(listing[0], path))[name]
        assert {field: entry.get(field) for field in FIELDS} == {field: listed.get(field) for field in FIELDS}
    assert get(listing[0], f"{path}/nobody").status_code == 404


def test_an_agent_is_found_by_its_name(listing: tuple[Proxy, str]) -> None:
    proxy, key = listing
    for known in (proxy.key, key):
        with OpenAI(base_url=proxy.base_url, api_key=known, max_retries=0) as client:
            name = client.models.list().data[0].id
            assert client.models.retrieve(name).id == name
            with pytest.raises(NotFoundError, match="agno/nobody") as raised:
                client.models.retrieve("agno/nobody")
            assert raised.value.type == "not_found_error"


@LISTS
def test_a_key_sees_its_models_alone(listing: tuple[Proxy, str], path: str) -> None:
    proxy, key = listing
    listed = entries(get(proxy, path, key))
    assert set(listed) == {"agno/weather-service", "gemini-2.5-pro"}
    check_card(listed["agno/weather-service"], name="Weather Service", description="Tells the weather.")
    assert get(proxy, path, "sk-nobody").status_code == 401
    assert get(proxy, f"{path}/forecast", key).status_code == 404


@LISTS
def test_litellm_s_own_parameters_count(listing: tuple[Proxy, str], path: str) -> None:
    assert get(listing[0], path, params={"scope": "nonsense"}).status_code == 400
    listed = entries(get(listing[0], path, params={"include_metadata": "true"}))
    assert all("metadata" in entry for entry in listed.values())
    other_form = get(listing[0], path, headers={"anthropic-version": "2023-06-01"}).json()
    assert all("info" not in entry for entry in other_form["data"])


@INFOS
def test_the_info_of_a_model_has_the_same_card(listing: tuple[Proxy, str], path: str) -> None:
    shown = {entry["model_name"]: entry["model_info"] for entry in get(listing[0], path).json()["data"]}
    check_card(shown["agno/weather-service"], name="Weather Service", description="Tells the weather.")
    check_card(shown["forecast"], name="Forecast", description="As the operator calls it.")
    assert "info" not in shown["gemini-2.5-pro"]


def test_clients_of_openai_read_the_list(listing: tuple[Proxy, str]) -> None:
    with OpenAI(base_url=listing[0].base_url, api_key=listing[0].key) as client:
        (model,) = [model for model in client.models.list() if model.id == "agno/weather-service"]
        assert model.model_dump()["info"]["meta"]["description"] == "Tells the weather."
        assert client.models.retrieve("meteo").id == "meteo"


def test_a_card_that_cannot_be_shown_breaks_its_agent_alone(listing: tuple[Proxy, str]) -> None:
    proxy, _ = listing
    assert "agno/wrong" not in entries(get(proxy, "/v1/models"))
    assert re.search(r"agent 'wrong' is broken: .*tags", proxy.log)


def test_the_agents_that_ship_have_cards(listing: tuple[Proxy, str]) -> None:
    listed = entries(get(listing[0], "/v1/models"))
    for name in ("agno/demo", "agno/assistant", "agno/release-manager"):
        assert listed[name]["description"]
        assert listed[name]["tags"]
        assert len(listed[name]["info"]["meta"]["suggestion_prompts"]) >= 3
