"""Processes that share a store, under load: no turn is lost, doubled, or another conversation's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import llm_environment
from tests.integration.stored import Stored, is_one_branch, said, sqlite_url, stored
from tests.postgres import Postgres
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM

CLIENTS = 8
CONVERSATIONS = 50
TURNS = 10

AT_ONCE = 8
"""Conversations of one client that are under way together."""

SHARED = 5
"""One conversation in so many is asked through both proxies at once, two turns at a time."""

LIMITS = httpx.Limits(max_connections=100, keepalive_expiry=1)
"""An idle connection is given up before the proxy closes it, which it does after five seconds."""

pytestmark = pytest.mark.timeout(300)


@dataclass(slots=True)
class Client:
    """One person: all of them use the same chat ids, so that only who they are keeps their conversations apart."""

    name: str
    doors: Sequence[httpx.AsyncClient]
    problems: list[str] = field(default_factory=list)

    async def talk(self) -> None:
        """Hold all conversations, `AT_ONCE` at a time."""
        room = asyncio.Semaphore(AT_ONCE)

        async def hold(number: int) -> None:
            async with room:
                await (self._share if number % SHARED == 0 else self._alternate)(number)

        await asyncio.gather(*(hold(number) for number in range(CONVERSATIONS)))

    async def _alternate(self, number: int) -> None:
        """Each turn through the next proxy; the model must have seen all before it, in order."""
        texts: list[str] = []
        for turn in range(TURNS):
            texts.append(text_of(self.name, number, turn))
            self._check(await self._ask(number, turn, turn + number), texts)

    async def _share(self, number: int) -> None:
        """Two turns at once through both proxies: either may come first, and the other has then seen it."""
        before: list[str] = []
        for turn in range(0, TURNS, 2):
            first, second = text_of(self.name, number, turn), text_of(self.name, number, turn + 1)
            answers = await asyncio.gather(self._ask(number, turn, 0), self._ask(number, turn + 1, 1))
            if answers[0] == heard([*before, second, first]):
                first, second, answers = second, first, answers[::-1]
            for text, answer in zip((first, second), answers, strict=True):
                before.append(text)
                self._check(answer, before)

    def _check(self, answer: str, texts: Sequence[str]) -> None:
        if answer != heard(texts):
            self.problems.append(f"{answer!r} instead of {heard(texts)!r}")

    async def _ask(self, number: int, turn: int, door: int) -> str:
        """The answer to one turn; every other one is streamed."""
        stream = turn % 2 == 1
        message = {"role": "user", "content": text_of(self.name, number, turn)}
        response = await self.doors[door % len(self.doors)].post(
            "/chat/completions",
            json={"model": "agno/echo", "messages": [message], "stream": stream},
            headers={"x-openwebui-chat-id": f"chat-{number:02}", "x-openwebui-user-id": self.name},
        )
        if response.status_code != 200:
            return f"status {response.status_code}: {response.text}"
        return streamed(response.text) if stream else str(response.json()["choices"][0]["message"]["content"])


def text_of(client: str, number: int, turn: int) -> str:
    return f"{client} in {number:02} at {turn}: what did I say?"


def heard(texts: Sequence[str]) -> str:
    """What the scripted model answers to the last of `texts`, where it was given exactly these."""
    return f"you said: {' | '.join(texts)}"


def streamed(body: str) -> str:
    """The text of a stream that came to its end."""
    data = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    if data[-1:] != ["[DONE]"]:
        return f"no end: {body}"
    chunks = [json.loads(item) for item in data[:-1]]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk.get("choices", [chunk]))


async def talk_all(proxies: Sequence[Proxy]) -> None:
    """All clients at once, each with connections of its own to every proxy."""
    async with AsyncExitStack() as closing:
        clients = []
        for number in range(CLIENTS):
            doors = [
                httpx.AsyncClient(
                    base_url=p.base_url, headers={"Authorization": f"Bearer {p.key}"}, timeout=60, limits=LIMITS
                )
                for p in proxies
            ]
            for door in doors:
                await closing.enter_async_context(door)
            clients.append(Client(f"person{number}", doors))
        await asyncio.gather(*(client.talk() for client in clients))
    problems = [problem for client in clients for problem in client.problems]
    assert not problems, f"{len(problems)} wrong answers, as {problems[:3]}"


def check_stored(found: Stored) -> None:
    """Each conversation is one branch of exactly its turns, each once, in the order they were asked."""
    people = [f"person{number}" for number in range(CLIENTS)]
    assert found.keys() == {(name, f"chat-{number:02}") for name in people for number in range(CONVERSATIONS)}
    for (name, chat), turns in found.items():
        number = int(chat[-2:])
        texts = [said(turn) for turn in turns]
        asked = [text_of(name, number, turn) for turn in range(TURNS)]
        together = 2 if number % SHARED == 0 else 1
        parts = [sorted(texts[at : at + together]) for at in range(0, len(texts), together)]
        assert [text for part in parts for text in part] == asked
        assert {turn.status for turn in turns} == {"complete"}
        assert is_one_branch(turns)
        assert [turn.answer for turn in turns] == [heard(texts[: at + 1]) for at in range(TURNS)]
        assert [turn.output[-1].content for turn in turns] == [turn.answer for turn in turns]


async def test_two_proxies_share_a_postgres(running_llm: ScriptedLLM, postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    environment = {
        **llm_environment(running_llm),
        "AGENTLLM_DB_URL": url,
        "AGENTLLM_SECRET": "the same for both of them",
    }
    with ExitStack() as ending:
        proxies = [ending.enter_context(Proxy(tmp_path / name, environment)) for name in ("one", "two")]
        await talk_all(proxies)
    check_stored(stored(url))


async def test_two_workers_share_a_sqlite_file(running_llm: ScriptedLLM, tmp_path: Path) -> None:
    command = ("litellm", "--run_gunicorn", "--num_workers", "2")
    with Proxy(tmp_path, llm_environment(running_llm), command=command) as proxy:
        await talk_all([proxy])
        used = [cpu_ticks(pid) for pid in children(proxy.pid)]
    assert len(used) == 2
    assert min(used) > sum(used) / 10, "one worker did everything"
    check_stored(stored(sqlite_url(tmp_path / "data")))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
