"""Checks that hold at every endpoint: a client that leaves, and two people with keys of their own."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from agentllm.keys import KeyFile, make_key
from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import CapturedRequest, Reply, ScriptedLLM

WITHIN = 2.0
"""Seconds in which the model call must have ended: more than a busy machine needs, far less than the call itself."""

Keyed: TypeAlias = tuple[Proxy, str, str]
"""A proxy, and the keys of two people."""


@contextmanager
def request(proxy: Proxy, body: dict[str, Any], path: str = "/v1/chat/completions") -> Iterator[socket.socket]:
    """A connection on which a request was sent; leaving the block closes it."""
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    said = {} if body.keys() & {"input", "prompt"} else {"messages": [{"role": "user", "content": "hi"}]}
    data = json.dumps({**said, **body}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {proxy.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + data)
        yield connection


def leave_stream(proxy: Proxy, llm: ScriptedLLM, body: dict[str, Any], path: str = "/v1/chat/completions") -> None:
    """See that a client that leaves in the middle of an answer stops the model call."""
    llm.script(Reply("and on it goes ", endless=True))
    with request(proxy, {**body, "stream": True}, path) as connection:
        seen = b""
        while b"and" not in seen:
            seen += connection.recv(4096)
    assert stopped_after(llm, time.monotonic()) < WITHIN


def leave_early(proxy: Proxy, llm: ScriptedLLM, body: dict[str, Any], path: str = "/v1/chat/completions") -> None:
    """See that a client that leaves before the first token stops the model call."""
    llm.script(Reply("late", first_delay=20))
    with request(proxy, body, path):
        llm.wait_for(lambda seen: len(seen) == 1)
    assert stopped_after(llm, time.monotonic()) < WITHIN


def stopped_after(llm: ScriptedLLM, left_at: float) -> float:
    """Seconds from `left_at` until the model saw its one call end."""
    requests = llm.wait_for(lambda seen: len(seen) == 1 and not seen[0].open, timeout=30)
    return disconnected_at(requests[0]) - left_at


def disconnected_at(call: CapturedRequest) -> float:
    assert call.disconnected_at is not None, "the model call was finished, not stopped"
    return call.disconnected_at


@contextmanager
def open_keyed(llm: ScriptedLLM, folder: Path) -> Iterator[Keyed]:
    """A proxy, and the keys of Ada and Bob."""
    file = KeyFile(folder / "keys.yaml")
    secrets = []
    for person in ("ada", "bob"):
        secret, key = make_key(person, user=person)
        file.add(key)
        secrets.append(secret)
    with Proxy(folder, {**llm_environment(llm), "AGENTLLM_KEYS": str(file.path)}) as proxy:
        yield proxy, secrets[0], secrets[1]


def never_meet(llm: ScriptedLLM, ada: Callable[[str], object], bob: Callable[[str], object]) -> None:
    """See that two people have two conversations; each function sends what its person says in the same session."""
    ada("of ada")
    bob("of bob")
    assert asked(llm) == [("user", "of bob")]
    ada("again")
    assert [text for _, text in asked(llm)] == ["of ada", "echo: of ada", "again"]


def asked(llm: ScriptedLLM) -> list[tuple[str, str]]:
    """The conversation that the newest request to an OpenAI model held."""
    return [(message["role"], message["content"]) for message in llm.requests()[-1].body["messages"]]
