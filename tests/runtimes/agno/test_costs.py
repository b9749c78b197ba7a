"""What a run costs and which model wrote its answer, as the runtime tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from agno.metrics import MessageMetrics
from agno.models.response import ModelResponse
from agno.team import Team
from agno.workflow import Step, Workflow

from agentllm.core import Usage
from agentllm.errors import BudgetExceeded
from agentllm.llm.accounts import ACCOUNT
from agentllm.llm.costs import price
from tests.runtimes.agno.spoken import Spoken, agent, answer, calling, finished, run, turn, usage_of

USED = Usage(1_000, 100)
PRICE = price("openai/gpt-4o", USED) or 0.0

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"]),
]


@dataclass
class OfOpenAI(Spoken):
    """Has the name and the price of one of OpenAI's models."""

    id: str = "gpt-4o"
    provider: str | None = "OpenAI"


@dataclass
class Telling(Spoken):
    """Tells what each call cost, as LiteLLM does."""

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        parsed = super()._parse_provider_response_delta(response)
        if isinstance(parsed.response_usage, MessageMetrics):
            parsed.response_usage.cost = 0.25
        return parsed


class Noting:
    """An account that notes what it is asked and told; after `most` calls nothing is left in it."""

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self.asked = 0
        self.costs: list[float | None] = []
        self.charged: list[tuple[str, Usage]] = []

    async def check(self) -> None:
        self.asked += 1
        if self.asked > self.most:
            raise BudgetExceeded("nothing is left")

    def reached(self, cost: float | None) -> None:
        self.costs.append(cost)

    def charge(self, model: str, usage: Usage) -> None:
        self.charged.append((model, usage))


def adding() -> dict[str, Any]:
    def add() -> str:
        """Add."""
        return "2"

    return {"tools": [add]}


async def test_calls_are_priced_and_summed(stream: bool) -> None:
    who = agent(**adding())[0]
    who.model = OfOpenAI.of(calling("add", usage=USED), answer("2", usage=USED))
    events = await run(who, turn(stream=stream))
    assert usage_of(events).cost == pytest.approx(2 * PRICE)
    assert finished(events).model == "openai/gpt-4o"


async def test_what_the_model_tells_comes_before_the_table(stream: bool) -> None:
    who = agent(**adding())[0]
    who.model = Telling.of(calling("add"), answer("2"))
    assert usage_of(await run(who, turn(stream=stream))).cost == pytest.approx(0.5)


async def test_a_model_without_a_price_costs_nothing_that_is_known(stream: bool) -> None:
    events = await run(agent("hello")[0], turn(stream=stream))
    assert usage_of(events).cost is None
    assert finished(events).model == "offline"


async def test_members_count_and_the_leader_is_named(stream: bool) -> None:
    member = agent()[0]
    member.name, member.model = "member", Telling.of("from the member")
    asked = calling("delegate_task_to_member", '{"member_id": "member", "task": "speak"}', usage=USED)
    leader = OfOpenAI.of(asked, answer("done", usage=USED))
    events = await run(Team(name="team", model=leader, members=[member], telemetry=False), turn(stream=stream))
    assert usage_of(events).cost == pytest.approx(2 * PRICE + 0.25)
    assert finished(events).model == "openai/gpt-4o"


async def test_steps_count_and_the_last_is_named(stream: bool) -> None:
    first, second = agent()[0], agent()[0]
    first.model, second.model = Telling.of("one"), OfOpenAI.of(answer("two", usage=USED))
    flow = Workflow(name="flow", steps=[Step(name="1", agent=first), Step(name="2", agent=second)], telemetry=False)
    events = await run(flow, turn(stream=stream))
    assert usage_of(events).cost == pytest.approx(0.25 + PRICE)
    assert finished(events).model == "openai/gpt-4o"


async def test_each_call_is_charged_to_the_account_of_the_turn(stream: bool) -> None:
    who = agent(**adding())[0]
    who.model = OfOpenAI.of(calling("add", usage=USED), answer("2", usage=USED))
    ACCOUNT.set(account := Noting())
    await run(who, turn(stream=stream))
    assert [(model, usage.prompt_tokens) for model, usage in account.charged] == [("openai/gpt-4o", 1_000)] * 2
    assert account.costs == [pytest.approx(PRICE), pytest.approx(2 * PRICE)]


async def test_a_used_up_account_stops_the_next_call(stream: bool) -> None:
    who = agent(**adding())[0]
    who.model = model = OfOpenAI.of(calling("add", usage=USED), answer("2", usage=USED))
    ACCOUNT.set(Noting(most=1))
    with pytest.raises(BudgetExceeded):
        await run(who, turn(stream=stream))
    assert len(model.asked) == 1


async def test_agno_does_not_try_a_refused_call_again(stream: bool) -> None:
    who = agent()[0]
    who.model = OfOpenAI.of("hello")
    who.model.retries = 3
    ACCOUNT.set(account := Noting(most=0))
    with pytest.raises(BudgetExceeded):
        await run(who, turn(stream=stream))
    assert account.asked == 1
