"""A store on disk and conversations in it, closed with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from tests.conversations.disk import sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(sqlite_url(tmp_path))
    made.create()
    yield made
    made.close()


@pytest.fixture
def conversations(store: Store) -> Conversations:
    return Conversations(store, b"0" * 32, Locks(), history_turns=20)
