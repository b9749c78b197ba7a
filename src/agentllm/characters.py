"""Halves of characters: Python's strings can hold them, while no request, no answer and no database can.

They come from names of files that are not in UTF-8, and from models that send a character beyond the first
65,536 as two escapes, one in each of two pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any


def whole(text: str) -> str:
    """`text` with the two halves of a character as that character, and a lone half as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def whole_values(value: Any) -> Any:
    """`value` with every text in it as `whole` has it: in mappings, lists, tuples and dataclasses."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {whole_values(name): whole_values(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(whole_values, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: whole_values(getattr(value, item.name)) for item in fields(value)})
    return value
