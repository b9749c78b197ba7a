"""The documentation says what is so: its tables, compared with what they are about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from openai.types.chat import completion_create_params as sdk

from agentllm.core import Effort
from agentllm.errors import InvalidRequest
from agentllm.gateway.parameters import parameters_of
from agentllm.llm import gemini
from agentllm.runtimes import schemas

PAGE = (Path(__file__).parents[1] / "docs" / "parameters.md").read_text()
_ROW = re.compile(r"^\| (.+?) \| (.+?) \| ?(.*?) ?\|$", re.MULTILINE)


def rows(heading: str) -> list[tuple[str, str, str]]:
    """The rows of three columns under a heading of the page."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [match for match in _ROW.findall(section) if "---" not in match[0]][1:]


TABLE = {name.strip("`"): what for name, what, _ in rows("Chat completions")}
REFUSED_VALUES = {
    "audio": {"voice": "alloy"},
    "function_call": {"name": "f"},
    "functions": [{"name": "f"}],
    "logit_bias": {"1": 1},
    "logprobs": True,
    "modalities": ["audio"],
    "moderation": {"model": "m"},
    "n": 2,
    "prediction": {"type": "content"},
    "top_logprobs": 1,
    "web_search_options": {},
}


def test_every_parameter_of_openai_s_api_has_its_row_in_their_order() -> None:
    base, streaming = sdk.CompletionCreateParamsBase, sdk.CompletionCreateParamsStreaming
    assert list(TABLE) == sorted({*base.__annotations__, *streaming.__annotations__})


def test_a_row_says_one_of_four_things() -> None:
    assert set(TABLE.values()) == {"passed to the model", "used", "ignored", "refused"}


def test_what_the_table_says_is_refused_is_refused_and_nothing_else() -> None:
    assert {name for name, what in TABLE.items() if what == "refused"} == set(REFUSED_VALUES)


@pytest.mark.parametrize("name", REFUSED_VALUES)
def test_a_refused_parameter_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parameters_of({name: REFUSED_VALUES[name]}, "demo", drop=False)
    assert raised.value.param == name


def test_the_limits_of_schemas_are_those_of_the_code() -> None:
    limits = (f"{schemas.MOST_CHARACTERS:,} characters", f"{schemas.MOST_DEPTH} brackets")
    assert all(limit in PAGE for limit in (*limits, f"{schemas.CHECK_SECONDS:g} seconds"))


def _told(effort: Effort) -> tuple[str, str]:
    """What the table says of it: the level of Gemini 3 and the budget of 2.5."""
    return next((level, budget) for efforts, level, budget in rows("Thinking") if f"`{effort}`" in efforts)


@pytest.mark.parametrize("effort", get_args(Effort))
def test_the_table_of_thinking_is_the_mapping(effort: Effort) -> None:
    level, budget = _told(effort)
    for model in ("gemini-3-flash", "gemini-3.1-pro"):
        found = gemini.thinking(model, effort)
        assert found is not None
        assert f"`{found[1]}`" in level
    for model in ("gemini-2.5-flash", "gemini-2.5-pro"):
        found = gemini.thinking(model, effort)
        assert found is not None
        assert f"{found[1]:,}" in budget
