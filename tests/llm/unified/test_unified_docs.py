"""The page on agents of every provider says what is so, and its examples run."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentllm import UnifiedAgent, errors
from agentllm.llm.unified.attempts import RETRIES
from agentllm.llm.unified.failures import PASSING
from tests.proxy import clean_environment
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

PAGE = (Path(__file__).parents[3] / "docs" / "unified.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def rows(begin: str) -> dict[str, list[str]]:
    """The rows of the table whose head begins so, by what stands in their first column."""
    table = PAGE.partition(f"| {begin}")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in cells}


@pytest.mark.integration
def test_its_examples_run(llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("population", city="Lisbon")), contains="Lisbon")
    llm.script(Reply.calling(ToolCall.of("weather", city="Porto")), contains="weather")
    environment = clean_environment(OPENAI_API_KEY="k", OPENAI_BASE_URL=llm.openai_base, GEMINI_API_KEY="k")
    program = "\n".join(EXAMPLES).replace("from_env()", "from_env('openai/gpt-5.4-mini')")
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("results: 548703 openai/gpt-5.4-mini")
    assert "echo: What is my name?" in lines
    assert lines[-2:] == ["results: sunny", "echo: Hello!"]
    assert len(EXAMPLES) == 5


def test_the_last_example_is_an_agent_that_can_be_served() -> None:
    assert "def geographer() -> UnifiedAgent:" in EXAMPLES[-1]


def test_its_table_of_settings_names_those_that_there_are() -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(rows("setting"))))
    fields = {field.name for field in dataclasses.fields(UnifiedAgent) if field.init}
    assert fields - named == {"model", "name", "description", "instructions"}
    assert f"too slow; {RETRIES}," in rows("setting")["`retries`"][0]
    assert f"{UnifiedAgent.max_model_calls}" in rows("setting")["`max_model_calls`"][0]


def test_its_table_of_errors_is_the_tree() -> None:
    table = {name.strip("`"): row for name, row in rows("`agentllm.errors`").items()}
    kinds = (*errors.ModelFailed.__subclasses__(), errors.BudgetExceeded)
    assert set(table) == {kind.__name__ for kind in kinds}
    assert {name for name, row in table.items() if row[1] == "yes"} == {kind.__name__ for kind in PASSING}
    assert {name for name, row in table.items() if row[2] == "no"} == {"BudgetExceeded"}
