"""Requests that are repeated under their Idempotency-Key, through running proxies: one run, one answer."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from tests.conversations.disk import rows
from tests.integration.conftest import llm_environment
from tests.integration.stored import sqlite_url
from tests.integration.test_upkeep import files_of, sessions
from tests.postgres import Postgres
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM

pytestmark = pytest.mark.timeout(300)

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
SPEAK = "!pace 50\n!tokens 75"
"""Has the scripted model speak for a second and a half."""

SPOKEN = " ".join(f"w{number}" for number in range(75))


def new_key() -> str:
    return str(uuid.uuid4())


def post(
    proxy: Proxy, key: str | None, content: str = "hi", *, headers: Mapping[str, str] | None = None,
    path: str = "chat/completions", **body: Any,
) -> httpx.Response:  # fmt: skip
    """The whole response, a stream's to its end."""
    return httpx.post(**request_of(proxy, key, content, headers=headers, path=path, **body), timeout=60)


def request_of(
    proxy: Proxy, key: str | None, content: str = "hi", *, headers: Mapping[str, str] | None = None,
    path: str = "chat/completions", **body: Any,
) -> dict[str, Any]:  # fmt: skip
    given = {"Authorization": f"Bearer {proxy.key}", **({} if key is None else {"Idempotency-Key": key})}
    asked = {"model": "agno/echo", "messages": [{"role": "user", "content": content}], **body}
    return {"url": f"{proxy.base_url}/{path}", "json": asked, "headers": {**given, **(headers or {})}}


def answer_of(response: httpx.Response) -> tuple[str, int, str]:
    """The id, the time and the text of an answer, streamed or not; a stream has one id and one time."""
    assert response.status_code == 200, response.text
    if not response.headers["content-type"].startswith("text/event-stream"):
        body = response.json()
        return body["id"], body["created"], body["choices"][0]["message"]["content"]
    chunks = chunks_of(response.text)
    ((answer_id, created),) = {(chunk["id"], chunk["created"]) for chunk in chunks}
    return answer_id, created, text_of(chunks)


def chunks_of(body: str) -> list[dict[str, Any]]:
    data = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]", body
    return [json.loads(item) for item in data[:-1]]


