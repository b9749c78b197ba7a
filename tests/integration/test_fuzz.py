"""Two thousand requests of all kinds: none makes the proxy fail, hang, or tell of its code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.bodies import as_sent, documented, hostile, undocumented
from tests.proxy import Proxy

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
KINDS: dict[str, Callable[[str], st.SearchStrategy[Any]]] = {
    "documented": documented,
    "undocumented": undocumented,
    "hostile": hostile,
}
EXAMPLES = 223
"""Of each kind, for each path: 2,007 in all."""

SECONDS = 30.0
"""In which a request is answered on a busy machine; the offline model takes some milliseconds."""

_TELLS_OF_CODE = re.compile(r'Traceback|File \\?"|site-packages|/[\w./-]+\.py\b')

UNREAD = "Internal Server Error"
"""All that LiteLLM answers to what its authentication cannot read, which is before any hook of a plug-in:
a body that is JSON but no object, and `tools` that is true or a number (`check_tools_allowlist`)."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a proxy on the offline model."""
    with Proxy(tmp_path_factory.mktemp("fuzz")) as proxy:
        headers = {"Authorization": f"Bearer {proxy.key}", "Content-Type": "application/json"}
        with httpx.Client(base_url=proxy.url, headers=headers, timeout=SECONDS) as client:
            yield client


@pytest.fixture(autouse=True)
def long_numbers() -> Iterator[None]:
    """Let this process write whole numbers of any length."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(limit)


def is_unread(content: bytes) -> bool:
    """Whether LiteLLM's authentication cannot read a body; see `UNREAD`."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return not isinstance(body, dict) or (bool(body.get("tools")) and isinstance(body["tools"], (bool, int, float)))


def check_answer(content: bytes, answer: httpx.Response) -> None:
    """See that it is an answer or an error of the client, and tells nothing of the code."""
    text = answer.text
    if is_unread(content):
        assert answer.status_code == 400 or (answer.status_code, text) == (500, UNREAD)
        return
    assert answer.status_code in (200, 400, 404, 409, 413, 422), text
    assert not _TELLS_OF_CODE.search(text), text
    if answer.headers["content-type"].startswith("text/event-stream"):
        check_stream(text)
    else:
        assert isinstance(answer.json(), dict)


def check_stream(text: str) -> None:
    """See that each event is JSON, or the end, and that none tells of a failure of the server."""
    for line in text.splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            event = json.loads(line.removeprefix("data: "))
            error = event.get("error") or (event.get("response") or {}).get("error")
            code = str((error or {}).get("code"))
            assert not code.startswith("5"), line
            assert code not in ("server_error", "api_error"), line


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", PATHS)
def test_no_request_makes_the_proxy_fail(client: httpx.Client, path: str, kind: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind](path).map(as_sent))
    def ask(content: bytes) -> None:
        check_answer(content, client.post(path, content=content))

    ask()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", [b"[]", b"false", b'"x"', b'{"model": "agno/demo", "tools": true}'], ids=str)
def test_what_litellm_s_authentication_cannot_read_is_still_its_own_plain_500(
    client: httpx.Client, path: str, content: bytes
) -> None:
    """Where this fails, LiteLLM has mended it, and `is_unread` is to go."""
    answer = client.post(path, content=content)
    assert (answer.status_code, answer.text) == (500, UNREAD)


@pytest.mark.parametrize("said", [{"role": "assistant"}, {"role": "assistant", "content": ""}], ids=str)
def test_a_request_that_says_nothing_is_refused(client: httpx.Client, said: dict[str, str]) -> None:
    answer = client.post("/v1/chat/completions", json={"model": "agno/demo", "messages": [said, said], "store": False})
    assert answer.status_code == 400


def test_the_proxy_still_answers_afterwards(client: httpx.Client) -> None:
    body = {"model": "agno/demo", "messages": [{"role": "user", "content": "hi"}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
