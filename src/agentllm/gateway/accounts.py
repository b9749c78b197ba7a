"""Budgets of API keys, and what is noted of each model call that is made for a caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from agentllm.conversations.spend import ModelCall, Spend
from agentllm.core import FAMILIES, Caller, Json, Usage
from agentllm.errors import BudgetExceeded
from agentllm.keys import Key, KeyRing
from agentllm.llm.costs import told_cost

AGENT = "agentllm_agent"
CALLER = "agentllm_caller"
"""In the metadata of a model call: the agent that makes it, and the principal that it is for, as JSON."""


class Accounts:
    """The accounts of all callers of a process; without a `ring` no key has a budget."""

    def __init__(self, spend: Spend, ring: KeyRing | None = None) -> None:
        self._spend = spend
        self._ring = ring

    def open(self, agent: str, caller: Caller) -> TurnAccount:
        """The account of a turn that begins."""
        return TurnAccount(self, self._spend, agent, caller)

    async def check(self, key: str, *, at_least: float = 0.0) -> float:
        """What was spent with the key of this hash, of which there is a budget, or `at_least`; 0 without a budget.

        Raises:
            BudgetExceeded: that is the whole budget, or more.
            StoreUnavailable: it could not be read.
        """
        found = self._ring.with_hash(key) if self._ring is not None else None
        if found is None or found.budget is None:
            return 0.0
        spent = max(await self._spend.spent(key, found.budget_began(datetime.now(UTC))), at_least)
        if spent >= found.budget:
            raise BudgetExceeded(_used_up(found, found.budget, spent))
        return spent


class TurnAccount:
    """What the model calls of one turn are charged to; implements `agentllm.llm.accounts.Account`."""

    def __init__(self, accounts: Accounts, spend: Spend, agent: str, caller: Caller) -> None:
        self._accounts, self._spend, self._agent, self._caller = accounts, spend, agent, caller
        self._before: float | None = None
        self._cost = 0.0

    @property
    def metadata(self) -> Mapping[str, Json]:
        """What goes with the calls that LiteLLM makes, for it to tell `SpendLogger`."""
        return {AGENT: self._agent, CALLER: json.dumps(self._caller.principal)}

    async def check(self) -> None:
        """See `agentllm.llm.accounts.Account.check`; what LiteLLM has not told of yet counts too."""
        spent = await self._accounts.check(self._caller.key, at_least=(self._before or 0.0) + self._cost)
        if self._before is None:
            self._before = spent

    def reached(self, cost: float | None) -> None:
        """See `agentllm.llm.accounts.Account.reached`."""
        self._cost = max(self._cost, cost or 0.0)

    def charge(self, model: str, usage: Usage) -> None:
        """See `agentllm.llm.accounts.Account.charge`."""
        self._spend.record(ModelCall(self._agent, model, self._caller.principal, self._caller.key, usage))


class SpendLogger(CustomLogger):
    """LiteLLM's callback that notes the calls which LiteLLM makes: those of agents, and those of the proxy's callers.

    An agent's own answer is none: it is made of such calls.
    """

    def __init__(self, spend: Spend) -> None:
        super().__init__()
        self._spend = spend

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Note a call that was answered."""
        if (call := _call(kwargs)) is not None:
            self._spend.record(call)


def _call(kwargs: Mapping[str, Any]) -> ModelCall | None:
    told = kwargs.get("standard_logging_object")
    metadata = (kwargs.get("litellm_params") or {}).get("metadata") or {}
    key = metadata.get("user_api_key_hash") or metadata.get("user_api_key")
    agent = metadata.get(AGENT)
    provider = kwargs.get("custom_llm_provider")
    if told is None or provider in FAMILIES or (agent is None and key is None):
        return None
    name = str(kwargs.get("model") or told["model"])
    model = f"{provider}/{name}" if provider and not name.startswith(f"{provider}/") else name
    cost = told_cost(model, kwargs.get("response_cost"), is_cached=bool(told.get("cache_hit")))
    usage = Usage(told.get("prompt_tokens") or 0, told.get("completion_tokens") or 0, cost=cost)
    return ModelCall(agent, model, _principal(metadata, str(key or "")), str(key or ""), usage)


def _principal(metadata: Mapping[str, Any], key: str) -> tuple[str, ...]:
    if (caller := metadata.get(CALLER)) is not None:
        return tuple(json.loads(caller))
    return Caller(key, user=metadata.get("user_api_key_user_id")).principal


def _used_up(key: Key, budget: float, spent: float) -> str:
    span = f" in {key.budget_duration}" if key.budget_duration else ""
    return (
        f"The budget of this API key, ${budget:g}{span}, is used up: ${spent:.4g} are spent. "
        "Ask who runs this proxy for more."
    )
