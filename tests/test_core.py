"""What the parts speak of: owners, sums, and values that do not change."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm import core
from agentllm.core import Caller, Parameters, Turn, Usage

counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts)
names = st.text(min_size=1, max_size=3)
callers = st.builds(Caller, names, st.none() | names, st.none() | names, st.none() | names)


class TestPrincipal:
    def test_a_known_person_owns_what_they_say_with_any_of_their_keys(self) -> None:
        assert Caller("key-1", user="ada").principal == Caller("key-2", user="ada", team="t").principal

    def test_without_a_person_the_key_owns_it(self) -> None:
        assert Caller("key-1").principal != Caller("key-2").principal
        assert Caller("key-1", team="t").principal == Caller("key-1").principal

    def test_a_person_is_not_a_key_of_the_same_name(self) -> None:
        assert Caller("x", user="x").principal != Caller("x").principal

    def test_the_people_behind_one_front_end_are_several_owners(self) -> None:
        key = Caller("k", user="open-webui")
        ada = Caller("k", user="open-webui", end_user="ada")
        assert len({key.principal, ada.principal, Caller("k", user="open-webui", end_user="bob").principal}) == 3

    def test_the_people_of_a_front_end_are_its_own_whatever_its_key(self) -> None:
        ada = Caller("k", user="ops", end_user="ada", front_end="webui")
        assert ada.principal == Caller("new", user="other", end_user="ada", front_end="webui").principal
        assert ada.principal != Caller("k", user="ops", end_user="ada", front_end="slack").principal
        assert ada.principal != Caller("k", user="webui", end_user="ada").principal

    @given(callers, callers)
    def test_it_is_equal_exactly_for_the_same_owner(self, one: Caller, other: Caller) -> None:
        def owner(caller: Caller) -> tuple[str | None, str | None, str | None]:
            return (caller.user, None if caller.user else caller.key, caller.end_user)

        assert (one.principal == other.principal) == (owner(one) == owner(other))


@given(usages, usages)
def test_usages_add_up_field_by_field(one: Usage, other: Usage) -> None:
    whole = dataclasses.asdict(one + other)
    counts = {name: getattr(one, name) + getattr(other, name) for name in whole if name != "cost"}
    assert whole == {**counts, "cost": None}


@pytest.mark.parametrize(
    ("one", "other", "cost"), [(0.25, 0.5, 0.75), (None, 0.5, 0.5), (0.25, None, 0.25), (0.0, None, 0.0)]
)
def test_costs_add_up_as_far_as_prices_are_known(one: float | None, other: float | None, cost: float) -> None:
    assert (Usage(cost=one) + Usage(cost=other)).cost == cost


def test_what_a_request_leaves_out_is_unset() -> None:
    turn = Turn("t", "demo", Caller("k"), ())
    assert turn.parameters == Parameters()
    assert set(dataclasses.asdict(Parameters()).values()) == {None}
    assert (turn.place, turn.conversation, turn.state) == (None, None, None)


@pytest.mark.parametrize("cls", [cls for cls in vars(core).values() if dataclasses.is_dataclass(cls)])
def test_every_value_is_frozen(cls: type) -> None:
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]  # what `dataclass` leaves behind
    assert not hasattr(object.__new__(cls), "__dict__")
