"""A proxy that starts with a store in which a killed one left something, and something is too old."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from openai import OpenAI

from agentllm.conversations.archive import Archive, Conversation
from agentllm.conversations.store import FILE, Store
from tests.conversations.telling import age, begin, left, tell
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy, clean_environment
from tests.scripted_llm import ScriptedLLM

SECONDS = 30.0


def until(condition: Callable[[], bool]) -> None:
    """Wait, for `SECONDS` at most, for what the proxy does by itself."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def conversations_of(url: sa.URL) -> list[Conversation]:
    with Archive(url) as archive:
        return archive.conversations()


def files_of(url: sa.URL) -> bytes:
    """All that SQLite's files hold."""
    return b"".join(Path(f"{url.database}{suffix}").read_bytes() for suffix in ("", "-wal", "-shm"))


async def test_it_ends_the_lost_turn_deletes_the_old_conversation_and_the_commands_work_beside_it(
    running_llm: ScriptedLLM, tmp_path: Path
) -> None:
    url = sa.URL.create("sqlite", database=str(tmp_path / "data" / FILE))
    store = Store(url)
    store.create()
    with closing(store):
        await tell(store, "old", "canary of the old one")
        age(url, "old", days=31)
        await begin(store, "lost", "hi")
    environment = {**llm_environment(running_llm), "AGENTLLM_RETENTION_DAYS": "30"}
    with Proxy(tmp_path, environment) as proxy:
        until(lambda: left(url) == ["lost"])
        until(lambda: [dict(found.statuses) for found in conversations_of(url)] == [{"interrupted": 1}])
        assert "canary" not in proxy.log
        with OpenAI(base_url=proxy.base_url, api_key=proxy.key, max_retries=0, timeout=30) as client:
            client.chat.completions.create(
                model="agno/echo",
                messages=[{"role": "user", "content": "canary of this one"}],
                extra_headers={"x-agentllm-session-id": "mine"},
            )
        assert sessions(tmp_path, "delete", "--session", "mine", "--yes") == ""
        assert left(url) == ["lost"]
        assert b"canary" not in files_of(url).lower()


def sessions(folder: Path, *arguments: str) -> str:
    """What `agentllm sessions` prints beside the proxy of `folder`."""
    command = [str(Path(sys.executable).with_name("agentllm")), "sessions", *arguments]
    environment = clean_environment(AGENTLLM_DATA_DIR=str(folder / "data"))
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
