"""Starting AgentLLM: as a library, and in the worker of a proxy."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litellm
import pytest
from litellm.llms.custom_llm import CustomLLM
from litellm.proxy import proxy_server
from litellm.router import Router

from agentllm.core import FAMILIES
from agentllm.errors import ConfigurationError
from agentllm.gateway import auth, plugin
from agentllm.gateway.handler import AgentHandler
from agentllm.gateway.hooks import AgentHooks
from agentllm.llm.offline import NOTICE
from agentllm.settings import TEST_KEY

STARTED: list[AgentHandler] = []
"""What a test started; its store is closed after it."""

HI: list[Any] = [{"role": "user", "content": "My name is Ada."}]
SECOND = 30.0


@pytest.fixture(autouse=True)
def a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if nothing had been started, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTLLM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(litellm, "callbacks", list(litellm.callbacks))
    logger = logging.getLogger("agentllm")
    handlers, level = list(logger.handlers), logger.level
    plugin.register.cache_clear()
    plugin.start_in_proxy.cache_clear()
    yield
    plugin.register.cache_clear()
    plugin.start_in_proxy.cache_clear()
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The proxy's modules with a router and no configuration; our background tasks end with the test."""
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-right")
    monkeypatch.setattr(proxy_server, "master_key", "sk-right")
    monkeypatch.setattr(proxy_server, "user_custom_auth", auth.custom_auth)
    monkeypatch.setattr(proxy_server, "llm_router", None)
    monkeypatch.setattr(proxy_server, "llm_model_list", None)
    yield proxy_server
    if proxy_server.llm_router is None:
        proxy_server.llm_router = Router(model_list=[])
    tasks = set(plugin._tasks)
    asking = {task for task in tasks if getattr(task.get_coro(), "__name__", "") == "ask_once"}
    if asking:
        await asyncio.wait(asking, timeout=SECOND)
    for task in tasks - asking:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for handler in STARTED:
        handler._conversations.close()
    STARTED.clear()
    gc.unfreeze()


def start() -> AgentHandler:
    """Start AgentLLM as the proxy does."""
    handler = plugin.agno
    assert isinstance(handler, AgentHandler)
    STARTED.append(handler)
    return handler


@pytest.mark.integration
def test_importing_the_plugin_starts_nothing(tmp_path: Path) -> None:
    code = (
        "import threading, litellm, agentllm.gateway.plugin, logging, sys\n"
        "assert not [t for t in threading.enumerate() if t.name == 'agentllm']\n"
        "assert litellm.custom_provider_map == [] and not logging.getLogger('agentllm').handlers\n"
        "assert 'litellm.proxy.proxy_server' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_agents_answer_through_litellm_once_registered() -> None:
    plugin.register()
    plain: Any = litellm.completion(model="agno/demo", messages=HI)
    stream: Any = litellm.completion(model="agno/demo", messages=HI, stream=True)
    assert NOTICE in plain.choices[0].message.content
    assert NOTICE in "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def test_two_loops_one_after_the_other_are_served() -> None:
    plugin.register()

    async def ask(stream: bool) -> str:
        answer: Any = await litellm.acompletion(model="agno/demo", messages=HI, stream=stream)
        if stream:
            return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
        return str(answer.choices[0].message.content)

    assert all(NOTICE in asyncio.run(ask(stream)) for stream in (False, True, False, True))


@pytest.fixture
def registered() -> Iterator[None]:
    """The agents in LiteLLM, and their store closed after the test."""
    plugin.register()
    yield
    handler: Any = litellm.custom_provider_map[-1]["custom_handler"]
    handler._conversations.close()


@pytest.mark.usefixtures("registered")
def test_a_session_is_remembered_on_disk() -> None:
    metadata = {"headers": {"x-agentllm-session-id": "s"}}
    litellm.completion(model="agno/demo", messages=HI, metadata=metadata)
    again: Any = litellm.completion(
        model="agno/demo", messages=[{"role": "user", "content": "What is my name?"}], metadata=metadata
    )
    assert "Ada" in again.choices[0].message.content


def test_registering_replaces_our_entry_and_leaves_the_others() -> None:
    litellm.custom_provider_map = [
        {"provider": provider, "custom_handler": CustomLLM()} for provider in ("other", "agno")
    ]
    plugin.register()
    plugin.register()
    assert [item["provider"] for item in litellm.custom_provider_map] == ["other", *FAMILIES]
    assert isinstance(litellm.custom_provider_map[-1]["custom_handler"], AgentHandler)


def test_a_bad_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_RUN_TIMEOUT", "never")
    with pytest.raises(ConfigurationError, match="AGENTLLM_RUN_TIMEOUT"):
        plugin.register()
    assert litellm.custom_provider_map == []


def test_a_data_folder_that_cannot_be_made_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AGENTLLM_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match="AGENTLLM_DATA_DIR"):
        plugin.register()


