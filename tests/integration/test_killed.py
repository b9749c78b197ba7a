"""What is left of the turns of a proxy that is killed, and what becomes of turns whose store goes away."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.checks import asked
from tests.integration.conftest import llm_environment
from tests.integration.stored import is_one_branch, said, sqlite_url, stored
from tests.postgres import Postgres
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM

BEHIND = 1.5
"""Seconds of an answer that may be missing after a kill, on a machine that is busy."""

RECOVERY_SECONDS = 60.0
"""In which a proxy that starts has ended what a killed one left."""

PARALLEL = 24
WORDS = 150
SPEAK = f"!pace 50\n!tokens {WORDS}"
"""Has the scripted model speak for three seconds."""

WHOLE = " ".join(f"w{number}" for number in range(WORDS))


@dataclass(frozen=True)
class Place:
    """Where a test's proxies keep their conversations, and what it runs them with."""

    url: str
    folder: Path
    environment: Mapping[str, str]

    def proxy(self) -> Proxy:
        return Proxy(self.folder, self.environment)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, running_llm: ScriptedLLM, tmp_path: Path) -> Place:
    environment = llm_environment(running_llm)
    if request.param == "sqlite":
        return Place(sqlite_url(tmp_path / "data"), tmp_path, environment)
    server: Postgres = request.getfixturevalue("postgres")
    url = server.new_database()
    return Place(url, tmp_path, {**environment, "AGENTLLM_DB_URL": url})


def post(proxy: Proxy, content: str, chat: str = "chat") -> httpx.Response:
    """A plain answer, or its failure."""
    return httpx.post(**request_of(proxy, content, chat), timeout=60)


def answer(proxy: Proxy, content: str, chat: str = "chat") -> str:
    response = post(proxy, content, chat)
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def request_of(proxy: Proxy, content: str, chat: str, *, stream: bool = False) -> dict[str, Any]:
    return {
        "url": f"{proxy.base_url}/chat/completions",
        "json": {"model": "agno/echo", "stream": stream, "messages": [{"role": "user", "content": content}]},
        "headers": {"Authorization": f"Bearer {proxy.key}", "x-openwebui-chat-id": chat, "x-openwebui-user-id": "ada"},
    }


class Stream:
    """A streamed answer: its text and the times at which it came, its end, and its error."""

    def __init__(self) -> None:
        self.text = ""
        self.error: dict[str, Any] | None = None
        self.is_finished = False
        self.is_broken = False
        self._lengths: list[tuple[float, int]] = [(0.0, 0)]

    def length_at(self, moment: float) -> int:
        """How much of the text was there at a time of `time.monotonic`."""
        return max(length for at, length in self._lengths if at <= moment)

    def read(self, proxy: Proxy, content: str, *, during: Mapping[int, Callable[[], object]] | None = None) -> Stream:
        """Read to the end, calling what `during` has for a length of the text as soon as it is that long."""
        steps = sorted((during or {}).items(), key=lambda step: step[0])
        try:
            with httpx.stream("POST", **request_of(proxy, content, "chat", stream=True), timeout=60) as response:
                assert response.status_code == 200, response.read()
                for line in response.iter_lines():
                    self._take(line)
                    while steps and len(self.text) >= steps[0][0]:
                        steps.pop(0)[1]()
        except httpx.TransportError:
            self.is_broken = True
        assert not steps, f"it ended before {steps[0][0]} characters"
        return self

    def _take(self, line: str) -> None:
        if not line.startswith("data: {"):
            return
        event = json.loads(line.removeprefix("data: "))
        self.error = event.get("error") or self.error
        for choice in event.get("choices", ()):
            self.is_finished |= bool(choice.get("finish_reason"))
            if text := choice["delta"].get("content"):
                self.text += text
                self._lengths.append((time.monotonic(), len(self.text)))


def running(url: str) -> int:
    return sum(turn.status == "running" for turns in stored(url).values() for turn in turns)


