"""Digests of what a client was given and gave."""

from __future__ import annotations

import pytest

from agentllm.conversations.digest import extended
from agentllm.core import Message, ToolCall


def digest(arguments: str) -> str:
    return extended("of a caller", [Message("assistant", "", (ToolCall("call_1", "weather", arguments),))])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"city": "Paris", "days": 1}', '{"city":"Paris","days":1}'),
        ('{"city": "Paris", "days": 1}', '{\n  "days": 1,\n  "city": "Paris"\n}'),
        ('{"city": "Zürich"}', '{"city": "Z\\u00fcrich"}'),
        ('{"degrees": 1.0}', '{"degrees": 1}'),
    ],
)
def test_of_a_call_s_arguments_counts_what_they_mean(one: str, other: str) -> None:
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"city": "Paris"}', '{"city": "Rome"}'),
        ('{"degrees": 1.5}', '{"degrees": 1}'),
        ('{"yes": true}', '{"yes": "true"}'),
        ("{", "{ "),
        ("[" * 100_000, "[" * 99_999),
        ('{"n": 1e999}', '{"n": 1e998, "m": 1}'),
    ],
)
def test_other_arguments_are_told_apart_also_where_they_are_no_json(one: str, other: str) -> None:
    assert digest(one) != digest(other)
