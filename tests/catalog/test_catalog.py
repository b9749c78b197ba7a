"""The catalog: names, precedence, and what is broken beside what is up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.catalog import BrokenAgent, Catalog
from agentllm.catalog.catalog import agent_name
from agentllm.catalog.discovery import SHIPPED
from agentllm.errors import AgentUnavailable, ConfigurationError, UnknownAgent
from agentllm.runtimes.agno import AgnoRuntime
from tests.catalog.made import an_agent, load, names, write


def test_without_agents_of_ones_own_there_are_those_that_ship() -> None:
    catalog = load()
    assert set(catalog.agents) == set(SHIPPED)
    assert all(agent.description for agent in catalog)
    assert catalog.broken == {}


def test_it_gives_every_agent_once(folder: Path) -> None:
    an_agent(folder, "weather")
    catalog = load(folder)
    assert [agent.name for agent in catalog] == list(catalog.agents)
    assert isinstance(catalog.get("weather").runtime, AgnoRuntime)


class TestNames:
    def test_an_agent_is_called_what_it_calls_itself(self, folder: Path) -> None:
        write(folder / "file.py", "from agno.agent import Agent\ndef function() -> Agent: return Agent(name='weather')")
        assert names(load(folder)) == {"weather"}

    def test_an_agent_without_a_name_but_an_id_is_called_that(self, folder: Path) -> None:
        write(folder / "file.py", "from agno.agent import Agent\ndef function() -> Agent: return Agent(id='weather')")
        assert names(load(folder)) == {"weather"}

    def test_an_agent_that_gives_itself_no_name_has_that_of_its_function(self, folder: Path) -> None:
        write(folder / "file.py", "from agno.agent import Agent\ndef weather_agent() -> Agent: return Agent()")
        assert names(load(folder)) == {"weather-agent"}

    @pytest.mark.parametrize("name", ["Weather Report", "weather_report", "  WEATHER \t report\n", "weather-report"])
    def test_case_spaces_and_underscores_do_not_matter(self, name: str, folder: Path) -> None:
        write(folder / "file.py", f"from agno.agent import Agent\nx = Agent(name={name!r})")
        assert names(load(folder)) == {"weather-report"}

    @pytest.mark.parametrize("name", ["a", "0", "a" * 64, "gpt-4.1_mini", "a..b", "v1.0-rc"])
    def test_a_name_may_be_64_letters_digits_dots_and_hyphens(self, name: str, folder: Path) -> None:
        write(folder / "file.py", f"from agno.agent import Agent\nx = Agent(name={name!r})")
        assert names(load(folder)) == {agent_name(name)}

    @pytest.mark.parametrize(
        "name",
        [
            *("a" * 65, "a/b", "agno/weather", "../../etc/passwd", "-a", ".a", "*", "a*", "a:b", "{a}", "a\x00b"),
            *("wétter", "天气", "a\u202eb", "<script>", "a'b", 'a"b', "%s", "$HOME", "a,b", " - "),
        ],
    )
    def test_any_other_name_is_refused(self, name: str, folder: Path) -> None:
        write(folder / "file.py", f"from agno.agent import Agent\nx = Agent(name={name!r})")
        an_agent(folder, "weather")
        catalog = load(folder)
        assert names(catalog) == {"weather"}
        assert repr(agent_name(name)) in catalog.broken["x"].cause

    @given(st.text())
    def test_a_name_made_regular_stays_as_it_is(self, text: str) -> None:
        name = agent_name(text)
        assert not any(letter.isspace() or letter == "_" for letter in name)
        assert agent_name(name) in {name, name.lower()}

    def test_a_name_that_cannot_be_served_is_refused_with_the_reason(self, folder: Path) -> None:
        an_agent(folder, "replicate_bot")
        an_agent(folder, "weather")
        catalog = load(folder, why_not=lambda name: "it goes elsewhere" if "replicate" in name else None)
        assert names(catalog) == {"weather"}
        assert "'replicate-bot'" in catalog.broken["replicate-bot"].cause
        assert "it goes elsewhere" in catalog.broken["replicate-bot"].cause


class TestDescription:
    def test_it_is_the_first_line_of_the_functions_docstring(self, folder: Path) -> None:
        write(
            folder / "weather.py",
            """
            from agno.agent import Agent

            def weather() -> Agent:
                '''
                Weather for a city.

                From the national service.
                '''
                return Agent(description="to the model")
            """,
        )
        assert load(folder).get("weather").description == "Weather for a city."

    def test_without_a_docstring_it_is_what_the_agent_says_of_itself(self, folder: Path) -> None:
        write(
            folder / "file.py",
            "from agno.agent import Agent\n"
            "def one() -> Agent: return Agent(description='Says one.')\n"
            "two = Agent(name='two', description='Says two.')\n",
        )
        assert {agent.name: agent.description for agent in load(folder) if agent.name not in SHIPPED} == {
            "one": "Says one.",
            "two": "Says two.",
        }

    def test_it_may_be_empty(self, folder: Path) -> None:
        write(folder / "file.py", "from agno.agent import Agent\ndef one() -> Agent: return Agent()")
        assert load(folder).get("one").description == ""


class TestOfTwoWithOneName:
    def test_the_users_own_wins_over_one_that_ships(self, folder: Path) -> None:
        an_agent(folder, "demo")
        catalog = load(folder)
        assert catalog.get("demo").description == "The agent demo."
        assert catalog.broken == {}

    def test_the_users_own_wins_also_if_it_is_broken(self, folder: Path) -> None:
        write(folder / "demo.py", "1 / 0")
        catalog = load(folder)
        assert "demo" not in catalog.agents
        assert "ZeroDivisionError" in catalog.broken["demo"].cause

    def test_the_first_of_several_places_wins_and_the_second_is_reported(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(tmp_path / "a" / "x.py", "from agno.agent import Agent\nx = Agent(name='weather', description='first')")
        write(tmp_path / "b" / "y.py", "from agno.agent import Agent\ny = Agent(name='Weather', description='second')")
        catalog = load(tmp_path / "a", tmp_path / "b")
        assert catalog.get("weather").description == "first"
        assert "'weather'" in caplog.text
        assert str(tmp_path / "b" / "y.py") in caplog.text
        assert catalog.broken["y"].place == str(tmp_path / "b" / "y.py")

    def test_a_second_one_that_is_broken_does_not_hide_the_first(self, tmp_path: Path) -> None:
        an_agent(tmp_path / "a", "weather")
        write(tmp_path / "b" / "weather.py", "1 / 0")
        catalog = load(tmp_path / "a", tmp_path / "b")
        assert catalog.get("weather").description == "The agent weather."
        assert catalog.broken == {}

    def test_of_two_that_are_broken_the_first_is_reported(self, tmp_path: Path) -> None:
        write(tmp_path / "a" / "weather.py", "1 / 0")
        write(tmp_path / "b" / "weather.py", "[][0]")
        assert "ZeroDivisionError" in load(tmp_path / "a", tmp_path / "b").broken["weather"].cause


class TestBroken:
    def place_and_cause(self, folder: Path, text: str) -> tuple[str, str]:
        """Of `weather.py` with `text`; a second agent stays up beside it."""
        path = write(folder / "weather.py", text)
        an_agent(folder, "haiku")
        catalog = load(folder)
        assert names(catalog) == {"haiku"}
        (broken,) = catalog.broken.values()
        assert broken.name == "weather"
        return broken.place.removeprefix(str(path)), broken.cause

    def test_bad_syntax_is_reported_with_its_line(self, folder: Path) -> None:
        place, cause = self.place_and_cause(folder, "x = 1\ny = (\n")
        assert place == ":2"
        assert "SyntaxError" in cause

    def test_a_missing_module_is_reported_with_the_line_that_wants_it(self, folder: Path) -> None:
        place, cause = self.place_and_cause(folder, "x = 1\n\nimport nonexistent_module\n")
        assert place == ":3"
        assert "nonexistent_module" in cause

    def test_an_error_at_import_is_reported_with_its_innermost_line_in_the_file(self, folder: Path) -> None:
        write(folder / "_limits.py", "def half(x):\n    return x / 0\n")
        text = "from ._limits import half\n\ndef limit():\n    return half(1)\n\nLIMIT = limit()\n"
        place, cause = self.place_and_cause(folder, text)
        assert place == ":4"
        assert "ZeroDivisionError" in cause

    def test_bad_syntax_in_a_file_that_it_imports_is_reported_with_the_import(self, folder: Path) -> None:
        write(folder / "_limits.py", "(")
        place, cause = self.place_and_cause(folder, "x = 1\nfrom ._limits import half\n")
        assert place == ":2"
        assert "SyntaxError" in cause

    def test_an_error_of_the_function_is_reported_with_its_line(self, folder: Path) -> None:
        place, cause = self.place_and_cause(
            folder,
            """
            from agno.agent import Agent

            def weather() -> Agent:
                key = {}["WEATHER_KEY"]
                return Agent(key)
            """,
        )
        assert place == ":4"
        assert "KeyError" in cause
        assert "WEATHER_KEY" in cause

    def test_a_function_that_returns_something_else_is_reported(self, folder: Path) -> None:
        place, cause = self.place_and_cause(
            folder, "from agno.agent import Agent\ndef weather() -> Agent: return 'sunny'\n"
        )
        assert place == ""
        assert "str" in cause
        assert "Agent" in cause

    def test_what_is_reported_is_logged(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        place, cause = self.place_and_cause(folder, "1 / 0")
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert place == ":1"
        assert f"{folder / 'weather.py'}:1" in record.getMessage()
        assert cause in record.getMessage()

    @pytest.mark.parametrize("statement", ["raise SystemExit('no key')", "import sys; sys.exit(1)"])
    def test_a_file_that_would_end_the_process_does_not(self, statement: str, folder: Path) -> None:
        place, _ = self.place_and_cause(folder, statement)
        assert place == ":1"


class TestGet:
    def test_an_unknown_name_is_answered_with_the_agents_there_are(self, folder: Path) -> None:
        an_agent(folder, "weather")
        write(folder / "haiku.py", "1 / 0")
        with pytest.raises(UnknownAgent) as caught:
            load(folder).get("wether")
        assert "'wether'" in caught.value.message
        assert all(name in caught.value.message for name in ("weather", *SHIPPED))
        assert "haiku" not in caught.value.message

    def test_a_broken_agent_is_unavailable_and_its_cause_is_the_operators_alone(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(folder / "weather.py", "raise RuntimeError('password is hunter2')")
        catalog = load(folder)
        caplog.clear()
        with pytest.raises(AgentUnavailable) as caught:
            catalog.get("weather")
        assert "'weather'" in caught.value.message
        assert "hunter2" not in caught.value.message
        assert str(folder) not in caught.value.message
        assert "hunter2" in caplog.text
        assert f"{folder / 'weather.py'}:1" in caplog.text

    def test_names_are_taken_as_they_are(self) -> None:
        with pytest.raises(UnknownAgent):
            load().get("Demo")

    def test_an_agent_that_is_up_is_given_even_if_another_of_its_name_is_broken(self) -> None:
        demo = load().get("demo")
        catalog = Catalog({"demo": demo}, {"demo": BrokenAgent("demo", "a", "b")})
        assert catalog.get("demo") is demo

    def test_an_empty_catalog_knows_no_agent(self) -> None:
        with pytest.raises(UnknownAgent):
            Catalog({}).get("demo")


def test_a_place_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "nowhere")
    assert "AGENTLLM_AGENTS" in caught.value.message
    assert repr(str(tmp_path / "nowhere")) in caught.value.message
