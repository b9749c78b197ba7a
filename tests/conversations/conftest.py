"""A store on disk, in SQLite and in PostgreSQL, and conversations in it, closed with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from tests.conversations.disk import sqlite_url

SECRET = b"0" * 32


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """An empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return sa.make_url(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def store(url: sa.URL) -> Iterator[Store]:
    made = Store(url)
    made.create()
    yield made
    made.close()


@pytest.fixture
def conversations(store: Store) -> Conversations:
    return Conversations(store, SECRET, Locks(), history_turns=20)
