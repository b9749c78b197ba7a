"""What one call of an Agno model costs: counted to its run, and charged to the turn's account."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from agno.metrics import MessageMetrics
from agno.models.base import Model

from agentllm.core import Usage
from agentllm.llm.accounts import ACCOUNT, check_account
from agentllm.llm.costs import model_name, price
from agentllm.llm.router import RouterModel
from agentllm.runtimes.agno.calls import Calls
from agentllm.runtimes.agno.results import usage_of_metrics


class Bill:
    """The bill of one call of `model`, which belongs to the run of `calls`.

    What LiteLLM calls, it tells the cost of by itself, and tells the proxy's callbacks.
    """

    def __init__(self, model: Model, calls: Calls) -> None:
        self._provider, self._calls = model.get_provider(), calls
        self.model = None if isinstance(model, RouterModel) else model_name(self._provider, model.id)
        """What LiteLLM calls the model; None where it knows itself which one answers."""
        self._usage = Usage()

    async def check(self) -> None:
        """See that the call may be made.

        Raises:
            BudgetExceeded: the caller's budget is used up.
        """
        if self.model is not None:
            await check_account()

    def add(self, metrics: MessageMetrics | None) -> None:
        """Count what the model used for its answer or a piece of it, and note on `metrics` what that cost."""
        if metrics is None:
            return
        used = usage_of_metrics(metrics, self._provider)
        if used.cost is None and self.model is not None:
            used = replace(used, cost=price(self.model, used))
        metrics.cost = used.cost
        self._calls.add_cost(used.cost)
        if (account := ACCOUNT.get()) is not None:
            account.reached(self._calls.cost)
        self._usage += used

    @contextlib.contextmanager
    def charged(self) -> Iterator[None]:
        """Charge the turn's account for the call once it ends, however it does, if LiteLLM tells nobody of it."""
        try:
            yield
        finally:
            account = ACCOUNT.get()
            if self.model is not None and account is not None and replace(self._usage, cost=None) != Usage():
                account.charge(self.model, self._usage)
