"""Tables and the page of results."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

QUICK = (
    "**A quick run: a first look, not a result.** Cells of one second are short enough for a single garbage"
    " collection (half a second in a LiteLLM process) to halve one, and memory is weighed after fewer sessions."
)


@dataclass(frozen=True, slots=True)
class Bar:
    """What is wanted and what was measured; None where it was not measured."""

    title: str
    wanted: str
    measured: str | None
    passed: bool

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.measured is None:
            return "not measured"
        return "pass" if self.passed else "FAIL"


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement: paragraphs and tables in Markdown, and its bars."""

    title: str
    blocks: Sequence[str]
    bars: Sequence[Bar]


def say(line: str) -> None:
    """Tell the person who waits."""
    print(line, file=sys.stderr, flush=True)


def ms(seconds: float) -> str:
    """Milliseconds with one decimal."""
    return f"{seconds * 1000:.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned to be read as text too."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    first = "| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)) + " |"
    return "\n".join([first, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines])


def page(sections: Sequence[Section], *, command: str, seconds: float, quick: bool) -> str:
    """The whole page of results."""
    bars = [[bar.title, bar.wanted, bar.measured or "-", bar.verdict] for section in sections for bar in section.bars]
    blocks = [
        "# Benchmark",
        _circumstances(command, seconds),
        *([QUICK] if quick else []),
        "## What is wanted, and what was measured",
        table(["", "wanted", "measured", ""], bars),
    ]
    for section in sections:
        blocks += [f"## {section.title}", *section.blocks]
    return "\n\n".join(blocks) + "\n"


def _circumstances(command: str, seconds: float) -> str:
    names = ("agentllm", "litellm", "agno", "uvicorn", "uvloop")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"`{command}`, {when}, {seconds / 60:.1f} minutes. Python {platform.python_version()}, {versions};"
        f" {os.cpu_count()} cores, {_memory_gib():.0f} GiB. The scripted model, the load generator and the server under"
        " load share the cores, so the ratios count, not the numbers."
    )


def _memory_gib() -> float:
    meminfo = Path("/proc/meminfo").read_text().split()
    return int(meminfo[1]) / 1024 / 1024
