"""Some two thousand requests of all kinds: none makes the proxy fail, hang, or tell of its code."""

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

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions")
KINDS: dict[str, Callable[[str], st.SearchStrategy[Any]]] = {
    "documented": documented,
    "undocumented": undocumented,
    "hostile": hostile,
}
EXAMPLES = 200
"""Of each kind, for each path: 2,400 in all."""

SECONDS = 30.0
"""In which a request is answered on a busy machine; the offline model takes some milliseconds."""

_TELLS_OF_CODE = re.compile(r'Traceback|File \\?"|site-packages|/[\w./-]+\.py\b')


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


def check_answer(answer: httpx.Response) -> None:
    """See that it is an answer or an error of the client, and tells nothing of the code."""
    text = answer.text
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
        check_answer(client.post(path, content=content))

    ask()


@pytest.mark.parametrize("path", [*PATHS, "/chat/completions", "/responses"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"[]", "The body is a list"),
        (b" false", "The body is false"),
        (b"null", "The body is null"),
        (b'"x"', "The body is a string"),
        (b"1.5", "The body is a number"),
        (b'{"model": "agno/demo", "tools": true}', "'tools' is true"),
        (b'{"model": "agno/demo", "tools" : -1}', "'tools' is a number"),
    ],
    ids=str,
)
def test_what_is_no_request_is_refused_by_name(client: httpx.Client, path: str, content: bytes, named: str) -> None:
    answer = client.post(path, content=content)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("said", [{"role": "assistant"}, {"role": "assistant", "content": ""}], ids=str)
def test_a_request_that_says_nothing_is_refused(client: httpx.Client, said: dict[str, str]) -> None:
    answer = client.post("/v1/chat/completions", json={"model": "agno/demo", "messages": [said, said], "store": False})
    assert answer.status_code == 400


def test_the_proxy_still_answers_afterwards(client: httpx.Client) -> None:
    body = {"model": "agno/demo", "messages": [{"role": "user", "content": "hi"}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
