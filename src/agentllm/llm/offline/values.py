"""The values that a text holds: quoted strings, tags, dates, places, numbers, arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from agentllm.llm.offline.words import NUMBERS, name_words, stem

_QUOTED = re.compile(r"\"([^\"]+)\"|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_TOKENS: Mapping[str, re.Pattern[str]] = {
    "uuid": _UUID,
    "url": re.compile(r"https?://[^\s<>]+[^\s<>.,;:!?)]"),
    "email": re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "date": re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?\b"),
    "tag": re.compile(r"\bv\d+(?:\.\d+)*(?:-[\w.]*\w)?\b|\b\d+\.\d+\.\d+(?:-[\w.]*\w)?\b"),
    "zone": re.compile(r"\b[A-Z][A-Za-z]+(?:/[A-Z][\w+-]*)+|\b(?:UTC|GMT)\b"),
    "path": re.compile(r"(?<!\S)(?=\S*[A-Za-z])(?:\.{0,2}/)?[\w-]+(?:/[\w.-]*\w)+|(?<!\S)[\w-]+\.[a-z]{1,5}\b"),
    "commit": re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b"),
}
_OPERAND = r"[-+]?\({0,9}\s?[-+]?(?:\d++(?:\.\d++)?+|\.\d++)\s?\){0,9}"
_EXPRESSION = re.compile(rf"(?<![\w.]){_OPERAND}(?:\s*(?:\*\*|//|[-+*/%^])\s*{_OPERAND})+")
_NUMBER = re.compile(rf"(?<![\w.])-?\d+(?:\.\d+)?(?![\d.]*\d)|\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:in|for|at|of|about|from|near|to)\s+(?:the\s+)?([^\W\d_a-z][\w'-]*(?:\s+[^\W\d_a-z][\w'-]*)*)"
)
_SPOKEN = (
    (re.compile(r"(?<=\d)\s*%\s*of\s+(?=[\d(])"), " / 100 * "),
    (re.compile(r"(?<=[\d)])\s+plus\s+(?=[\d(-])"), " + "),
    (re.compile(r"(?<=[\d)])\s+minus\s+(?=[\d(-])"), " - "),
    (re.compile(r"(?<=[\d)])\s+(?:times|multiplied by)\s+(?=[\d(-])"), " * "),
    (re.compile(r"(?<=[\d)])\s+divided by\s+(?=[\d(-])"), " / "),
)


def expression_in(text: str) -> str | None:
    """The first arithmetic expression of `text` with at least one operator, else None."""
    found = _EXPRESSION.search(_without_tokens(_spoken(text)))
    return _balanced(found.group().strip()) if found else None


def without_values(text: str) -> str:
    """`text` without UUIDs and arithmetic, so that the "times" of "3 times 4" is no word of it."""
    return _EXPRESSION.sub(" ", _UUID.sub(" ", _spoken(text)))


class Found(NamedTuple):
    """A number in a text, and where."""

    start: int
    end: int
    value: int | float


class Values:
    """The values of a text; taking one removes it.

    `kinds` has strings of the kinds uuid, url, email, date, tag, zone, path, commit, expression and place, `quoted`
    those in quotation marks, each in the order of the text. What is quoted is in no kind.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.quoted = [next(filter(None, match)) for match in _QUOTED.findall(text)]
        rest = _QUOTED.sub(" ", text)
        self.kinds: dict[str, list[str]] = {}
        for kind, pattern in _TOKENS.items():
            self.kinds[kind] = pattern.findall(rest)
            rest = pattern.sub(" ", rest)
        spoken = _spoken(rest)
        self.kinds["expression"] = [_balanced(found.strip()) for found in _EXPRESSION.findall(spoken)]
        self.kinds["place"] = _PLACE.findall(rest)
        self.rest = rest
        self.numbers = [Found(*match.span(), number(match.group())) for match in _NUMBER.finditer(rest)]

    def take(self, kind: str) -> str | None:
        values = self.kinds[kind]
        return values.pop(0) if values else None

    def take_number(self, fits: Callable[[int | float], bool]) -> int | float | None:
        """The first number that fits, but for the word "one", which may well be a pronoun."""
        return self._take(entry for entry in self.numbers if fits(entry.value) and self._written(entry) != "one")

    def take_number_beside(self, name: str, fits: Callable[[int | float], bool]) -> int | float | None:
        """The number that fits and stands next to `name`, as in "20 sides" or "sides: 20"."""
        return self._take(entry for entry in self.numbers if fits(entry.value) and self._is_beside(entry, name))

    def _take(self, usable: Iterator[Found]) -> int | float | None:
        entry = next(usable, None)
        if entry is None:
            return None
        self.numbers.remove(entry)
        return entry.value

    def _written(self, entry: Found) -> str:
        return self.rest[entry.start : entry.end].lower()

    def _is_beside(self, entry: Found, name: str) -> bool:
        wanted = {stem(word) for word in name_words(name)}
        after = re.match(r"[\s-]*(\w+)", self.rest[entry.end :])
        before = re.search(r"(\w+)\s*(?:of|=|:|to)?\s*$", self.rest[: entry.start])
        return any(match is not None and stem(match[1]) in wanted for match in (after, before))


def number(text: str) -> int | float:
    """The number that `text` is, in digits or as a word up to twenty.

    Raises:
        ValueError: it is none.
    """
    if text.lower() in NUMBERS:
        return NUMBERS[text.lower()]
    return float(text) if "." in text else int(text)


def _spoken(text: str) -> str:
    text = " ".join(text.split())
    for pattern, operator in _SPOKEN:
        text = pattern.sub(operator, text)
    return text


def _without_tokens(text: str) -> str:
    for pattern in _TOKENS.values():
        text = pattern.sub(" ", text)
    return text


def _balanced(expression: str) -> str:
    """`expression` without the brackets at its ends that have no partner."""
    while expression.count("(") > expression.count(")") and expression.startswith("("):
        expression = expression[1:].strip()
    while expression.count(")") > expression.count("(") and expression.endswith(")"):
        expression = expression[:-1].strip()
    return expression
