"""The assistant, and the tools that it shares with the demo."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.agents.assistant import assistant, calculate, date_and_time, evaluate
from agentllm.settings import load_settings

_EXPRESSIONS = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
).filter(lambda expression: len(expression) <= 200)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AGENTLLM_MODEL", "offline")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


async def test_it_answers_with_its_tools() -> None:
    agent = assistant()
    run = await agent.arun("What is 17 * 23, and what is the date?")
    assert {tool.tool_name for tool in run.tools or ()} == {"calculate", "date_and_time"}
    assert "17 * 23 = 391" in str(run.content)


def test_it_is_named_and_described_and_stores_nothing_itself() -> None:
    agent = assistant()
    assert agent.name == "assistant"
    assert agent.db is None
    assert agent.telemetry is False
    assert inspect.getdoc(assistant)


class TestDateAndTime:
    @pytest.mark.parametrize("timezone", ["UTC", "utc", "GMT", ""])
    def test_it_tells_the_time_of_the_world(self, timezone: str) -> None:
        before = datetime.now(UTC).replace(microsecond=0)
        told = datetime.strptime(date_and_time(timezone), "%A, %d %B %Y, %H:%M:%S in UTC (UTC%z)")
        assert before <= told <= before + timedelta(seconds=60)

    @pytest.mark.parametrize(
        ("timezone", "zone"),
        [
            ("Europe/Berlin", "Europe/Berlin"),
            ("europe/berlin", "Europe/Berlin"),
            ("Tokyo", "Asia/Tokyo"),
            ("new york", "America/New_York"),
            ("America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
        ],
    )
    def test_it_knows_zones_and_the_cities_that_name_them(self, timezone: str, zone: str) -> None:
        assert f" in {zone} (UTC" in date_and_time(timezone)

    @pytest.mark.parametrize("timezone", ["Nowhere", "../../etc/passwd", "Europe", "x" * 1_000])
    def test_it_says_so_when_there_is_no_such_zone(self, timezone: str) -> None:
        told = date_and_time(timezone)
        assert "no time zone" in told
        assert len(told) < 300

    def test_it_suggests_a_zone_that_is_written_alike(self) -> None:
        assert "Europe/Berlin" in date_and_time("Europe/Berln")


class TestCalculate:
    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("2 + 3 * 4", "14"),
            ("(2 + 3) * 4", "20"),
            ("2^10", "1024"),
            ("2 ** -1", "0.5"),
            ("0.1 + 0.2", "0.3"),
            ("10 / 4", "2.5"),
            ("10 // 4", "2"),
            ("-7 % 3", "2"),
            ("1,000 + 1", "1001"),
            ("2 ** 100", "1267650600228229401496703205376"),
        ],
    )
    def test_it_calculates(self, expression: str, value: str) -> None:
        assert calculate(expression) == f"{expression} = {value}"

    @pytest.mark.parametrize(
        "expression",
        [
            "",
            "two",
            "1 +",
            "1 / 0",
            "0 ** -1",
            "(-8) ** 0.5",
            "9 ** 9 ** 9",
            "2 ** 100000",
            "10.0 ** 400",
            "1e999",
            "1 - 1e999",
            "1e308 * 10",
            "1 if 1 else 2",
            "__import__('os').getcwd()",
            "(lambda: 1)()",
            "[1][0]",
            "'a' * 3",
            "True + 1",
            "1j * 1j",
            "1 < 2",
            "1 << 9",
            "1, 2",
            "x",
            "\x00",
            "(" * 150,
            "-" * 199 + "x",
            "1+" * 200 + "1",
        ],
    )
    def test_it_refuses_what_is_no_bounded_arithmetic(self, expression: str) -> None:
        assert calculate(expression).startswith("Cannot calculate ")

    @given(st.text(max_size=250) | st.text("0123456789+-*/%^(). ,e_", max_size=250))
    def test_every_text_has_a_bounded_value_or_is_refused(self, expression: str) -> None:
        try:
            value = evaluate(expression)
        except ValueError:
            return
        assert isinstance(value, int | float)
        assert value - value == 0
        assert len(calculate(expression)) < 1_600

    @given(_EXPRESSIONS)
    def test_its_results_are_pythons(self, expression: str) -> None:
        assert evaluate(expression) == eval(expression)

    @given(st.integers(-(10**30), 10**30), st.integers(1, 10**30))
    def test_whole_numbers_are_exact(self, left: int, right: int) -> None:
        assert evaluate(f"{left} * {right}") == left * right
        assert Fraction(evaluate(f"{left} // {right}")) == left // right
