"""How long a provider asks to wait, in its clients' errors."""

from __future__ import annotations

import httpx
import openai
import pytest

from agentllm.llm.retry_after import retry_after

REQUEST = httpx.Request("POST", "https://provider.invalid")


def refused(**headers: str) -> openai.RateLimitError:
    response = httpx.Response(429, headers=headers, request=REQUEST)
    return openai.RateLimitError("slow down", response=response, body=None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7), ({"retry-after": "0"}, 0), ({}, None), ({"retry-after": "-1"}, None)],
)
def test_it_is_in_the_answer_s_header(headers: dict[str, str], seconds: int | None) -> None:
    assert retry_after(refused(**headers)) == seconds


def test_a_date_is_passed_over() -> None:
    assert retry_after(refused(**{"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})) is None


def test_it_is_found_in_what_an_error_came_from() -> None:
    error = ValueError("the framework's")
    error.__cause__ = refused(**{"retry-after": "7"})
    assert retry_after(error) == 7


def test_litellm_keeps_it_beside_the_answer() -> None:
    error = ValueError("the router's")
    error.litellm_response_headers = {"retry-after": "7"}  # type: ignore[attr-defined]  # as LiteLLM adds it
    assert retry_after(error) == 7


def test_other_errors_have_none() -> None:
    assert retry_after(ValueError("no")) is None
