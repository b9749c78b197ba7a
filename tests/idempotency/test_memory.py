"""Answers that only this process knows: how many, and for how long."""

from __future__ import annotations

import time
from dataclasses import replace

from agentllm.conversations.schema import KEPT_SECONDS
from agentllm.idempotency.entry import Entry
from agentllm.idempotency.memory import Memory

NOW = int(time.time())


def entry(key: str, events: str = "[]", *, age: int = 0) -> Entry:
    return Entry(key, "asked", f"answer of {key}", NOW - age, "complete", events)


def test_what_is_put_is_found() -> None:
    memory = Memory()
    memory.put(entry("a"))
    assert memory.get("a") == entry("a")
    assert memory.get("b") is None


def test_what_is_put_again_takes_the_place_of_the_first() -> None:
    memory = Memory(most_characters=15)
    for _ in range(10):
        memory.put(entry("a", "0123456789"))
    assert memory.get("a") == entry("a", "0123456789")
    assert len(memory) == 1


def test_it_is_forgotten_after_a_day() -> None:
    memory = Memory()
    memory.put(entry("old", age=KEPT_SECONDS + 60))
    memory.put(entry("new", age=KEPT_SECONDS - 3_600))
    assert memory.get("old") is None
    assert memory.get("new") is not None
    assert len(memory) == 1


def test_beyond_the_bound_the_oldest_keys_go() -> None:
    memory = Memory(most_keys=2)
    for key in "abc":
        memory.put(entry(key))
    assert [memory.get(key) is not None for key in "abc"] == [False, True, True]


def test_beyond_the_bound_of_characters_the_oldest_answers_go_and_their_keys_stay() -> None:
    memory = Memory(most_characters=25)
    for key in "abc":
        memory.put(entry(key, "0123456789"))
    assert memory.get("a") == replace(entry("a"), status="unkept", events=None)
    assert [kept.events for key in "bc" if (kept := memory.get(key))] == ["0123456789"] * 2
    memory.put(entry("d", "0" * 100))
    assert [kept.status for key in "abcd" if (kept := memory.get(key))] == ["unkept"] * 4
