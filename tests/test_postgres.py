"""The tests' PostgreSQL server: it starts, stops, comes back with its data, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.postgres import PACKAGE, Postgres, _runs, server_binaries
from tests.proxy import ROOT


def ask(url: str, query: str) -> object:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def test_a_new_database_is_empty_and_has_a_name_of_its_own(postgres: Postgres) -> None:
    urls = {postgres.new_database() for _ in range(2)}
    assert len(urls) == 2
    for url in urls:
        assert ask(url, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
def test_what_was_stored_outlives_a_stop(postgres: Postgres, end: Callable[[Postgres], None]) -> None:
    url = postgres.new_database()
    ask(url, "CREATE TABLE kept AS SELECT 7 AS number")
    ask(url, "CHECKPOINT")
    end(postgres)
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")
    postgres.start()
    assert ask(url, "SELECT number FROM kept") == 7


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.postgres
def test_a_server_ends_with_the_process_that_started_it(signal_number: int) -> None:
    script = (
        "from tests.postgres import Postgres\n"
        "with Postgres() as server:\n"
        "    print(server.pid, server._folder, flush=True)\n"
        "    input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        os.kill(starter.pid, signal_number)
    deadline = time.monotonic() + 30
    while Path(folder).exists() or _runs(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_missing_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=f"install {PACKAGE}"):
        server_binaries()