def text_of(chunks: Sequence[Mapping[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))


class Reader(threading.Thread):
    """A client that reads a stream; `text` is what it has so far. `leave` closes its connection."""

    def __init__(self, proxy: Proxy, key: str, content: str, **body: Any) -> None:
        super().__init__(daemon=True)
        self._request = request_of(proxy, key, content, stream=True, **body)
        self._has_some, self._leaves = threading.Event(), threading.Event()
        self.text = ""
        self.id: str | None = None
        self.is_broken = False
        self.start()

    def run(self) -> None:
        try:
            with httpx.stream("POST", **self._request, timeout=60) as response:
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        chunk = json.loads(line.removeprefix("data: "))
                        self.id = chunk.get("id")
                        self.text += text_of([chunk])
                    if self.text:
                        self._has_some.set()
                    if self._leaves.is_set():
                        return
        except httpx.TransportError:
            self.is_broken = True

    def has_begun(self) -> None:
        assert self._has_some.wait(30)

    def leave(self) -> None:
        self._leaves.set()
        self.join(30)

    def whole(self) -> str:
        self.join(30)
        assert not self.is_alive()
        return self.text


@STREAM
@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed", "agno/team"])
def test_a_repeated_request_gets_the_first_one_s_answer(
    proxy: Proxy, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    key = new_key()
    first = answer_of(post(proxy, key, model=model, stream=stream))
    asked = len(llm.requests())
    time.sleep(1.1)  # the clock, which an answer made anew would be told by, counts whole seconds
    assert answer_of(post(proxy, key, model=model, stream=stream)) == first
    assert answer_of(post(proxy, key, model=model, stream=not stream)) == first
    assert len(llm.requests()) == asked
    assert answer_of(post(proxy, new_key(), model=model, stream=stream))[0] != first[0]
    assert len(llm.requests()) == 2 * asked


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("responses", {"model": "agno/echo", "input": "hi"}),
        ("messages", {"model": "agno/echo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}),
    ],
)
def test_so_it_is_on_the_other_endpoints(proxy: Proxy, llm: ScriptedLLM, path: str, body: dict[str, Any]) -> None:
    request = request_of(proxy, new_key(), path=path)
    first, second = (httpx.post(**{**request, "json": body}, timeout=60) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200), first.text
    assert "echo: hi" in second.text
    assert len(llm.requests()) == 1
    other = httpx.post(**{**request, "json": {**body, "temperature": 0.5}}, timeout=60)
    assert other.status_code == 409, other.text


@STREAM
def test_another_request_with_the_key_is_a_conflict(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    key = new_key()
    first = answer_of(post(proxy, key))
    for differing in ({"content": "ho"}, {"model": "agno/routed"}, {"temperature": 0.1}):
        response = post(proxy, key, **differing, stream=stream)
        assert response.status_code == 409, response.text
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("conflict_error", "409")
        assert response.headers.get("x-should-retry") == "false"
    assert len(llm.requests()) == 1
    assert answer_of(post(proxy, key)) == first


@pytest.mark.parametrize("key", ["x" * 256, ""])
def test_a_bad_key_is_refused(proxy: Proxy, llm: ScriptedLLM, key: str) -> None:
    response = post(proxy, key)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert llm.requests() == []


def test_a_request_that_comes_while_the_first_one_runs_joins_its_stream(proxy: Proxy, llm: ScriptedLLM) -> None:
    key = new_key()
    first = Reader(proxy, key, SPEAK)
    first.has_begun()
    second = Reader(proxy, key, SPEAK)
    second.has_begun()
    assert len(second.text) < len(SPOKEN)
    plain = answer_of(post(proxy, key, SPEAK))
    assert first.whole() == second.whole() == plain[2] == SPOKEN
    assert first.id == second.id == plain[0]
    assert len(llm.requests()) == 1


def test_the_run_goes_on_as_long_as_somebody_reads_it(proxy: Proxy, llm: ScriptedLLM) -> None:
    key = new_key()
    first = Reader(proxy, key, SPEAK)
    first.has_begun()
    second = Reader(proxy, key, SPEAK)
    second.has_begun()
    first.leave()
    assert second.whole() == SPOKEN
    assert answer_of(post(proxy, key, SPEAK))[2] == SPOKEN
    assert len(llm.requests()) == 1


def test_with_nobody_left_it_is_stopped_and_not_run_again(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("and on it goes ", endless=True))
    key = new_key()
    reader = Reader(proxy, key, "hi")
    reader.has_begun()
    reader.leave()
    llm.wait_for(lambda seen: len(seen) == 1 and not seen[0].open, timeout=30)
    response = post(proxy, key)
    assert response.status_code == 409, response.text
    assert len(llm.requests()) == 1


@STREAM
def test_what_failed_fails_again_without_a_second_run(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply.failing(503, "the provider says no"))
    key = new_key()
    first, second = (post(proxy, key, stream=stream) for _ in range(2))
    assert (first.status_code, second.status_code) == (503, 503)
    assert "the provider says no" in second.text
    assert first.json()["error"]["type"] == second.json()["error"]["type"]
    assert len(llm.requests()) == 1


def test_what_was_not_begun_may_be_sent_again(proxy: Proxy, llm: ScriptedLLM) -> None:
    key = new_key()
    assert post(proxy, key, temperature="hot").status_code == 400
    assert answer_of(post(proxy, key))[2] == "echo: hi"


def test_a_temporary_chat_is_repeated_and_nothing_of_it_stored(proxy: Proxy, llm: ScriptedLLM, tmp_path: Path) -> None:
    key, headers = new_key(), {"x-openwebui-chat-id": "temporary:1"}
    first = answer_of(post(proxy, key, "canary of the temporary chat", headers=headers))
    assert answer_of(post(proxy, key, "canary of the temporary chat", headers=headers)) == first
    assert answer_of(post(proxy, new_key(), "not stored", store=False))[2] == "echo: not stored"
    assert len(llm.requests()) == 2
    assert "canary" not in proxy.log


def test_a_killed_proxy_s_answer_is_lost_and_one_that_was_given_is_not(
    running_llm: ScriptedLLM, llm: ScriptedLLM, tmp_path: Path
) -> None:
    whole, broken = new_key(), new_key()
    with Proxy(tmp_path, llm_environment(running_llm)) as proxy:
        answered = answer_of(post(proxy, whole))
        reader = Reader(proxy, broken, SPEAK)
        reader.has_begun()
        proxy.kill()
        reader.join(30)
        assert reader.is_broken
    with Proxy(tmp_path, llm_environment(running_llm)) as proxy:
        response = post(proxy, broken, SPEAK)
        assert response.status_code == 409, response.text
        assert response.json()["error"]["type"] == "conflict_error"
        assert answer_of(post(proxy, whole)) == answered
        assert len(llm.requests()) == 2
        assert answer_of(post(proxy, new_key(), SPEAK))[2] == SPOKEN

        post(proxy, new_key(), "canary of the answer", headers={"x-agentllm-session-id": "mine"})
        url = sa.make_url(sqlite_url(tmp_path / "data"))
        assert any("canary" in str(kept) for (kept,) in rows(url, "SELECT events FROM answers"))
        assert sessions(tmp_path, "delete", "--session", "mine", "--yes") == ""
        assert b"canary" not in files_of(url).lower()
        assert "canary" not in proxy.log


async def test_of_two_proxies_that_share_a_postgres_one_runs(
    running_llm: ScriptedLLM, llm: ScriptedLLM, postgres: Postgres, tmp_path: Path
) -> None:
    environment = {
        **llm_environment(running_llm),
        "AGENTLLM_DB_URL": postgres.new_database(),
        "AGENTLLM_SECRET": "the same for both of them",
    }
    with Proxy(tmp_path / "one", environment) as one, Proxy(tmp_path / "two", environment) as two:
        await one_run_for_all([one, two], llm)
        key = new_key()
        first = Reader(one, key, SPEAK)
        first.has_begun()
        assert post(two, key, "ho").status_code == 409
        assert answer_of(post(two, key, SPEAK))[2] == first.whole() == SPOKEN


async def test_of_two_workers_that_share_a_sqlite_file_one_runs(
    running_llm: ScriptedLLM, llm: ScriptedLLM, tmp_path: Path
) -> None:
    command = ("litellm", "--run_gunicorn", "--num_workers", "2")
    with Proxy(tmp_path, llm_environment(running_llm), command=command) as proxy:
        await one_run_for_all([proxy], llm)


async def one_run_for_all(proxies: Sequence[Proxy], llm: ScriptedLLM, *, keys: int = 5, repeats: int = 8) -> None:
    """Send each request many times at once, each time on a connection of its own: it is run once."""

    async def ask(number: int, key: str) -> tuple[str, tuple[str, int, str]]:
        proxy = proxies[number % len(proxies)]
        async with httpx.AsyncClient(timeout=60) as client:
            return key, answer_of(await client.post(**request_of(proxy, key, f"of {key}", stream=number % 4 < 2)))

    asked = [new_key() for _ in range(keys)]
    got = await asyncio.gather(*(ask(number, key) for number in range(repeats) for key in asked))
    assert len(set(got)) == keys
    assert {answer[2] for _, answer in got} == {f"echo: of {key}" for key in asked}
    assert len(llm.requests()) == keys
