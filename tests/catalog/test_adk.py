"""Agents of ADK in folders: which are found, what they are called, and their cards."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentllm.catalog.adk_cards import write_cards
from agentllm.cli import app
from agentllm.errors import ConfigurationError
from tests.catalog.made import load, names, write

AGENT = """
from google.adk.agents import LlmAgent
helper = LlmAgent(name="helper", model="gemini-2.5-flash")
root_agent = LlmAgent(name="{name}", description="Sells.", model="gemini-2.5-flash", sub_agents=[helper])
"""


@pytest.mark.parametrize(("name", "called"), [("my_shop", "my-shop"), ("root_agent", "shop")])
def test_the_root_agent_of_a_file_is_called_as_it_calls_itself_or_else_as_the_file(
    folder: Path, name: str, called: str
) -> None:
    write(folder / "shop.py", AGENT.format(name=name))
    catalog = load(folder)
    assert names(catalog) == {called}
    assert catalog.get(called).model == f"adk/{called}"
    assert catalog.get(called).description == "Sells."


@pytest.mark.parametrize("init", ["", "from . import agent", "from .agent import root_agent"])
def test_a_package_is_found_in_each_way_that_adk_finds_it(folder: Path, init: str) -> None:
    write(folder / "shop" / "__init__.py", init)
    write(folder / "shop" / "agent.py", AGENT.format(name="root_agent"))
    assert names(load(folder)) == {"shop"}


def test_agents_and_functions_without_a_root_are_found_as_any_other(folder: Path) -> None:
    write(
        folder / "two.py",
        """
        from google.adk.agents import LlmAgent
        one = LlmAgent(name="one", model="gemini-2.5-flash")
        def two() -> LlmAgent:
            "The second."
            return LlmAgent(name="other", model="gemini-2.5-flash")
        """,
    )
    catalog = load(folder)
    assert {(agent.model, agent.description) for agent in catalog if agent.family == "adk"} == {
        ("adk/one", ""),
        ("adk/other", "The second."),
    }


def test_an_agent_of_a_model_that_adk_does_not_know_is_broken(folder: Path) -> None:
    write(folder / "shop.py", AGENT.format(name="shop").replace("gemini-2.5-flash", "no-such-model"))
    assert "no-such-model" in load(folder).broken["shop"].cause


def test_without_adk_the_cause_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("google.adk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_WithoutAdk(), *sys.meta_path])
    write(folder / "shop.py", AGENT.format(name="shop"))
    assert "agentllm[adk]" in load(folder).broken["shop"].cause
    write(folder / "package" / "agent.py", AGENT.format(name="shop"))
    with pytest.raises(ConfigurationError, match="agentllm"):
        write_cards(folder, "http://localhost:8000")


class _WithoutAdk:
    """Finds ADK nowhere."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.startswith("google.adk"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class TestCards:
    def test_each_package_gets_one_with_the_url_that_it_is_reached_at(self, folder: Path) -> None:
        write(folder / "shop" / "__init__.py", "")
        write(folder / "shop" / "agent.py", AGENT.format(name="seller"))
        done = CliRunner().invoke(app, ["adk-cards", str(folder), "--url", "https://agents.example.com/"])
        assert done.exit_code == 0, done.output
        card = json.loads((folder / "shop" / "agent.json").read_text())
        assert (card["name"], card["url"]) == ("seller", "https://agents.example.com/a2a/shop")
        assert {(face["url"], face["protocolVersion"]) for face in card["supportedInterfaces"]} == {
            (card["url"], "1.0"),
            (card["url"], "0.3.0"),
        }

    @pytest.mark.parametrize("url", ["agents.example.com", ""])
    def test_what_is_no_url_is_refused(self, folder: Path, url: str) -> None:
        with pytest.raises(ConfigurationError):
            write_cards(folder, url)

    def test_a_folder_without_packages_is_refused(self, folder: Path) -> None:
        an_other = write(folder / "other" / "agent.py", "root_agent = None")
        with pytest.raises(ConfigurationError):
            write_cards(an_other.parents[1], "http://localhost:8000")
