"""Requests per second and latency: contender x {plain, streamed} x {1, 20 clients} x {20, 200 tokens}."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.contenders import CONTENDERS, Bench, Name, Running
from bench.jobs import Kind, Result, median, quantile
from bench.report import Bar, Section, ms, say, table


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What is asked for, and by how many clients at once."""

    stream: bool
    clients: int
    kind: Kind

    @property
    def title(self) -> str:
        """In words."""
        form = "streamed" if self.stream else "plain"
        return f"{form}, {self.clients} client{'s' * (self.clients > 1)}, {self.kind.removeprefix('tokens-')} tokens"


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over the rounds; seconds."""

    rate: float
    p50: float
    p99: float
    first_token: float
    failed: int


Grid = Mapping[tuple[Name, Cell], Measured]

KINDS: tuple[Kind, Kind] = ("tokens-20", "tokens-200")
CELLS = [Cell(stream, clients, kind) for stream, clients, kind in itertools.product((False, True), (1, 20), KINDS)]


def measure(bench: Bench) -> Section:
    """All cells, the contenders in turn, for several rounds."""
    rounds, seconds = (1, 1.0) if bench.quick else (3, 3.0)
    results: dict[tuple[Name, Cell], list[Result]] = {}
    with contextlib.ExitStack() as stack:
        up = {name: stack.enter_context(bench.running(name)) for name in bench.names}
        for running in up.values():
            _warm_up(bench, running)
        for turn, cell in itertools.product(range(rounds), CELLS):
            for name, running in up.items():
                result = bench.ask(running, cell.kind, stream=cell.stream, clients=cell.clients, seconds=seconds)
                results.setdefault((name, cell), []).append(result)
                say(f"round {turn + 1}/{rounds} {name:8} {cell.title}: {result.rate:.1f}/s")
                for error in result.errors:
                    say(f"  FAILED: {error}")
    grid = {key: _medians(measured) for key, measured in results.items()}
    note = f"{rounds} round(s) of {seconds:.0f} s in turn; medians over the rounds. Every answer was compared whole."
    return Section("Throughput and latency", [note, table(*_rows(bench.names, grid))], _bars(grid))


def _warm_up(bench: Bench, running: Running) -> None:
    for kind, stream in itertools.product(KINDS, (False, True)):
        result = bench.ask(running, kind, stream=stream, clients=4, requests=40)
        for error in result.errors:
            say(f"  FAILED in warming up {running.contender.name}: {error}")


def _medians(results: Sequence[Result]) -> Measured:
    return Measured(
        rate=median([r.rate for r in results]),
        p50=median([quantile(r.latencies, 0.5) for r in results]),
        p99=median([quantile(r.latencies, 0.99) for r in results]),
        first_token=median([quantile(r.first_tokens, 0.5) for r in results]),
        failed=sum(r.failed for r in results),
    )


def _rows(names: Sequence[Name], grid: Grid) -> tuple[list[str], list[list[str]]]:
    head = ["", "contender", "requests/s", "÷ bare", "p50 ms", "p99 ms", "first token p50 ms", "failed"]
    rows: list[list[str]] = []
    for cell in CELLS:
        bare = grid.get(("bare", cell))
        for name in names:
            one = grid[name, cell]
            ratio = f"{one.rate / bare.rate:.2f}" if bare and bare.rate else "-"
            first = ms(one.first_token) if cell.stream else "-"
            numbers = [f"{one.rate:.1f}", ratio, ms(one.p50), ms(one.p99), first, str(one.failed)]
            rows.append([cell.title, CONTENDERS[name].title, *numbers])
    return head, rows


def _bars(grid: Grid) -> list[Bar]:
    streamed = {kind: Cell(True, 20, kind) for kind in KINDS}
    worst = _worst([_ratio(grid, "bare", cell) for cell in CELLS if not cell.stream])
    beside_agentos = _worst([_ratio(grid, "agentos", Cell(False, 20, kind)) for kind in KINDS])
    extra = [_extra_first_token(grid, Cell(True, 1, kind)) for kind in KINDS]
    slowest = max((e for e in extra if e is not None), default=None)
    return [
        _at_least(
            "streamed, 20 clients, 200 tokens: requests/s ÷ bare", 3.0, _ratio(grid, "bare", streamed["tokens-200"])
        ),
        _at_least(
            "streamed, 20 clients, 200 tokens: requests/s ÷ AgentOS",
            1.5,
            _ratio(grid, "agentos", streamed["tokens-200"]),
        ),
        _at_least(
            "streamed, 20 clients, 20 tokens: requests/s ÷ bare", 1.4, _ratio(grid, "bare", streamed["tokens-20"])
        ),
        _at_least("plain, worst of four cells: requests/s ÷ bare", 0.6, worst),
        _at_least("plain, 20 clients, worse of 20 and 200 tokens: requests/s ÷ AgentOS", 1.0, beside_agentos),
        Bar(
            "first token at 1 client, after bare's (worse of 20 and 200 tokens)",
            "≤ 5 ms",
            None if slowest is None else f"{slowest * 1000:+.1f} ms",
            slowest is not None and slowest <= 0.005,
        ),
        _no_failures(grid),
    ]


def _worst(ratios: Sequence[float | None]) -> float | None:
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def _no_failures(grid: Grid) -> Bar:
    ours = [measured.failed for (name, _), measured in grid.items() if name == "ours"]
    return Bar("failed or incomplete answers of AgentLLM", "0", str(sum(ours)) if ours else None, sum(ours) == 0)


def _at_least(title: str, wanted: float, ratio: float | None) -> Bar:
    measured = None if ratio is None else f"{ratio:.2f}"
    return Bar(title, f"≥ {wanted}", measured, ratio is not None and ratio >= wanted)


def _ratio(grid: Grid, other: Literal["bare", "agentos"], cell: Cell) -> float | None:
    ours, theirs = grid.get(("ours", cell)), grid.get((other, cell))
    return ours.rate / theirs.rate if ours and theirs and theirs.rate else None


def _extra_first_token(grid: Grid, cell: Cell) -> float | None:
    ours, bare = grid.get(("ours", cell)), grid.get(("bare", cell))
    return ours.first_token - bare.first_token if ours and bare else None
