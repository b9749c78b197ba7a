"""Answers to requests of which nothing may be stored: kept by this process alone, and gone with it."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace

from agentllm.idempotency.entry import Entry

MOST_KEYS = 10_000
"""Beyond which the oldest keys are forgotten."""

MOST_CHARACTERS = 64 * 1024 * 1024
"""Of all answers together; beyond it the oldest answers are dropped and their keys remembered."""


class Memory:
    """The newest entries, each for as long as an answer is kept."""

    def __init__(self, *, most_keys: int = MOST_KEYS, most_characters: int = MOST_CHARACTERS) -> None:
        self._most_keys = most_keys
        self._most_characters = most_characters
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """What is kept under `key`."""
        self._forget_old()
        return self._entries.get(key)

    def put(self, entry: Entry) -> None:
        """Keep `entry`, in place of what was kept under its key."""
        self._forget_old()
        self._remove(entry.key)
        self._entries[entry.key] = entry
        self._characters += _length(entry)
        while len(self._entries) > self._most_keys:
            self._remove(next(iter(self._entries)))
        self._drop_answers()

    def _forget_old(self) -> None:
        now = time.time()
        while self._entries and next(iter(self._entries.values())).is_over(now):
            self._remove(next(iter(self._entries)))

    def _drop_answers(self) -> None:
        for key, entry in self._entries.items():
            if self._characters <= self._most_characters:
                return
            self._characters -= _length(entry)
            self._entries[key] = replace(entry, status="unkept", events=None)

    def _remove(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._characters -= _length(entry)


def _length(entry: Entry) -> int:
    return len(entry.events or "")
