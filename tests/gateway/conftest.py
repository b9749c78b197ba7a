"""LiteLLM as a library with agents in it, and as it was afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, cast

import litellm
import pytest

from agentllm.catalog import Catalog
from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from agentllm.core import Agent, Runtime
from agentllm.gateway.bridge import HomeLoop
from agentllm.gateway.families import provide
from agentllm.gateway.handler import AgentHandler
from agentllm.runtimes import is_agent, runtime_for
from tests.conversations.disk import sqlite_url
from tests.runtimes.agno.spoken import HOME

with warnings.catch_warnings():
    # LiteLLM's proxy and what it imports use deprecated parts of others; it is imported here, once for all tests.
    warnings.simplefilter("ignore")
    import litellm.proxy.proxy_server

_OF_LITELLM = (
    "ignore:Items? .* using the `ReadOnly` qualifier:UserWarning",
    "ignore:coroutine 'Logging.async_success_handler' was never awaited:RuntimeWarning",
)

Serve: TypeAlias = Callable[..., AgentHandler]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in _OF_LITELLM:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(autouse=True)
def litellm_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what registering a provider changes."""
    monkeypatch.setattr(litellm, "custom_provider_map", [])
    monkeypatch.setattr(litellm, "provider_list", list(litellm.provider_list))
    monkeypatch.setattr(litellm, "_custom_providers", [])
    monkeypatch.setattr(litellm, "drop_params", False)


@pytest.fixture(scope="session")
def home() -> HomeLoop:
    """The home loop of this process, in a thread of its own."""
    return HOME


@pytest.fixture
def serve(home: HomeLoop, tmp_path: Path) -> Iterator[Serve]:
    """Serves agents or runtimes, given by their names, as models of LiteLLM in this process."""
    store = Store(sqlite_url(tmp_path))

    def serve(
        *, run_timeout: float = 60.0, on: HomeLoop | None = None, task_model: str | None = None, **agents: object
    ) -> AgentHandler:
        runtimes = {name: runtime_for(agent) if is_agent(agent) else agent for name, agent in agents.items()}
        catalog = Catalog({name: Agent(name, "", cast("Runtime", runtime)) for name, runtime in runtimes.items()})
        store.create()
        conversations = Conversations(store, b"a secret of a test", Locks(), history_turns=20)
        handler = AgentHandler(catalog, conversations, on or home, run_timeout=run_timeout, task_model=task_model)
        provide(handler)
        return handler

    yield serve
    store.close()
