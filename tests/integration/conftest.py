"""One scripted model and one proxy for all integration tests that need no other configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.integration.calling import Pair, open_pair
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM

AGENTS = Path(__file__).parent / "agents"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("integration")


def llm_environment(llm: ScriptedLLM) -> dict[str, str]:
    """What points the providers at the scripted model and the catalog at the tests' agents."""
    return {
        "AGENTLLM_AGENTS": str(AGENTS),
        "OPENAI_API_KEY": "sk-scripted",
        "OPENAI_API_BASE": llm.openai_base,
        "GEMINI_API_KEY": "scripted",
        "GOOGLE_GEMINI_BASE_URL": llm.gemini_base,
    }


@pytest.fixture(scope="session")
def proxy(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The project's own configuration, with the tests' agents and the scripted model behind them."""
    with Proxy(tmp_path_factory.mktemp("proxy"), llm_environment(running_llm)) as running:
        yield running


@pytest.fixture(scope="session")
def running_pair(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two proxies with one store."""
    with open_pair(tmp_path_factory.mktemp("pair"), llm_environment(running_llm)) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as openai:
        yield openai


@pytest.fixture
async def aclient(proxy: Proxy) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as openai:
        yield openai
