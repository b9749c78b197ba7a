"""An empty database, in SQLite and in PostgreSQL, and processes that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import sqlalchemy as sa

from agentllm.core import Runtime
from tests.conversations.disk import sqlite_url
from tests.idempotency.process import Process

Start: TypeAlias = Callable[[Runtime], Process]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """An empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return sa.make_url(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def start(url: sa.URL) -> Iterator[Start]:
    """Starts what stands for a process: its own connections and locks, and a runtime; ended with the test."""
    started: list[Process] = []

    def start(runtime: Runtime) -> Process:
        started.append(process := Process(url, runtime))
        return process

    yield start
    for process in started:
        process.close()
