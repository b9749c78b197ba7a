"""Bodies of requests for the endpoints that agents answer at: as documented, almost so, and hostile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import schemathesis
import yaml
from hypothesis import strategies as st
from schemathesis import GenerationMode

DOCUMENT = Path(__file__).parents[1] / "data" / "endpoints.yaml"

_DEPTH = 3_000

HOSTILE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e300, 10**30, 2**63, -(2**70), 10**4_000, float("nan"), float("inf")),
    *("", "x", "\ud800", "a\x00b", "[DONE]", "../../etc/passwd", "data:image/png;base64,!!!", "9" * 5_000),
    *([], {}, [None], [[]], ["\udfff"], {"": None}, {"type": None}, {"type": "function"}, [{"type": "function"}]),
    *({"role": "user"}, [{"role": "user", "content": None}], {"a": {"b": {"c": [1, 2, {"d": None}]}}}),
)
"""What stands where something else should."""

NOT_JSON = (
    b"",
    b"{",
    b'{"model":',
    b"\xff\xfe",
    b'{"model": "agno/demo", "messages": ' + b"[" * _DEPTH + b"]" * _DEPTH + b"}",
)


def as_sent(body: object) -> bytes:
    """`body` as the bytes of a request; a lone surrogate goes out as JSON can write it."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def documented(path: str) -> st.SearchStrategy[Any]:
    """Bodies that the document allows."""
    return _bodies(path, GenerationMode.POSITIVE)


def undocumented(path: str) -> st.SearchStrategy[Any]:
    """Bodies that the document forbids, in one place or in more."""
    return _bodies(path, GenerationMode.NEGATIVE)


@st.composite
def hostile(draw: st.DrawFn, path: str) -> Any:
    """Documented bodies with something else in up to three places, or what is no body at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.sampled_from(NOT_JSON))
    body = draw(documented(path))
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in _places(body) if place and place != ("model",)]
        if places:
            body = _with(body, draw(st.sampled_from(places)), draw(st.sampled_from(HOSTILE)))
    return body


@cache
def _bodies(path: str, mode: GenerationMode) -> st.SearchStrategy[Any]:
    document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    _close(document)
    operation = schemathesis.openapi.from_dict(document)[path]["POST"]
    cases: st.SearchStrategy[Any] = operation.as_strategy(generation_mode=mode)
    return cases.map(lambda case: case.body)


def _close(node: object) -> None:
    """Let objects have no properties but those that are listed; the document does not say so at each."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def _places(value: object, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _places(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*place, index))


def _with(value: Any, place: tuple[Any, ...], new: object) -> Any:
    """A copy of `value` that has `new` at `place`."""
    if not place:
        return new
    copied = dict(value) if isinstance(value, Mapping) else list(value)
    copied[place[0]] = _with(value[place[0]], place[1:], new)
    return copied
