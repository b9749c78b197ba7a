"""`agentllm cost`: what was spent, by agent, model or caller."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agentllm.cli import app
from agentllm.conversations.spend import ModelCall, Spend
from agentllm.conversations.store import FILE, Store
from agentllm.core import Usage
from agentllm.errors import ConfigurationError
from tests.conversations.disk import sqlite_url

ADA, BOB = ("user", "ada"), ("front-end", "webui", "end-user", "bob")


@pytest.fixture
def spend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spend]:
    """Of the store that the command uses."""
    monkeypatch.chdir(tmp_path)
    store = Store(sqlite_url(tmp_path).set(database=str(tmp_path / "data" / FILE)))
    store.create()
    yield Spend(store.database)
    store.close()


def record(
    spend: Spend, agent: str | None, model: str, caller: tuple[str, ...], cost: float | None, days: int = 0
) -> None:
    at = datetime.now(UTC) - timedelta(days=days)
    spend.record(ModelCall(agent, model, caller, "key", Usage(100, 10, cost=cost), at))
    spend._database.close()


@pytest.fixture(autouse=True)
def calls(spend: Spend) -> None:
    record(spend, "demo", "openai/gpt-4o", ADA, 0.5)
    record(spend, "demo", "offline", ADA, None)
    record(spend, "other", "openai/gpt-4o", BOB, 2.0)
    record(spend, None, "openai/gpt-4o", BOB, 0.25, days=40)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["cost", *arguments])


def listed(*arguments: str) -> list[dict[str, object]]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_the_dearest_agent_comes_first_and_the_sum_last() -> None:
    header, *lines, total = run().stdout.splitlines()
    assert header.split() == ["AGENT", "CALLS", "PROMPT", "TOKENS", "COMPLETION", "TOKENS", "COST"]
    assert [line.split() for line in lines] == [
        ["other", "1", "100", "10", "$2.000000"],
        ["demo", "2", "200", "20", "$0.500000"],
    ]
    assert total.split() == ["total", "3", "300", "30", "$2.500000"]


def test_models_without_a_price_have_no_cost() -> None:
    found = {str(line["model"]): line["cost"] for line in listed("--by", "model")}
    assert found == {"openai/gpt-4o": 2.5, "offline": None}
    assert run("--by", "model").stdout.splitlines()[2].split() == ["offline", "1", "100", "10", "-"]


def test_callers_are_named_as_in_the_list_of_sessions() -> None:
    assert [line["caller"] for line in listed("--by", "caller")] == ["front-end:webui end-user:bob", "user:ada"]


def test_a_period_has_the_calls_since_its_begin_and_before_its_end() -> None:
    assert [line["calls"] for line in listed("--since", "50d", "--until", "30d")] == [1]
    assert [line["agent"] for line in listed("--since", "50d")] == ["other", "demo", None]
    assert run("--since", "50d").stdout.splitlines()[3].split()[0] == "-"
    assert listed("--until", "2020-01-01", "--since", "2019-01-01") == []


def test_a_time_without_calls_is_said() -> None:
    result = run("--since", "2019-01-01", "--until", "2020-01-01")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No model was called" in result.stderr


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_that_is_none_is_named(option: str) -> None:
    result = run(option, "yesterday")
    assert isinstance(result.exception, ConfigurationError)
    assert "'yesterday'" in result.exception.message


def test_where_nothing_is_stored_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "data")
    assert isinstance(run().exception, ConfigurationError)
