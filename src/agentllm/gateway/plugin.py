"""The names that `proxy_config.yaml` gives LiteLLM. Importing this starts nothing; reading `agno` starts AgentLLM.

litellm_settings:
  custom_provider_map:
    - {provider: agno, custom_handler: agentllm.gateway.plugin.agno}
general_settings:
  custom_auth: agentllm.gateway.plugin.custom_auth
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from functools import cache
from typing import Any

import litellm

from agentllm.catalog import Catalog, load_catalog
from agentllm.conversations import Conversations, open_conversations
from agentllm.conversations.spend import Spend
from agentllm.conversations.upkeep import keep_answers, keep_up
from agentllm.gateway import auth
from agentllm.gateway.a2a_routes import serve_a2a
from agentllm.gateway.accounts import Accounts, SpendLogger
from agentllm.gateway.bodies import check_bodies
from agentllm.gateway.bridge import HomeLoop
from agentllm.gateway.families import provide
from agentllm.gateway.fetch import Fetcher
from agentllm.gateway.footnotes import Footnotes
from agentllm.gateway.garbage import collect_between_steps
from agentllm.gateway.handler import AgentHandler
from agentllm.gateway.hooks import AgentHooks
from agentllm.gateway.logs import hide_quotes
from agentllm.gateway.model_cards import show_cards
from agentllm.gateway.readiness import be_ready_after
from agentllm.gateway.registration import keep_registered, why_not
from agentllm.gateway.warmup import ask_once, rehearse
from agentllm.keys import KeyRing
from agentllm.llm.default import offline_notice
from agentllm.settings import TEST_KEY, load_settings

log = logging.getLogger("agentllm")

_tasks: set[asyncio.Task[None]] = set()


def __getattr__(name: str) -> object:
    if name == "agno":
        return start_in_proxy()
    if name == "custom_auth":
        return None if os.environ.get("DATABASE_URL") else auth.custom_auth
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def start_in_proxy() -> AgentHandler:
    """Start AgentLLM in the worker of a LiteLLM proxy, on its running loop; once for each process.

    Raises:
        ConfigurationError: a setting or the file of keys is wrong, or the store cannot be used; the
            proxy does not start.
    """
    _show_log()
    hide_quotes()
    footnotes = Footnotes()
    catalog, conversations, handler = _make(HomeLoop(asyncio.get_running_loop()), footnotes, _open_keys())
    litellm.logging_callback_manager.add_litellm_callback(AgentHooks(catalog, footnotes, handler.accounts))
    if os.environ.setdefault("LITELLM_MASTER_KEY", TEST_KEY) == TEST_KEY:
        log.warning(
            "The master key is the published test key. Set LITELLM_MASTER_KEY before others can reach the proxy."
        )
    show_cards()
    check_bodies()
    rehearse(catalog, conversations)
    settings = load_settings()
    be_ready_after(_keep_running(ask_once(catalog, conversations)))
    for task in (
        keep_registered(catalog, handler),
        keep_up(settings),
        keep_answers(settings),
        collect_between_steps(),
        serve_a2a(catalog, conversations, handler),
    ):
        _keep_running(task)
    return handler


def _keep_running(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task of `work`, which the event loop itself would hold weakly."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


@cache
def register() -> None:
    """Make `litellm.completion(model="agno/<agent>", …)` and its siblings work in this process, without a proxy.

    Synchronous and asynchronous calls both run on a loop of AgentLLM's own.

    Raises:
        ConfigurationError: a setting is wrong or the store cannot be used.
    """
    _, _, handler = _make(HomeLoop())
    provide(handler)


def _make(
    home: HomeLoop, footnotes: Footnotes | None = None, keys: KeyRing | None = None
) -> tuple[Catalog, Conversations, AgentHandler]:
    settings = load_settings()
    os.environ.setdefault("AGNO_TELEMETRY", "false")
    if notice := offline_notice():
        log.warning(notice)
    conversations = open_conversations(settings)
    catalog = load_catalog(settings, why_not=why_not)
    spend = Spend(conversations.store.database)
    litellm.logging_callback_manager.add_litellm_callback(SpendLogger(spend))
    handler = AgentHandler(
        catalog,
        conversations,
        home,
        run_timeout=settings.run_timeout,
        task_model=settings.task_model,
        show_work=settings.show_work,
        swap_models=settings.swap_models,
        fetcher=Fetcher() if settings.fetch_urls else None,
        footnotes=footnotes,
        accounts=Accounts(spend, keys),
    )
    return catalog, conversations, handler


def _open_keys() -> KeyRing | None:
    if not os.environ.get("DATABASE_URL"):
        return auth.key_ring()
    if load_settings().keys is not None:
        log.warning("AGENTLLM_KEYS is not read, because LiteLLM's own keys rule where DATABASE_URL is set. Unset one.")
    return None


def _show_log() -> None:
    """Send AgentLLM's log to standard error, unless the operator has set up logging."""
    if not logging.getLogger().handlers and not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
