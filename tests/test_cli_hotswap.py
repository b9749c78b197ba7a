"""`agentllm hotswap`: what it is given that no request can be made of."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from agentllm.cli import app
from agentllm.errors import ConfigurationError


def refusal(*arguments: str) -> str:
    """What the command says, which it must before it asks anybody."""
    error = CliRunner().invoke(app, ["hotswap", "--config", *arguments]).exception
    assert isinstance(error, ConfigurationError)
    return error.message


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://localhost:99999",
        "http://localhost:0",
        "http://localhost:x",
        "http://ä..b",
        "http://a..b",
        "http://",
        "localhost:8890",
        "ftp://localhost",
        "",
    ],
)
def test_what_is_no_url_is_refused_by_name(url: str) -> None:
    message = refusal("--url", url)
    assert "--url" in message
    assert repr(url) in message


@pytest.mark.parametrize("key", ["sk-ä", "sk-1\n", "sk-\x00"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    message = refusal("--url", "http://localhost:1", "--key", key)
    assert "--key" in message
    assert key not in message
