"""Every test runs as on a machine where nothing is configured: no setting, no provider, no key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from agentllm.settings import load_settings
from tests.postgres import Postgres
from tests.proxy import clean_environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "postgres" in item.fixturenames:
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests that need one: each takes a `new_database`, and starts it again if it stops it."""
    with Postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that proxies are started in, for this process too, and settings that were not read yet."""
    clean = clean_environment()
    for name in os.environ.keys() - clean.keys():
        monkeypatch.delenv(name)
    for name, value in clean.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