def wait_for_recovery(url: str) -> None:
    """Until no turn is marked as running any more, without any new turn."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while running(url):
        assert time.monotonic() < deadline, "turns that were killed are still marked as running"
        time.sleep(0.1)


def test_a_proxy_killed_in_mid_stream_leaves_the_turn_with_what_was_sent(place: Place, llm: ScriptedLLM) -> None:
    stream = Stream()
    killed_at = 0.0
    with place.proxy() as proxy:
        assert answer(proxy, "before") == "echo: before"

        def kill() -> None:
            nonlocal killed_at
            killed_at = time.monotonic()
            proxy.kill()

        stream.read(proxy, SPEAK, during={len(WHOLE) * 4 // 5: kill})
    assert stream.is_broken
    assert not stream.is_finished

    with place.proxy() as proxy:
        wait_for_recovery(place.url)
        (turns,) = stored(place.url).values()
        assert [turn.status for turn in turns] == ["complete", "interrupted"]
        kept = turns[-1].answer
        assert WHOLE.startswith(kept)
        assert len(kept) >= stream.length_at(killed_at - BEHIND) > 0
        assert answer(proxy, "after") == "echo: after"
        assert asked(llm) == [
            ("user", "before"),
            ("assistant", "echo: before"),
            ("user", SPEAK),
            ("assistant", kept),
            ("user", "after"),
        ]
    (turns,) = stored(place.url).values()
    assert [turn.status for turn in turns] == ["complete", "interrupted", "complete"]
    assert is_one_branch(turns)


def recall(chat: str, number: int) -> str:
    return f"{chat} {number}: what did I say?"


async def talk_until_killed(proxy: Proxy, after: float) -> Mapping[str, int]:
    """Talk in `PARALLEL` conversations, kill the proxy `after` seconds; how many turns of each were answered."""
    answered: dict[str, int] = defaultdict(int)

    async def talk(client: httpx.AsyncClient, chat: str) -> None:
        while True:
            text = recall(chat, answered[chat])
            response = await client.post(**request_of(proxy, text, chat))
            assert response.status_code == 200, response.text
            assert response.json()["choices"][0]["message"]["content"].endswith(text)
            answered[chat] += 1

    async with httpx.AsyncClient(timeout=60) as client:
        talks = [asyncio.create_task(talk(client, f"chat-{number:02}")) for number in range(PARALLEL)]
        await asyncio.sleep(after)
        await asyncio.to_thread(proxy.kill)
        ends = await asyncio.gather(*talks, return_exceptions=True)
    assert all(isinstance(end, httpx.TransportError) for end in ends), ends
    return answered


async def test_every_turn_that_was_answered_outlives_a_kill(place: Place, llm: ScriptedLLM) -> None:
    with place.proxy() as proxy:
        answered = await talk_until_killed(proxy, 3.0)
    assert sum(answered.values()) > PARALLEL

    left = stored(place.url)
    assert running(place.url) > 0, "nothing was under way when the proxy was killed"
    for (_, chat), turns in left.items():
        assert [said(turn) for turn in turns] == [recall(chat, number) for number in range(len(turns))]
        assert len(turns) in (answered[chat], answered[chat] + 1)
        assert all(turn.status == "complete" for turn in turns[: answered[chat]])

    with place.proxy() as proxy:
        wait_for_recovery(place.url)
        assert {turn.status for turns in stored(place.url).values() for turn in turns} == {"complete", "interrupted"}
        for (_, chat), turns in left.items():
            heard = [said(turn) for turn in turns[-20:]] + ["what did I say?"]
            assert answer(proxy, "what did I say?", chat) == f"you said: {' | '.join(heard)}"
    for turns in stored(place.url).values():
        assert turns[-1].status == "complete"
        assert is_one_branch(turns)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Postgres]:
    """The server, which runs again after the test."""
    yield postgres
    postgres.stop()
    postgres.start()


@pytest.fixture
def with_postgres(database: Postgres, running_llm: ScriptedLLM, tmp_path: Path) -> Iterator[Proxy]:
    environment = {**llm_environment(running_llm), "AGENTLLM_DB_URL": database.new_database()}
    with Proxy(tmp_path, environment) as proxy:
        yield proxy


def test_a_turn_without_its_store_is_503_and_runs_nothing(
    with_postgres: Proxy, database: Postgres, llm: ScriptedLLM
) -> None:
    assert answer(with_postgres, "before") == "echo: before"
    llm.reset()
    database.stop()
    for chat in ("chat", "another"):
        response = post(with_postgres, "lost", chat)
        assert response.status_code == 503
        error = response.json()["error"]
        assert set(error) >= {"message", "type", "param", "code"}
        assert error["code"] == "503"
        assert "not available" in error["message"]
    stream = httpx.post(**request_of(with_postgres, "lost", "chat", stream=True), timeout=60)
    assert stream.status_code == 503
    assert llm.requests() == []
    database.start()
    assert answer(with_postgres, "after") == "echo: after"
    assert asked(llm) == [("user", "before"), ("assistant", "echo: before"), ("user", "after")]


def test_a_store_that_stops_in_mid_stream_fails_the_answer_visibly(
    with_postgres: Proxy, database: Postgres, llm: ScriptedLLM
) -> None:
    started = time.monotonic()
    stream = Stream().read(with_postgres, SPEAK, during={100: database.stop})
    assert stream.error is not None
    assert not stream.is_finished
    assert 10 < time.monotonic() - started < 30
    database.start()
    assert answer(with_postgres, "after") == "echo: after"
    assert [role for role, _ in asked(llm)] in (["user", "assistant", "user"], ["user", "user"])
    assert asked(llm)[0] == ("user", SPEAK)


HANGS = 25.0
"""Seconds within which a request has ended whose store answers nothing."""


def test_a_turn_whose_store_hangs_is_503_in_time_and_runs_nothing(
    with_postgres: Proxy, database: Postgres, llm: ScriptedLLM
) -> None:
    assert answer(with_postgres, "before") == "echo: before"
    llm.reset()
    with database.hung(), ThreadPoolExecutor(4) as clients:
        started = time.monotonic()
        for response in clients.map(lambda chat: post(with_postgres, "lost", chat), ("chat", "chat", "b", "c")):
            assert response.status_code == 503, response.text
            assert "not available" in response.json()["error"]["message"]
        assert time.monotonic() - started < HANGS
    assert llm.requests() == []
    assert answer(with_postgres, "after") == "echo: after"
    assert asked(llm) == [("user", "before"), ("assistant", "echo: before"), ("user", "after")]


def test_a_store_that_hangs_in_mid_stream_fails_the_answer_visibly(
    with_postgres: Proxy, database: Postgres, llm: ScriptedLLM
) -> None:
    with ExitStack() as hung:
        stream = Stream().read(with_postgres, SPEAK, during={100: lambda: hung.enter_context(database.hung())})
        assert stream.error is not None
        assert not stream.is_finished
    assert answer(with_postgres, "after") == "echo: after"
    assert asked(llm)[0] == ("user", SPEAK)


def test_a_store_that_comes_back_in_time_saves_the_answer(
    with_postgres: Proxy, database: Postgres, llm: ScriptedLLM
) -> None:
    timers: list[threading.Timer] = []

    def stop() -> None:
        database.stop()
        timers.append(threading.Timer(6, database.start))
        timers[0].start()

    stream = Stream().read(with_postgres, SPEAK, during={len(WHOLE) // 2: stop})
    timers[0].join()
    assert stream.text == WHOLE
    assert stream.error is None
    assert stream.is_finished
    assert answer(with_postgres, "after") == "echo: after"
    assert asked(llm) == [("user", SPEAK), ("assistant", WHOLE), ("user", "after")]


def test_a_store_that_was_started_again_between_two_turns_goes_unnoticed(
    with_postgres: Proxy, database: Postgres, llm: ScriptedLLM
) -> None:
    for text in ("one", "two", "three"):
        assert answer(with_postgres, text) == f"echo: {text}"
        database.stop()
        database.start()
    assert [text for role, text in asked(llm) if role == "user"] == ["one", "two", "three"]


@pytest.fixture(scope="module")
def with_sqlite(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Path]]:
    folder = tmp_path_factory.mktemp("locked")
    with Proxy(folder, llm_environment(running_llm)) as proxy:
        yield proxy, folder / "data" / "agentllm.sqlite3"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process's writer has the file."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def locked_for(file: Path, seconds: float) -> threading.Thread:
    """A thread that has locked the file when this returns."""
    has_begun = threading.Event()

    def work() -> None:
        with locked(file):
            has_begun.set()
            time.sleep(seconds)

    thread = threading.Thread(target=work)
    thread.start()
    has_begun.wait()
    return thread


def test_a_file_that_is_locked_for_long_fails_the_turn_before_it_runs(
    with_sqlite: tuple[Proxy, Path], llm: ScriptedLLM
) -> None:
    proxy, file = with_sqlite
    with locked(file):
        response = post(proxy, "lost", "locked at the start")
    assert response.status_code == 503
    assert "not available" in response.json()["error"]["message"]
    assert llm.requests() == []
    assert answer(proxy, "after", "locked at the start") == "echo: after"
    assert asked(llm) == [("user", "after")]


def test_a_file_that_is_locked_for_a_moment_only_delays_the_turn(
    with_sqlite: tuple[Proxy, Path], llm: ScriptedLLM
) -> None:
    proxy, file = with_sqlite
    writer = locked_for(file, 2)
    assert answer(proxy, "late", "locked for a moment") == "echo: late"
    writer.join()


def test_a_file_that_is_locked_at_the_end_for_long_fails_the_answer_visibly(
    with_sqlite: tuple[Proxy, Path], llm: ScriptedLLM
) -> None:
    proxy, file = with_sqlite
    other = sqlite3.connect(file, isolation_level=None)
    stream = Stream().read(proxy, SPEAK, during={100: lambda: other.execute("BEGIN IMMEDIATE")})
    other.close()
    assert stream.error is not None
    assert not stream.is_finished
    assert WHOLE.startswith(stream.text)


def test_a_file_that_is_locked_at_the_end_for_a_moment_only_delays_the_answer(
    with_sqlite: tuple[Proxy, Path], llm: ScriptedLLM
) -> None:
    proxy, file = with_sqlite
    writers: list[threading.Thread] = []
    stream = Stream().read(proxy, SPEAK, during={100: lambda: writers.append(locked_for(file, 6))})
    writers[0].join()
    assert stream.text == WHOLE
    assert stream.is_finished
    assert stream.error is None
