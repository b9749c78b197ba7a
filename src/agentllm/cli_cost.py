"""The command `agentllm cost`: what the calls of models cost, by agent, model or caller."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from agentllm.cli_sessions import AsJson, moment, open_archive

if TYPE_CHECKING:
    from agentllm.conversations.spend import Total


class By(StrEnum):
    """What the calls of one line have in common."""

    agent = "agent"
    model = "model"
    caller = "caller"


def cost(
    since: Annotated[str, typer.Option(help="Calls since 12h, 30d, 4w ago, or an ISO date or time in UTC.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Calls before then, in the same forms. Default: now.")] = None,
    by: Annotated[By, typer.Option(help="What a line is for.")] = By.agent,
    as_json: AsJson = False,
) -> None:
    """Print what the models cost that were called, in US dollars, and their tokens; "-" stands for unknown prices."""
    begin, end = moment("--since", since), None if until is None else moment("--until", until)
    with open_archive() as archive:
        found = archive.totals(by.value, since=begin, until=end)
    if as_json:
        typer.echo(json.dumps([{by.value: one.pop("name"), **one} for one in map(asdict, found)], indent=2))
    elif found:
        for line in _table(by, found):
            typer.echo(line)
    else:
        typer.echo("No model was called in that time.", err=True)


def _table(by: By, found: Sequence[Total]) -> Iterator[str]:
    rows = [(by.value.upper(), "CALLS", "PROMPT TOKENS", "COMPLETION TOKENS", "COST"), *map(_row, found)]
    known = [one.cost for one in found if one.cost is not None]
    counts = zip(*map(_counts, found), strict=True)
    rows.append(("total", *(str(sum(column)) for column in counts), _dollars(sum(known) if known else None)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        yield "  ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])])


def _row(total: Total) -> tuple[str, ...]:
    return (total.name or "-", *map(str, _counts(total)), _dollars(total.cost))


def _counts(total: Total) -> tuple[int, ...]:
    return total.calls, total.prompt_tokens, total.completion_tokens


def _dollars(cost: float | None) -> str:
    return "-" if cost is None else f"${cost:.6f}"
