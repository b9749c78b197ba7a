"""Which of the offered tools a message asks for, and with which arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentllm.core import Json, JsonObject
from agentllm.llm.offline.arguments import Missing, fill
from agentllm.llm.offline.values import expression_in, without_values
from agentllm.llm.offline.words import is_meaningless, meaningful, name_words, requests, stem, stems

_ARITHMETIC = frozenset(map(stem, ("calculate", "calculator", "compute", "evaluate", "arithmetic", "expression")))
_OPERATORS = {
    "+": ("add", "sum"),
    "-": ("subtract", "difference"),
    "*": ("multiply", "product"),
    "/": ("divide", "quotient"),
    "**": ("exponentiate", "power"),
    "^": ("exponentiate", "power"),
}
_CLEAR = 0.6
_CLEAR_WHEN_NAMED = 0.34


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as it is offered to the model."""

    name: str
    description: str
    parameters: JsonObject

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        return re.split(r"(?<=[.!?])\s|\n", self.description.strip(), maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool to call."""

    tool: Tool
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A tool that the message asks for without giving what it needs."""

    tool: Tool
    missing: Missing


def read_tools(offered: Sequence[Mapping[str, object]]) -> tuple[Tool, ...]:
    """The functions among `offered`, which are in the form of OpenAI's API."""
    functions = (entry.get("function") for entry in offered)
    return tuple(
        Tool(
            name=str(function["name"]),
            description=str(function.get("description") or ""),
            parameters=function.get("parameters") or {},
        )
        for function in functions
        if isinstance(function, Mapping) and function.get("name")
    )


def attempt(tool: Tool, message: str) -> Call | Unfilled:
    """The call of `tool` that `message` gives the arguments for, or what it lacks."""
    arguments = fill(tool.parameters, message)
    return Unfilled(tool, arguments) if isinstance(arguments, Missing) else Call(tool, arguments)


def asked_for(message: str, tools: Sequence[Tool]) -> tuple[Call | Unfilled, ...]:
    """The tools that `message` clearly asks for, each once; most often none or one.

    A tool that is named outright is asked for. Otherwise the words of the sentences that ask
    or command must be explained, for the greater part, by the names, descriptions and
    arguments of the tools.
    """
    tools = [tool for tool in tools if not _is_only_mentioned(tool.name, message)]
    if named := [tool for tool in tools if _is_named_outright(tool.name, message)]:
        return tuple(attempt(tool, message) for tool in named)
    sentences = requests(message)
    if not sentences:
        return ()
    request = _Request(sentences)
    matches = [match for tool in tools if (match := request.match(tool)) is not None]
    ranked = sorted(matches, key=lambda match: (-match.score, match.tool.name))
    for first in range(len(ranked)):
        chosen = _fewest(ranked[first:])
        attempts = tuple(attempt(match.tool, message) for match in chosen)
        if request.is_explained_by(chosen, attempts):
            is_clear = not any(_rivals(match, other) for match in chosen for other in ranked)
            return attempts if is_clear else ()
    return ()


def closest(message: str, tools: Sequence[Tool]) -> Call | Unfilled | None:
    """The tool that fits `message` best, one that can be called if there is one; None without tools."""
    request = _Request(message)
    ranked = sorted(tools, key=lambda tool: (-request.score(tool), tool.name))
    attempts = [attempt(tool, message) for tool in ranked]
    callable_ones = [found for found in attempts if isinstance(found, Call)]
    return next(iter(callable_ones or attempts), None)


@dataclass(frozen=True, slots=True)
class _Match:
    tool: Tool
    by_name: frozenset[str]
    by_description: frozenset[str]
    is_whole_name: bool

    @property
    def score(self) -> int:
        return 4 * len(self.by_name) + 3 * self.is_whole_name + len(self.by_description)


class _Request:
    """What a message asks for, as words to be explained by tools."""

    def __init__(self, text: str) -> None:
        self.implied = _implied_by(expression_in(text))
        text = without_values(text)
        self.words = meaningful(text)
        self.stems = frozenset(map(stem, self.words)) | frozenset(
            part for word in self.words if not word[0].isdigit() for part in stems(word)
        )
        self.all_stems = stems(text)

    def match(self, tool: Tool) -> _Match | None:
        name = _name_stems(tool)
        evidence = self.stems | self.implied
        by_name = name & (evidence if name & evidence else self.all_stems)
        by_description = (_description_stems(tool) & evidence) - by_name
        telling = any(not is_meaningless(word) for word in name_words(tool.name))
        if by_name and (by_name & evidence or (name <= by_name and not telling)):
            return _Match(tool, by_name, by_description, is_whole_name=name <= by_name | self.all_stems)
        return _Match(tool, frozenset(), by_description, is_whole_name=False) if len(by_description) > 1 else None

    def score(self, tool: Tool) -> int:
        found = self.match(tool)
        return found.score if found else 0

    def is_explained_by(self, matches: Sequence[_Match], attempts: Sequence[Call | Unfilled]) -> bool:
        if not matches:
            return False
        if not self.words:
            return True
        known = frozenset[str]().union(*(_name_stems(match.tool) | _description_stems(match.tool) for match in matches))
        values = " ".join(
            str(value).lower() for found in attempts if isinstance(found, Call) for value in found.arguments.values()
        )
        explained = sum(1 for word in self.words if stem(word) in known or stems(word) & known or word in values)
        is_named = all(match.is_whole_name and len(match.by_name) > 1 for match in matches)
        return explained / len(self.words) >= (_CLEAR_WHEN_NAMED if is_named else _CLEAR)


def _fewest(ranked: Sequence[_Match]) -> list[_Match]:
    """The best matches that each explain a word of their name which no better one explains."""
    chosen: list[_Match] = []
    explained: set[str] = set()
    for match in ranked:
        is_half_named = 2 * len(match.by_name) >= len(_name_stems(match.tool))
        if not chosen or (is_half_named and match.by_name - explained):
            chosen.append(match)
            explained |= match.by_name | match.by_description
            if match.by_name & _EVERY_IMPLIED:
                explained |= _EVERY_IMPLIED
    return chosen


def _rivals(match: _Match, other: _Match) -> bool:
    """Whether nothing says that `match` is meant rather than `other`."""
    same = match.score == other.score and match.by_name == other.by_name
    return same and match.tool != other.tool and not match.is_whole_name


def _is_named_outright(name: str, message: str) -> bool:
    name_only = re.escape(name)
    if "_" in name:
        return re.search(rf"(?<!\w){name_only}(?!\w)", message) is not None
    as_tool = rf"`{name_only}`|\b(?:call|use|run) (?:the )?(?:tool )?{name_only}\b|\b{name_only} tool\b"
    return re.search(as_tool, message) is not None


def _is_only_mentioned(name: str, message: str) -> bool:
    """Whether the tool is forbidden, or asked about."""
    mention = rf"`{re.escape(name)}`" if "_" not in name else rf"`?{re.escape(name)}`?"
    before = r"(?:don't|do not|never|not to|without|what (?:does|do|is|are)|how does|explain|describe|about)"
    return re.search(rf"\b{before}\s+(?:\w+\s+){{0,3}}{mention}", message, re.IGNORECASE) is not None


def _name_stems(tool: Tool) -> frozenset[str]:
    words = name_words(tool.name)
    telling = [word for word in words if not is_meaningless(word)]
    return frozenset(map(stem, telling or words))


def _description_stems(tool: Tool) -> frozenset[str]:
    properties = tool.parameters.get("properties")
    names = [word for name in properties for word in name_words(name)] if isinstance(properties, Mapping) else []
    words = [*meaningful(tool.summary), *names]
    return frozenset(stem(word) for word in words if not is_meaningless(word) and len(word) > 1)


def _implied_by(expression: str | None) -> frozenset[str]:
    """What somebody who writes an expression asks for without saying so."""
    if expression is None:
        return frozenset()
    operators = set(re.findall(r"(?<=[\d)])\s*(\*\*|//|[-+*/%^])", expression))
    named = _OPERATORS.get(operators.pop(), ()) if len(operators) == 1 else ()
    return _ARITHMETIC | frozenset(map(stem, named))


_EVERY_IMPLIED = _ARITHMETIC | frozenset(stem(name) for names in _OPERATORS.values() for name in names)
