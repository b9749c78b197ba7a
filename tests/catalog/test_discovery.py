"""Where agents are looked for, and what counts as one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentllm.catalog import load_catalog
from agentllm.errors import ConfigurationError
from agentllm.runtimes import is_agent, is_agent_function
from agentllm.settings import load_settings
from tests.catalog.made import an_agent, load, names, write


class TestPlaces:
    def test_unset_they_are_the_folder_and_the_file_called_agents_that_are_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert names(load_catalog(load_settings())) == set()
        an_agent(tmp_path / "agents", "weather")
        assert names(load_catalog(load_settings())) == {"weather"}
        write(tmp_path / "agents.yaml", "agents: {haiku: {instructions: Rhyme.}}")
        assert names(load_catalog(load_settings())) == {"weather", "haiku"}

    def test_set_they_are_those_and_no_other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        an_agent(tmp_path / "agents", "weather")
        an_agent(tmp_path / "mine", "haiku")
        write(tmp_path / "more.yml", "agents: {limerick: {}}")
        monkeypatch.setenv("AGENTLLM_AGENTS", "mine:more.yml")
        assert names(load_catalog(load_settings())) == {"haiku", "limerick"}

    @pytest.mark.parametrize("name", ["agents.py", "agents.txt", "agents"])
    def test_a_file_that_is_not_yaml_stops_the_start(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load(write(tmp_path / name, "agents: {}"))
        assert name in caught.value.message
        assert "AGENTLLM_AGENTS" in caught.value.message

    def test_a_folder_may_be_empty(self, folder: Path) -> None:
        assert names(load(folder)) == set()


class TestFolders:
    def test_every_python_file_is_read(self, folder: Path) -> None:
        an_agent(folder, "weather")
        an_agent(folder, "haiku")
        assert names(load(folder)) == {"weather", "haiku"}

    def test_a_file_may_hold_several_agents(self, folder: Path) -> None:
        write(
            folder / "poets.py",
            "from agno.agent import Agent\ndef haiku() -> Agent: return Agent()\nsonnet = Agent(name='sonnet')\n",
        )
        assert names(load(folder)) == {"haiku", "sonnet"}

    def test_a_package_is_one_place_with_files_of_its_own(self, folder: Path) -> None:
        write(folder / "weather" / "__init__.py", "from .agent import weather")
        write(folder / "weather" / "city.py", "CITY = 'Bonn'")
        write(
            folder / "weather" / "agent.py",
            """
            from agno.agent import Agent
            from .city import CITY

            def weather() -> Agent:
                return Agent(description=CITY)
            """,
        )
        catalog = load(folder)
        assert names(catalog) == {"weather"}
        assert catalog.get("weather").description == "Bonn"

    def test_a_broken_package_is_called_after_its_folder(self, folder: Path) -> None:
        path = write(folder / "weather" / "__init__.py", "x = 1\n\n1 / 0")
        assert load(folder).broken["weather"].place == f"{path}:3"

    @pytest.mark.parametrize(
        "name", ["_private.py", "__init__.py", ".hidden.py", "notes.txt", "weather.py.bak", "nopackage/weather.py"]
    )
    def test_other_files_are_left_alone(self, name: str, folder: Path) -> None:
        write(folder / name, "raise RuntimeError('imported')")
        catalog = load(folder)
        assert names(catalog) == set()
        assert catalog.broken == {}

    def test_a_file_without_an_agent_is_warned_of(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = write(folder / "weather.py", "def weather(): ...")
        catalog = load(folder)
        assert names(catalog) == set()
        assert catalog.broken == {}
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert str(path) in record.getMessage()

    def test_files_import_each_other_relatively(self, folder: Path) -> None:
        write(folder / "_city.py", "CITY = 'Bonn'")
        write(
            folder / "weather.py",
            "from agno.agent import Agent\nfrom ._city import CITY\nx = Agent(name='weather', description=CITY)",
        )
        assert load(folder).get("weather").description == "Bonn"

    def test_files_import_each_other_by_name(self, folder: Path) -> None:
        write(folder / "_city_of_this_test.py", "CITY = 'Bonn'")
        write(
            folder / "weather.py",
            "from agno.agent import Agent\nfrom _city_of_this_test import CITY\nx = Agent(name='w', description=CITY)",
        )
        assert load(folder).get("w").description == "Bonn"

    def test_two_folders_may_hold_files_of_one_name(self, tmp_path: Path) -> None:
        for place in ("a", "b"):
            write(tmp_path / place / "_name.py", f"NAME = 'weather-{place}'")
            write(
                tmp_path / place / "weather.py",
                "from agno.agent import Agent\nfrom ._name import NAME\nx = Agent(name=NAME)",
            )
        assert names(load(tmp_path / "a", tmp_path / "b")) == {"weather-a", "weather-b"}

    def test_a_file_is_run_once_however_often_the_catalog_is_loaded(self, folder: Path, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        write(
            folder / "counted.py",
            f"""
            from agno.agent import Agent
            with open({str(runs)!r}, "a") as runs:
                runs.write("x")
            x = Agent()
            """,
        )
        load(folder)
        load(folder)
        assert runs.read_text() == "x"

    def test_a_link_to_a_folder_is_that_folder(self, folder: Path, tmp_path: Path) -> None:
        an_agent(folder, "weather")
        (tmp_path / "link").symlink_to(folder)
        load(tmp_path / "link", folder)
        assert sum(name.startswith("agentllm_agents_in") and name.endswith(".weather") for name in sys.modules) == 1


class TestWhatCounts:
    def test_agents_teams_and_workflows_are_agents_as_objects_and_from_functions(self, folder: Path) -> None:
        write(
            folder / "all.py",
            """
            from agno.agent import Agent
            from agno.team import Team
            from agno.workflow import Workflow

            class Mine(Agent):
                pass

            agent = Agent(name="agent")
            team = Team(name="team", members=[agent])
            workflow = Workflow(name="workflow", steps=[])
            mine = Mine(name="mine")

            def agent_function() -> Agent: return Agent()
            def team_function() -> Team: return Team(members=[])
            def workflow_function() -> Workflow: return Workflow(steps=[])
            def mine_function() -> Mine: return Mine()
            """,
        )
        made = {"agent", "team", "workflow", "mine"}
        assert names(load(folder)) == made | {f"{name}-function" for name in made}

    def test_annotations_may_be_text(self, folder: Path) -> None:
        write(
            folder / "later.py",
            """
            from __future__ import annotations
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                import agno.agent
                from agno.team import Team

            def one() -> agno.agent.Agent:
                from agno.agent import Agent
                return Agent()

            def two() -> Team:
                from agno.team import Team
                return Team(members=[])

            def three() -> Elsewhere: ...
            """,
        )
        assert names(load(folder)) == {"one", "two"}

    @pytest.mark.parametrize(
        "text",
        [
            "def f(): return Agent()",
            "def f() -> str: return Agent()",
            "def f() -> list[Agent]: return [Agent()]",
            "def f() -> None: ...",
            "def f(city) -> Agent: return Agent()",
            "def f(*, city: str) -> Agent: return Agent()",
            "def _f() -> Agent: return Agent()",
            "_f = Agent()",
            "f = [Agent()]",
            "f = lambda: Agent()",
            "class F:\n    def f(self) -> Agent: return Agent()",
            "class Agent: ...\ndef f() -> Agent: ...\nx = Agent()",
        ],
    )
    def test_what_does_not_say_so_is_none(self, text: str, folder: Path) -> None:
        write(folder / "file.py", f"from agno.agent import Agent\n{text}\n")
        catalog = load(folder)
        assert names(catalog) == set()
        assert catalog.broken == {}

    def test_parameters_that_need_not_be_given_are_no_hindrance(self, folder: Path) -> None:
        write(
            folder / "file.py",
            "from agno.agent import Agent\ndef f(city='Bonn', *args, deep=False, **more) -> Agent: return Agent()\n",
        )
        assert names(load(folder)) == {"f"}

    def test_a_function_of_another_file_is_that_files(self, folder: Path) -> None:
        an_agent(folder, "haiku")
        write(folder / "weather.py", "from .haiku import haiku\n" + an_agent(folder, "weather").read_text())
        catalog = load(folder)
        assert names(catalog) == {"haiku", "weather"}
        assert catalog.broken == {}

    def test_a_function_of_another_file_is_that_files_also_if_their_names_begin_alike(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        an_agent(folder, "weather_at_sea")
        write(
            folder / "weather.py",
            """
            from agno.agent import Agent
            from .weather_at_sea import weather_at_sea

            def weather_on_land() -> Agent:
                return Agent()
            """,
        )
        assert names(load(folder)) == {"weather-at-sea", "weather-on-land"}
        assert caplog.messages == []

    def test_one_agent_with_two_names_is_one(self, folder: Path) -> None:
        write(folder / "file.py", "from agno.agent import Agent\nfirst = Agent()\nsecond = first\n")
        assert names(load(folder)) == {"first"}

    def test_where_there_is_an_all_it_says_which(self, folder: Path) -> None:
        write(
            folder / "file.py",
            """
            from agno.agent import Agent
            __all__ = ["weather", "CITY", "_hidden"]
            CITY = "Bonn"
            helper = Agent(name="helper")
            weather = Agent(name="weather", description=CITY)
            _hidden = Agent(name="hidden")
            """,
        )
        assert names(load(folder)) == {"weather"}

    def test_an_all_that_names_what_is_not_there_breaks_that_file_alone(self, folder: Path) -> None:
        an_agent(folder, "haiku")
        write(folder / "weather.py", "__all__ = ['weather']\n")
        catalog = load(folder)
        assert names(catalog) == {"haiku"}
        assert "weather" in catalog.broken

    @pytest.mark.parametrize("annotation", ["typing.Missing", "1 / 0", "'Agent' | None", "(", "undefined()"])
    def test_an_annotation_that_makes_no_sense_breaks_no_other_file(self, annotation: str, folder: Path) -> None:
        an_agent(folder, "haiku")
        write(folder / "weather.py", f"import typing\ndef weather() -> {annotation!r}: ...\n")
        assert names(load(folder)) == {"haiku"}


class TestAgentFunctions:
    def test_they_are_told_from_other_values_without_calling_them(self) -> None:
        from agno.agent import Agent

        def agent() -> Agent:
            raise AssertionError("called")

        assert is_agent_function(agent)
        assert not any(map(is_agent_function, (Agent, Agent(), print, None, "agent")))

    def test_classes_that_are_only_called_like_agnos_are_no_agents(self) -> None:
        assert not is_agent(type("Agent", (), {})())
        assert not is_agent(type("Agent", (), {"__module__": "agnostic.agent"})())


class TestEntryPoints:
    @pytest.fixture
    def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder of installed packages."""
        site = tmp_path / "site"
        site.mkdir()
        monkeypatch.syspath_prepend(site)
        return site

    @staticmethod
    def install(site: Path, package: str, entry_points: str, module: str) -> None:
        info = site / f"{package}-1.0.dist-info"
        write(info / "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        write(info / "entry_points.txt", f"[agentllm.agents]\n{entry_points}\n[console_scripts]\nx = {package}:x\n")
        write(site / f"{package}.py", module)

    def test_an_installed_package_brings_agents(self, site: Path) -> None:
        module = "from agno.agent import Agent\ndef make(): return Agent(description='For rent.')\nready = Agent()"
        self.install(site, "acme", "road_runner = acme:make\ncoyote = acme:ready", module)
        catalog = load()
        assert names(catalog) == {"road-runner", "coyote"}
        assert catalog.get("road-runner").description == "For rent."

    def test_they_win_over_those_that_ship_and_the_users_own_over_them(self, site: Path, folder: Path) -> None:
        module = "from agno.agent import Agent\nx = Agent(description='acme')\ny = Agent(description='acme')"
        self.install(site, "acme", "demo = acme:x\nassistant = acme:y", module)
        an_agent(folder, "assistant")
        catalog = load(folder)
        assert catalog.get("demo").description == "acme"
        assert catalog.get("assistant").description == "The agent assistant."
        assert catalog.broken == {}

    @pytest.mark.parametrize(
        ("reference", "cause"),
        [
            ("acme_absent:x", "acme_absent"),
            ("acme:absent", "absent"),
            ("acme:CITY", "str"),
            ("acme:broken", "ZeroDivisionError"),
        ],
    )
    def test_one_that_is_broken_is_reported_as_what_it_is(self, reference: str, cause: str, site: Path) -> None:
        module = "from agno.agent import Agent\nCITY = 'Bonn'\ndef broken(): 1 / 0\nx = Agent()"
        self.install(site, "acme", f"weather = {reference}\nhaiku = acme:x", module)
        catalog = load()
        assert names(catalog) == {"haiku"}
        assert cause in catalog.broken["weather"].cause
        assert reference in catalog.broken["weather"].place
        assert "entry point" in catalog.broken["weather"].place

    def test_a_broken_one_hides_one_that_ships(self, site: Path) -> None:
        self.install(site, "acme", "demo = acme:absent", "")
        catalog = load()
        assert "demo" in catalog.broken
        assert "demo" not in catalog.agents
