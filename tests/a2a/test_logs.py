"""The SDK's log: what it says of requests stays out of ours."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from agentllm.a2a.logs import hide_quotes


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What an operator's handler of all logs writes."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def test_an_error_is_told_by_its_place_and_kind(written: io.StringIO) -> None:
    hide_quotes()
    log = logging.getLogger("a2a.server.somewhere")
    try:
        raise ValueError("secret-7261")
    except ValueError:
        log.exception("could not read %s", "secret-7261")
    assert "a2a.server.somewhere" in written.getvalue()
    assert "ValueError" in written.getvalue()
    assert "secret-7261" not in written.getvalue()
