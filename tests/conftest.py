"""Every test runs as on a machine where nothing is configured: no setting, no provider, no key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from agentllm.settings import load_settings
from tests.proxy import clean_environment


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
