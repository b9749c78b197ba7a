"""Every test runs as on a machine where nothing is configured: no setting, no provider, no key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from agentllm.settings import load_settings
from tests.postgres import Postgres
from tests.proxy import clean_environment
from tests.scripted_llm import ScriptedLLM

settings.register_profile("agentllm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("agentllm")  # how quick the machine is, no test of properties is to tell


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "postgres" in item.fixturenames:
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests that need one: each takes a `new_database`, and starts it again if it stops it."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def running_llm() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as llm:
        yield llm


@pytest.fixture
def llm(running_llm: ScriptedLLM) -> ScriptedLLM:
    """The scripted model, with nothing scripted and no request remembered."""
    running_llm.reset()
    return running_llm


@pytest.fixture
def provider(llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> ScriptedLLM:
    """The scripted model in the place of OpenAI and Google, for their SDKs and for LiteLLM."""
    monkeypatch.setenv("OPENAI_API_KEY", "an-openai-key")
    monkeypatch.setenv("OPENAI_BASE_URL", llm.openai_base)
    monkeypatch.setenv("GEMINI_API_KEY", "a-google-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", llm.gemini_base)
    monkeypatch.setenv("GEMINI_API_BASE", f"{llm.gemini_base}/v1beta")
    return llm


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
