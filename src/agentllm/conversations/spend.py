"""What the calls of models cost: a row for each, written beside the turns, and their sums."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa

from agentllm.conversations.database import Database
from agentllm.conversations.schema import spend
from agentllm.core import Usage

By = Literal["agent", "model", "caller"]

WRITE_WITHIN = 0.05
"""Seconds for which rows gather that are written together; less than a proxy takes to stop."""

WRITE_PATIENCE = 10.0
"""Seconds for which a row is tried to be written; then it is lost, and the log says why."""

READ_PATIENCE = 1.0
"""Seconds for which a sum is tried to be read."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a model that was answered.

    `model` is named as LiteLLM does, `caller` is a `core.Caller.principal`, `key` the hash of the API key. `agent` is
    None where the caller asked the model directly. `at` is when it ended.
    """

    agent: str | None
    model: str
    caller: tuple[str, ...]
    key: str
    usage: Usage
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Total:
    """The sums over some calls; `name` is of what they have in common, None of calls without an agent.

    `cost` is of the calls whose price is known, None where that is none of them.
    """

    name: str | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class Spend:
    """The rows of all processes of one store; may be used from several threads and event loops."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, call: ModelCall) -> None:
        """Have `call` written soon; this waits for nothing and raises nothing."""
        values = {
            "at": call.at.astimezone(UTC),
            "agent": call.agent,
            "model": call.model,
            "caller": json.dumps(call.caller),
            "key": call.key,
            "prompt_tokens": call.usage.prompt_tokens,
            "completion_tokens": call.usage.completion_tokens,
            "cost": call.usage.cost,
        }
        self._database.run_soon(
            lambda connection: connection.execute(spend.insert(), values),
            within=WRITE_WITHIN,
            patience=WRITE_PATIENCE,
        )

    async def spent(self, key: str, since: datetime | None) -> float:
        """What the calls with `key` cost from `since` on, in US dollars; all that was recorded here counts already.

        Raises:
            StoreUnavailable: it could not be read.
        """
        query = sa.select(sa.func.sum(spend.c.cost)).where(spend.c.key == key)
        if since is not None:
            query = query.where(spend.c.at >= since.astimezone(UTC))

        def work(connection: sa.Connection) -> float:
            return float(connection.execute(query).scalar() or 0.0)

        return await self._database.run(work, patience=READ_PATIENCE)


def totals(connection: sa.Connection, by: By, *, since: datetime | None, until: datetime | None) -> Iterator[Total]:
    """The sums of the calls from `since` on and before `until`, the dearest first; of callers the name is JSON."""
    name = spend.c[by]
    sums = (sa.func.sum(spend.c[column]) for column in ("prompt_tokens", "completion_tokens", "cost"))
    query = sa.select(name, sa.func.count(), *sums).group_by(name)
    query = query.order_by(sa.func.coalesce(sa.func.sum(spend.c.cost), -1.0).desc(), name)
    if since is not None:
        query = query.where(spend.c.at >= since.astimezone(UTC))
    if until is not None:
        query = query.where(spend.c.at < until.astimezone(UTC))
    for found, calls, prompt, completion, cost in connection.execute(query):
        yield Total(found, calls, int(prompt), int(completion), cost)
