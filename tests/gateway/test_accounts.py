"""Budgets of keys, and what LiteLLM tells of the calls that it makes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentllm.conversations.spend import ModelCall, Spend
from agentllm.conversations.store import Store
from agentllm.core import Caller, Usage
from agentllm.errors import BudgetExceeded
from agentllm.gateway.accounts import Accounts, SpendLogger
from agentllm.keys import KeyFile, KeyRing, make_key
from tests.conversations.disk import rows, sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(sqlite_url(tmp_path))
    made.create()
    yield made
    made.close()


@pytest.fixture
def spend(store: Store) -> Spend:
    return Spend(store.database)


@pytest.fixture
def ada(tmp_path: Path) -> Caller:
    """Who may spend a dollar a day."""
    _, key = make_key("ada", user="ada", budget=1.0, budget_duration="1d")
    KeyFile(tmp_path / "keys.yaml").add(key)
    return Caller(key.hash, user="ada")


@pytest.fixture
def accounts(spend: Spend, ada: Caller, tmp_path: Path) -> Accounts:
    return Accounts(spend, KeyRing(tmp_path / "keys.yaml"))


def call(caller: Caller, cost: float | None, *, ago: timedelta = timedelta()) -> ModelCall:
    at = datetime.now(UTC) - ago
    return ModelCall("demo", "openai/gpt-4o", caller.principal, caller.key, Usage(10, 1, cost=cost), at)


async def test_a_key_may_spend_its_budget_and_no_more(accounts: Accounts, spend: Spend, ada: Caller) -> None:
    await accounts.check(ada.key)
    spend.record(call(ada, 0.9))
    assert await accounts.check(ada.key) == pytest.approx(0.9)
    spend.record(call(ada, 0.1))
    with pytest.raises(BudgetExceeded) as raised:
        await accounts.check(ada.key)
    assert "$1 in 1d" in raised.value.message
    assert ada.key not in raised.value.message


async def test_what_was_spent_before_its_time_does_not_count(accounts: Accounts, spend: Spend, ada: Caller) -> None:
    spend.record(call(ada, 5.0, ago=timedelta(hours=25)))
    assert await accounts.check(ada.key) == 0.0


async def test_others_do_not_count(accounts: Accounts, spend: Spend, ada: Caller) -> None:
    spend.record(call(Caller("another", user="ada"), 5.0))
    spend.record(call(ada, None))
    assert await accounts.check(ada.key) == 0.0


async def test_a_key_without_a_budget_is_not_looked_up(accounts: Accounts, store: Store) -> None:
    lose(store)
    assert await accounts.check("a key of nobody") == 0.0


async def test_what_a_turn_spends_counts_before_it_is_written(accounts: Accounts, ada: Caller) -> None:
    turn = accounts.open("demo", ada)
    await turn.check()
    turn.reached(0.6)
    await turn.check()
    turn.reached(1.2)
    with pytest.raises(BudgetExceeded):
        await turn.check()
    await accounts.open("demo", ada).check()


def lose(store: Store) -> None:
    """Have nothing be stored any more."""
    assert store.url.database is not None
    store.close()
    Path(store.url.database).unlink()
    Path(store.url.database).mkdir()


def told(provider: str, model: str, metadata: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What LiteLLM tells a callback."""
    payload = {"model": model, "prompt_tokens": 10, "completion_tokens": 1, "cache_hit": None}
    return {
        "model": model,
        "custom_llm_provider": provider,
        "response_cost": 0.5,
        "litellm_params": {"metadata": metadata},
        "standard_logging_object": payload,
        **more,
    }


async def written(store: Store, spend: Spend, *events: dict[str, Any]) -> list[tuple[object, ...]]:
    for event in events:
        await SpendLogger(spend).async_log_success_event(event, None, None, None)
    await spend.spent("", None)
    return rows(store.url, "SELECT agent, model, caller, key, cost FROM spend")


async def test_a_call_of_an_agent_is_noted(store: Store, spend: Spend, accounts: Accounts, ada: Caller) -> None:
    metadata = {"user_api_key_hash": "k", **accounts.open("demo", ada).metadata}
    found = await written(store, spend, told("openai", "gpt-4o", metadata))
    assert found == [("demo", "openai/gpt-4o", '["user", "ada"]', "k", 0.5)]


async def test_a_call_of_a_key_is_noted_without_an_agent(store: Store, spend: Spend) -> None:
    metadata = {"user_api_key_hash": "k", "user_api_key_user_id": "ada"}
    found = await written(store, spend, told("openai", "openai/gpt-4o", metadata))
    assert found == [(None, "openai/gpt-4o", '["user", "ada"]', "k", 0.5)]


async def test_an_agent_s_answer_and_a_call_of_nobody_are_not_noted(store: Store, spend: Spend) -> None:
    metadata = {"user_api_key_hash": "k"}
    events = [told("agno", "demo", metadata), told("openai", "gpt-4o", {}), {"model": "gpt-4o"}]
    assert await written(store, spend, *events) == []


def test_a_row_that_is_lost_is_a_line_in_the_log(
    store: Store, spend: Spend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentllm.conversations.spend.WRITE_PATIENCE", 0.0)
    lose(store)
    spend.record(call(Caller("k"), 0.5))
    store.close()
    assert "the store of conversations failed" in caplog.text
