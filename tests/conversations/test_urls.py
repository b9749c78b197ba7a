"""Which database the settings name."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from agentllm.conversations.locks import AdvisoryLocks, FileLocks
from agentllm.conversations.urls import process_locks, store_url
from agentllm.errors import ConfigurationError
from agentllm.settings import Settings


def settings(db_url: str | None) -> Settings:
    return Settings.model_validate({"db_url": db_url, "data_dir": Path("/the/data")})


def test_without_an_address_it_is_a_file_in_the_data_directory() -> None:
    url = store_url(settings(None))
    assert (url.drivername, Path(url.database or "").parent) == ("sqlite", Path("/the/data"))


@pytest.mark.parametrize("kind", ["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_another_file_may_be_named(kind: str) -> None:
    url = store_url(settings(f"{kind}:////elsewhere/c.sqlite3"))
    assert (url.drivername, url.database) == ("sqlite", "/elsewhere/c.sqlite3")


@pytest.mark.parametrize("kind", ["postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_postgresql_is_reached_by_psycopg_whatever_driver_is_named(kind: str) -> None:
    url = store_url(settings(f"{kind}://ada:secret@host:5433/agents?sslmode=require"))
    shown = url.render_as_string(hide_password=False)
    assert shown == "postgresql+psycopg://ada:secret@host:5433/agents?sslmode=require"


@pytest.mark.parametrize(
    "address", ["nonsense", "mysql://ada:hunter2@host/db", "sqlite://", "sqlite:///:memory:", "://hunter2"]
)
def test_what_can_be_no_store_is_refused_with_what_can_and_without_its_password(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        store_url(settings(address))
    assert "AGENTLLM_DB_URL" in caught.value.message
    assert "postgresql://" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_postgresql_without_its_driver_is_refused_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_psycopg(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "psycopg":
            raise ImportError(name)
        return found(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(ConfigurationError, match=r"agentllm\[postgres\]"):
        store_url(settings("postgresql://host/db"))


def test_processes_lock_where_they_store(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    locks = process_locks(store_url(settings(f"sqlite:///{tmp_path}/c.sqlite3")))
    assert isinstance(locks, FileLocks)
    assert [file.name for file in tmp_path.iterdir()] == ["c.sqlite3.lock"]
    locks.close()
    assert isinstance(process_locks(store_url(settings("postgresql://host/db"))), AdvisoryLocks)
