"""One key: how it is made, which names it may have, when it ends and which models it is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.proxy._types import hash_token
from pydantic import ValidationError

from agentllm.errors import ConfigurationError
from agentllm.keys import Key, hash_of, make_key, table
from agentllm.keys.key import expiry

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HASH = "a" * 64


def a_key(**more: Any) -> Key:
    return Key.model_validate({"hash": HASH, "alias": "ada", **more})


class TestMaking:
    def test_a_key_is_long_new_and_known_by_its_hash_alone(self) -> None:
        (one, key), (other, _) = make_key("ada", user="ada"), make_key("ada", user="ada")
        assert one.startswith("sk-")
        assert len(one) >= 3 + 43
        assert one != other
        assert key.hash == hash_of(one)
        assert one not in key.model_dump_json()

    @given(st.text())
    def test_the_hash_is_litellm_s(self, secret: str) -> None:
        assert hash_of(secret) == hash_token(secret)

    @pytest.mark.parametrize(
        ("alias", "more", "named"),
        [
            ("a b", {}, "'a b'"),
            ("a,b", {}, "'a,b'"),
            ("", {}, "alias"),
            ("x" * 129, {}, "128"),
            ("master", {}, "'master'"),
            (HASH, {}, "alias"),
            ("ada", {"user": ""}, "user"),
            ("ada", {"user": "x" * 257}, "user"),
            ("ada", {"user": "default_user_id"}, "'default_user_id'"),
            ("ada", {"team": "litellm-dashboard"}, "'litellm-dashboard'"),
            ("ada", {"rpm": 0}, "rpm"),
            ("ada", {"rpm": 1_000_001}, "1000000"),
            ("ada", {"models": [""]}, "models"),
            ("ada", {"budget": 0}, "budget"),
            ("ada", {"budget": float("nan")}, "budget"),
            ("ada", {"budget": 1, "budget_duration": "1y"}, "'1y'"),
            ("ada", {"budget": 1, "budget_duration": "0d"}, "'0d'"),
            ("ada", {"budget_duration": "30d"}, "budget_duration"),
            ("ada", {"expires": "soon"}, "'soon'"),
            ("ada", {"expires": "0d"}, "'0d'"),
            ("ada", {"expires": "2020-01-01"}, "'2020-01-01'"),
        ],
    )
    def test_a_value_that_cannot_be_is_named(self, alias: str, more: dict[str, Any], named: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            make_key(alias, **{"user": "ada", **more})
        assert named in caught.value.message


class TestExpiry:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("12h", NOW + timedelta(hours=12)),
            ("30d", NOW + timedelta(days=30)),
            ("2w", NOW + timedelta(weeks=2)),
            ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
            ("2027-01-01T10:00", datetime(2027, 1, 1, 10, tzinfo=UTC)),
            ("2027-01-01T10:00+02:00", datetime(2027, 1, 1, 8, tzinfo=UTC)),
        ],
    )
    def test_it_is_a_span_from_now_or_a_moment(self, text: str, moment: datetime) -> None:
        assert expiry(text, NOW) == moment

    @pytest.mark.parametrize(
        "text", ["", "30", "d", "30m", "-1d", "0d", "2026-11-21T12:00", "1999-01-01", "2027-13-01"]
    )
    def test_anything_else_and_the_past_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            expiry(text, NOW)

    def test_a_key_is_good_up_to_its_moment_and_not_at_it(self) -> None:
        key = a_key(expires=NOW)
        assert not key.has_expired(NOW - timedelta(microseconds=1))
        assert key.has_expired(NOW)
        assert not a_key().has_expired(datetime.max.replace(tzinfo=UTC))

    def test_a_time_without_a_zone_is_utc_and_another_zone_counts(self) -> None:
        assert a_key(expires=NOW.replace(tzinfo=None)).expires == NOW
        assert a_key(expires=NOW.date()).expires == NOW.replace(hour=0)
        assert a_key(expires=NOW.astimezone(timezone(timedelta(hours=9)))).has_expired(NOW)


class TestModels:
    NAMES = ("agno/demo", "agno/demo2", "gemini-2.5-pro", "gemini-2x5-pro")

    @pytest.mark.parametrize(
        ("models", "found"),
        [
            (None, NAMES),
            (["agno/demo"], NAMES[:1]),
            (["agno/*"], NAMES[:2]),
            (["*"], NAMES),
            (["gemini-2.5-*", "agno/demo"], (NAMES[0], NAMES[2])),
            (["nothing"], ()),
            (["AGNO/*"], ()),
        ],
    )
    def test_a_name_is_itself_and_a_star_anything(self, models: list[str] | None, found: tuple[str, ...]) -> None:
        assert a_key(models=models).models_among(self.NAMES) == list(found)

    def test_a_list_for_none_is_refused_because_it_would_read_as_all(self) -> None:
        with pytest.raises(ValidationError):
            a_key(models=[])


def test_the_table_has_a_line_for_each_key_and_says_what_has_expired() -> None:
    keys = [a_key(user="ada", models=["agno/*", "x"], rpm=5, expires=NOW), a_key(alias="b", team="t")]
    header, first, second = table(keys, NOW).splitlines()
    assert header.split() == ["ALIAS", "HASH", "USER", "TEAM", "MODELS", "RPM", "BUDGET", "EXPIRES"]
    assert first.split() == ["ada", "a" * 12, "ada", "-", "agno/*,x", "5", "-", NOW.isoformat(), "(expired)"]
    assert second.split() == ["b", "a" * 12, "-", "t", "all", "-", "-", "-"]
    assert table([], NOW).split() == header.split()


@pytest.mark.parametrize(
    ("duration", "hours"), [("12h", 12), ("30d", 30 * 24), ("4w", 4 * 7 * 24)], ids=["hours", "days", "weeks"]
)
def test_a_budget_counts_what_was_spent_within_its_time(duration: str, hours: int) -> None:
    key = a_key(budget=5, budget_duration=duration)
    assert key.budget_began(NOW) == NOW - timedelta(hours=hours)


def test_a_budget_without_a_time_is_for_ever() -> None:
    assert a_key(budget=5).budget_began(NOW) is None


def test_the_table_shows_budgets() -> None:
    keys = [a_key(budget=2.5, budget_duration="30d"), a_key(alias="bob", budget=100), a_key(alias="cyd")]
    assert [line.split()[6] for line in table(keys, NOW).splitlines()] == ["BUDGET", "$2.5/30d", "$100", "-"]
