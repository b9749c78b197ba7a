"""Agents that need no code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from agno.agent import Agent
from agno.tools.calculator import CalculatorTools

from agentllm.catalog import BrokenAgent
from agentllm.catalog.yaml_agents import AgentDefinition, agents_in_yaml, build_agent
from agentllm.core import Card
from agentllm.errors import ConfigurationError
from agentllm.llm.offline import OfflineModel
from agentllm.llm.router import RouterModel
from tests.catalog.made import an_agent, load, names, write


def broken_in(path: Path) -> BrokenAgent:
    """The one agent of a file that is broken; another one stays up beside it."""
    catalog = load(path)
    assert names(catalog) == {"haiku"}
    (broken,) = catalog.broken.values()
    return broken


def built(path: Path, name: str) -> Agent:
    """The Agno agent that an entry becomes."""
    (entry,) = [entry for entry in agents_in_yaml(path) if entry.name == name]
    agent = entry.load()
    assert isinstance(agent, Agent)
    return agent


def tools_of(agent: Agent) -> Sequence[object]:
    assert isinstance(agent.tools, list)
    return agent.tools


class TestDefinitions:
    def test_an_entry_becomes_an_agent(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "agents.yaml",
            """
            agents:
              haiku:
                description: Answers in haiku
                model: offline
                instructions: [Answer every question with a haiku., Five seven five.]
                tools: [agno.tools.calculator.CalculatorTools]
            """,
        )
        assert load(path).get("haiku").description == "Answers in haiku"
        agent = built(path, "haiku")
        assert isinstance(agent.model, OfflineModel)
        assert agent.instructions == ["Answer every question with a haiku.", "Five seven five."]
        assert [type(tool) for tool in tools_of(agent)] == [CalculatorTools]
        assert agent.telemetry is False

    def test_everything_may_be_left_out(self, tmp_path: Path) -> None:
        path = write(tmp_path / "agents.yaml", "agents: {haiku: {}}")
        assert load(path).get("haiku").description == ""
        assert isinstance(built(path, "haiku").model, OfflineModel)

    def test_a_model_of_the_proxy_or_of_litellm_can_be_named(self, tmp_path: Path) -> None:
        model = built(write(tmp_path / "agents.yaml", "agents: {haiku: {model: gemini-2.5-flash}}"), "haiku").model
        assert isinstance(model, RouterModel)
        assert model.id == "gemini-2.5-flash"

    def test_instructions_may_be_one_text(self, tmp_path: Path) -> None:
        path = write(tmp_path / "agents.yaml", "agents:\n  haiku:\n    instructions: |\n      Rhyme.\n      Not.\n")
        assert built(path, "haiku").instructions == ["Rhyme.\nNot.\n"]

    def test_tools_are_classes_or_functions_also_of_files_beside_the_yaml(self, tmp_path: Path) -> None:
        write(
            tmp_path / "rain.py",
            "from agno.tools import Toolkit\nclass Rain(Toolkit): ...\ndef umbrella() -> str:\n    return 'yes'\n",
        )
        path = write(tmp_path / "agents.yaml", "agents: {haiku: {tools: [rain.Rain, 'rain:umbrella']}}")
        tools = tools_of(built(path, "haiku"))
        assert [getattr(tool, "__name__", type(tool).__name__) for tool in tools] == ["Rain", "umbrella"]

    def test_one_tool_needs_no_list(self, tmp_path: Path) -> None:
        path = write(tmp_path / "agents.yaml", "agents: {haiku: {tools: agno.tools.calculator.CalculatorTools}}")
        assert len(tools_of(built(path, "haiku"))) == 1

    def test_the_turns_that_it_is_given_again_can_be_named(self, tmp_path: Path) -> None:
        catalog = load(write(tmp_path / "agents.yaml", "agents: {haiku: {history_turns: 7}, sonnet: {}}"))
        assert [catalog.get(name).runtime.memory.turns for name in ("haiku", "sonnet")] == [7, None]

    def test_it_can_be_offered_the_tools_of_a_front_end(self, tmp_path: Path) -> None:
        catalog = load(write(tmp_path / "agents.yaml", "agents: {haiku: {front_end_tools: true}, sonnet: {}}"))
        assert [catalog.get(name).runtime.takes_front_end_tools for name in ("haiku", "sonnet")] == [True, False]

    def test_its_card_can_be_described(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "agents.yaml",
            """
            agents:
              haiku:
                tags: [poetry, short]
                suggestion_prompts: A haiku about the sea
              sonnet: {}
            """,
        )
        catalog = load(path)
        assert catalog.get("haiku").card == Card("haiku", ("poetry", "short"), ("A haiku about the sea",))
        assert catalog.get("sonnet").card == Card("sonnet")

    def test_entries_can_share_what_yaml_lets_them_share(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "agents.yaml",
            """
            agents:
              haiku: &poet
                description: Rhymes
                instructions: &rules [Rhyme.]
              sonnet: *poet
              limerick:
                <<: *poet
                description: Jokes
            """,
        )
        catalog = load(path)
        assert {name: catalog.get(name).description for name in names(catalog)} == {
            "haiku": "Rhymes",
            "sonnet": "Rhymes",
            "limerick": "Jokes",
        }
        assert built(path, "limerick").instructions == ["Rhyme."]

    def test_a_missing_tool_is_an_error_of_building(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            build_agent("haiku", AgentDefinition(tools=("os.path.jion",)), tmp_path)
        assert "jion" in caught.value.message


class TestReferences:
    def test_an_entry_may_point_at_code(self, tmp_path: Path) -> None:
        an_agent(tmp_path / "poets", "haiku")
        catalog = load(write(tmp_path / "agents.yaml", "agents: {haiku: 'poets.haiku:haiku'}"))
        assert names(catalog) == {"haiku"}
        assert catalog.get("haiku").description == "The agent haiku."

    def test_the_code_needs_no_annotation_and_may_be_private(self, tmp_path: Path) -> None:
        write(tmp_path / "_poets.py", "from agno.agent import Agent\ndef _make(): return Agent()\n")
        assert names(load(write(tmp_path / "agents.yaml", "agents: {haiku: '_poets:_make'}"))) == {"haiku"}


class TestBrokenEntries:
    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            ("{instruction: Rhyme.}", ["instruction"]),
            ("{description: [a]}", ["description"]),
            ("{description: 1}", ["description"]),
            ("{description: 2024-01-01}", ["description"]),
            ("{model: {id: x}}", ["model"]),
            ("{instructions: [1]}", ["instructions"]),
            ("{instructions: {a: b}}", ["instructions"]),
            ("{tools: [[a]]}", ["tools"]),
            ("{tools: [nonexistent_module.Tool]}", ["nonexistent_module"]),
            ("{tools: [os.path.jion]}", ["jion", "os.path"]),
            ("{tools: [tool]}", ["'tool'"]),
            ("{history_turns: 0}", ["history_turns"]),
            ("{history_turns: 1001}", ["history_turns", "1000"]),
            ("{history_turns: yes}", ["history_turns"]),
            ("{history_turns: '7'}", ["history_turns"]),
            ("{front_end_tools: 1}", ["front_end_tools"]),
            ("nowhere", ["'nowhere'"]),
            ("os.path:jion", ["jion"]),
            ("nonexistent_module:x", ["nonexistent_module"]),
            ("os.path:sep", ["str"]),
            ("os:getcwd", ["str"]),
            ("null", ["dictionary"]),
            ("[a]", ["dictionary"]),
            ("7", ["dictionary"]),
        ],
    )
    def test_it_is_reported_with_its_line_and_the_word_that_is_wrong(
        self, entry: str, words: list[str], tmp_path: Path
    ) -> None:
        path = write(tmp_path / "agents.yaml", f"agents:\n  haiku: {{}}\n  # broken\n  weather: {entry}\n")
        broken = broken_in(path)
        assert broken.name == "weather"
        assert broken.place == f"{path}:4"
        assert all(word in broken.cause for word in words)

    @pytest.mark.parametrize(
        "entry",
        [
            "{instructions: !env RULES}",
            "!!python/object/apply:os.getcwd []",
            "{description: 2024-13-45}",
            "{? [a] : b}",
            "{description: !!int many}",
        ],
    )
    def test_a_value_that_yaml_cannot_make_is_reported_as_any_other(self, entry: str, tmp_path: Path) -> None:
        path = write(tmp_path / "agents.yaml", f"agents:\n  haiku: {{}}\n  weather: {entry}\n")
        assert broken_in(path).place == f"{path}:3"

    def test_an_entry_with_nothing_in_it_is_reported_as_any_other(self, tmp_path: Path) -> None:
        path = write(tmp_path / "agents.yaml", "agents:\n  haiku: {}\n  weather:\n")
        assert broken_in(path).place == f"{path}:3"

    def test_a_name_that_is_none_is_reported_with_its_line(self, tmp_path: Path) -> None:
        path = write(tmp_path / "agents.yaml", "agents:\n  haiku: {}\n  a/b: {}\n")
        assert broken_in(path).place == f"{path}:3"

    def test_the_second_of_two_with_one_name_is_reported(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write(tmp_path / "agents.yaml", "agents:\n  haiku: {description: a}\n  Haiku: {description: b}\n")
        assert load(path).get("haiku").description == "a"
        assert f"{path}:3" in caplog.text

    def test_an_error_in_the_code_is_that_entrys(self, tmp_path: Path) -> None:
        write(tmp_path / "code.py", "1 / 0")
        path = write(tmp_path / "agents.yaml", "agents:\n  haiku: {}\n  weather: code:x\n")
        assert "ZeroDivisionError" in broken_in(path).cause


class TestBrokenFiles:
    @pytest.mark.parametrize(
        "text",
        [
            "agents: [",
            "agents: {a: b",
            "a: b: c",
            "- agents",
            "agents",
            "haiku: {}",
            "agents: {}\nmore: {}",
            "{}",
            "agents: [haiku]",
            "agents: haiku",
            "agents:",
            "agents: {}\n---\nagents: {}",
            "agents: *nowhere",
            "\tagents: {}",
        ],
    )
    def test_a_file_that_is_no_list_of_agents_is_broken_as_one_and_the_others_stay_up(
        self, text: str, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "poets.yaml", "")
        path.write_text(text)
        catalog = load(path, write(tmp_path / "good.yaml", "agents: {haiku: {}}"))
        assert names(catalog) == {"haiku"}
        assert catalog.broken["poets"].place == str(path)
        assert str(path) in catalog.broken["poets"].cause

    def test_bad_yaml_is_reported_with_its_line(self, tmp_path: Path) -> None:
        path = write(tmp_path / "poets.yaml", "agents:\n  haiku: {\n")
        assert "line 3" in load(path).broken["poets"].cause

    def test_a_file_that_is_not_utf8_is_broken(self, tmp_path: Path) -> None:
        path = tmp_path / "poets.yaml"
        path.write_bytes(b"agents: {haiku: {description: \xff}}")
        assert "poets" in load(path).broken

    @pytest.mark.parametrize("text", ["", "# nothing yet\n", "agents: {}"])
    def test_a_file_may_be_empty(self, text: str, tmp_path: Path) -> None:
        catalog = load(write(tmp_path / "poets.yaml", text))
        assert names(catalog) == set()
        assert catalog.broken == {}
