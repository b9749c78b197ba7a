"""What the model calls of a turn are charged to, whoever makes them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from agentllm.core import Usage


class Account(Protocol):
    """Of the caller whose turn runs."""

    async def check(self) -> None:
        """See that another model call may be made.

        Raises:
            BudgetExceeded: the caller's budget is used up.
        """

    def reached(self, cost: float | None) -> None:
        """The calls of the turn have cost so many US dollars by now."""

    def charge(self, model: str, usage: Usage) -> None:
        """Note a call that LiteLLM does not make, and so tells nobody of; `model` is named as LiteLLM would."""


ACCOUNT: ContextVar[Account | None] = ContextVar("agentllm_account", default=None)
"""That of the turn which runs here; None where nobody counts."""


async def check_account() -> None:
    """See that the turn which runs here may make another model call.

    Raises:
        BudgetExceeded: its caller's budget is used up.
    """
    if (account := ACCOUNT.get()) is not None:
        await account.check()
