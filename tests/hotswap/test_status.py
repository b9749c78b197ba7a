"""The one text that says what is in force."""

from __future__ import annotations

import pytest

from agentllm.core import Swap
from agentllm.hotswap.status import LONGEST_SHOWN, status


def test_it_names_what_is_set_and_what_is_the_agent_s_own() -> None:
    assert status(Swap(), is_stored=True).count("the agent's own") == 2
    assert status(Swap("a/b"), is_stored=True).splitlines()[0].startswith("Model: a/b (")
    assert status(Swap("a/b", "one\ntwo"), is_stored=True).endswith("\none\ntwo")


@pytest.mark.parametrize(("is_stored", "where"), [(True, "conversation"), (False, "request")])
def test_it_says_for_what_it_is_set(is_stored: bool, where: str) -> None:
    assert status(Swap("a", "b"), is_stored=is_stored).count(where) == 2


def test_a_long_prompt_is_cut_and_says_how_long_it_is() -> None:
    shown = status(Swap(None, "x" * (LONGEST_SHOWN + 1)), is_stored=True)
    assert shown.count("x") == LONGEST_SHOWN
    assert f"{LONGEST_SHOWN + 1:,}" in shown
