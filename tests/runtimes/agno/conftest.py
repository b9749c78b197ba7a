"""Settings that a test changes do not stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentllm.settings import load_settings


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
