"""The agent `assistant`: answers questions of all kinds, with a clock and a calculator at hand."""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from agno.agent import Agent

from agentllm.hotswap.tools import get_config, set_model, set_prompt
from agentllm.llm.default import default_model

_INSTRUCTIONS = [
    "Answer in the language of the question, first the answer itself and then what it rests on.",
    "Be as short as the question allows; use Markdown for lists, tables and code, and nothing for a plain sentence.",
    "Calculate with the tool `calculate` and take dates and times from `date_and_time`; do neither in your head.",
    "Use what was said earlier in the conversation. Where a question can be meant in two ways, "
    "answer the likelier one and say which you took.",
    "Say so when you do not know or are not sure; never make up a source, a quotation, a number or a link.",
]

_MAX_LENGTH = 200
_MAX_BITS = 4_096

_Number = int | float
_OPERATORS: Mapping[type[ast.operator], Callable[[_Number, _Number], _Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def assistant() -> Agent:
    """A general assistant that tells the time and calculates."""
    return Agent(
        name="assistant",
        model=default_model(),
        instructions=_INSTRUCTIONS,
        tools=[date_and_time, calculate, set_model, set_prompt, get_config],
        markdown=True,
        metadata={
            "tags": ["assistant"],
            "suggestion_prompts": [
                "How many days are left in this year?",
                "Explain how a bicycle stays upright, in three sentences.",
                "What is 19 % of 1,249.50?",
            ],
        },
        telemetry=False,
    )


def date_and_time(timezone: str = "UTC") -> str:
    """The current date and time in a time zone.

    Args:
        timezone: An IANA time zone such as Europe/Berlin, or a city that one is named after, such as Tokyo.
    """
    zone = _find_zone(timezone)
    if zone is None:
        near = difflib.get_close_matches(timezone.title(), _zones().values(), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else " Give an IANA name such as Europe/Berlin."
        return f"There is no time zone {timezone[:80]!r}.{hint}"
    now = datetime.now(zone)
    return f"{now:%A, %d %B %Y, %H:%M:%S} in {zone} ({now:UTC%z})"


def calculate(expression: str) -> str:
    """Calculate the value of an arithmetic expression.

    Args:
        expression: Numbers with + - * / // % ** and brackets, for example (2 + 3) * 4.5.
    """
    try:
        value = evaluate(expression)
    except ValueError as error:
        return f"Cannot calculate {expression[:_MAX_LENGTH]!r}: {error}"
    return f"{expression.strip()} = {value if isinstance(value, int) else format(value, '.12g')}"


def evaluate(expression: str) -> int | float:
    """The value of `expression`, at most 200 characters of numbers, operators and brackets; `^` is a power.

    It is parsed and not executed. Whole numbers are exact up to 4096 bits, also on the way to the result.

    Raises:
        ValueError: it is something else, has no real value, or one that is too large; the
            message says which.
    """
    if len(expression) > _MAX_LENGTH:
        raise ValueError(f"it has more than {_MAX_LENGTH} characters.")
    source = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", expression).replace("^", "**").strip()
    try:
        return _value(ast.parse(source, mode="eval").body)
    except SyntaxError:
        raise ValueError("it is not an arithmetic expression.") from None
    except ZeroDivisionError:
        raise ValueError("it divides by zero.") from None
    except OverflowError:
        raise ValueError("a number in it is too large.") from None


def _value(node: ast.expr) -> _Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _bounded(_power(_value(left), _value(right)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case _:
            raise ValueError("only numbers, + - * / // % ** and brackets are allowed.")


def _power(base: _Number, exponent: _Number) -> _Number:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > 2 * _MAX_BITS:
        raise OverflowError
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("a root of a negative number is not real.")
    return value


def _bounded(value: _Number) -> _Number:
    if value.bit_length() > _MAX_BITS if isinstance(value, int) else value - value != 0:
        raise OverflowError
    return value


def _find_zone(name: str) -> tzinfo | None:
    wanted = name.strip().replace(" ", "_").lower()
    if wanted in ("utc", "gmt", "z", ""):
        return UTC
    key = _zones().get(wanted)
    return ZoneInfo(key) if key else None


@cache
def _zones() -> dict[str, str]:
    """The time zones by their names in lower case, and by their cities where one alone has it."""
    keys = sorted(available_timezones())
    cities: dict[str, list[str]] = {}
    for key in keys:
        if "/" in key:
            cities.setdefault(key.rpartition("/")[2].lower(), []).append(key)
    unique = {city: found[0] for city, found in cities.items() if len(found) == 1}
    return unique | {key.lower(): key for key in keys}