def test_the_offline_model_is_announced_where_it_speaks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.register()
    assert NOTICE in caplog.text
    caplog.clear()
    plugin.register.cache_clear()
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    plugin.register()
    assert NOTICE not in caplog.text


def test_agno_s_telemetry_is_off_unless_the_operator_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in ((None, "false"), ("true", "true")):
        monkeypatch.delenv("AGNO_TELEMETRY", raising=False)
        if given is not None:
            monkeypatch.setenv("AGNO_TELEMETRY", given)
        plugin.register.cache_clear()
        plugin.register()
        assert os.environ["AGNO_TELEMETRY"] == expected


def test_the_plugin_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="nothing_else"):
        plugin.nothing_else  # noqa: B018 - reading it is the test


@pytest.mark.parametrize(("database", "expected"), [(None, auth.custom_auth), ("postgresql://x", None)])
def test_our_keys_rule_where_litellm_has_no_database_of_keys(
    database: str | None, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    if database is not None:
        monkeypatch.setenv("DATABASE_URL", database)
    assert plugin.custom_auth is expected


async def test_a_broken_file_of_keys_stops_the_start_and_is_named(
    proxy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.yaml").write_text("keys:\n- ada\n")
    monkeypatch.setenv("AGENTLLM_KEYS", str(tmp_path / "keys.yaml"))
    with pytest.raises(ConfigurationError, match=r"keys\.yaml, line 2"):
        start()


async def test_with_a_database_the_file_of_keys_is_not_read_and_that_is_said(
    proxy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys.yaml").write_text("keys:\n- ada\n")
    monkeypatch.setenv("AGENTLLM_KEYS", str(tmp_path / "keys.yaml"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://x")
    start()
    assert "AGENTLLM_KEYS is not read" in caplog.text


async def test_reading_the_handler_starts_agentllm_in_the_proxy_once(proxy: Any) -> None:
    assert start() is start()
    assert [type(callback) for callback in litellm.callbacks].count(AgentHooks) == 1


async def test_the_agents_are_registered_and_the_handler_answers_on_the_proxy_s_loop(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "custom_provider_map", [])
    start()
    proxy.llm_router = routes = Router(model_list=[])
    async with asyncio.timeout(SECOND):
        while "agno/demo" not in routes.get_model_names():  # noqa: ASYNC110 - LiteLLM has no event for it
            await asyncio.sleep(0.001)
    answer: Any = await routes.acompletion(model="agno/demo", messages=HI)
    assert NOTICE in answer.choices[0].message.content


@pytest.mark.parametrize(("key", "warned"), [(None, True), (TEST_KEY, True), ("sk-my-own", False)])
async def test_the_published_test_key_is_warned_of(
    proxy: Any, key: str | None, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("LITELLM_MASTER_KEY")
    if key is not None:
        monkeypatch.setenv("LITELLM_MASTER_KEY", key)
    start()
    assert ("published test key" in caplog.text) is warned
    assert os.environ["LITELLM_MASTER_KEY"] == (key or TEST_KEY)


async def test_the_log_goes_to_standard_error_unless_the_operator_has_set_up_logging(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("agentllm")
    start()
    assert logger.handlers == []
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    plugin.start_in_proxy.cache_clear()
    start()
    plugin.start_in_proxy.cache_clear()
    start()
    assert [type(handler) for handler in logger.handlers] == [logging.StreamHandler]
    assert logger.level == logging.INFO
