"""How much longer the very first chat request after readiness takes than a usual one."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contenders import CONTENDERS, Bench, Name
from bench.jobs import median
from bench.report import Bar, Section, ms, say, table

_LATER = 40


@dataclass(frozen=True, slots=True)
class _Start:
    """One fresh start; seconds."""

    first: float
    later: float

    @property
    def ratio(self) -> float:
        return self.first / self.later


def measure(bench: Bench) -> Section:
    """Fresh starts, each with a first request and then the median of later ones, in turn."""
    starts = 1 if bench.quick else 3
    rows: list[list[str]] = []
    ratios: list[float] = []
    for name in bench.only("bare", "agentos", "ours").names:
        for stream in (True,) if bench.quick else (False, True):
            measured = [_start(bench, name, stream=stream) for _ in range(starts)]
            ratio = median([one.ratio for one in measured])
            first, later = median([one.first for one in measured]), median([one.later for one in measured])
            form = "streamed" if stream else "plain"
            say(f"first request {name} {form}: {ratio:.2f} times the median")
            rows.append([CONTENDERS[name].title, form, ms(first), ms(later), f"{ratio:.2f}"])
            ratios += [ratio] if name == "ours" else []
    head = ["contender", "", "first ms", "median of later ms", "first ÷ median"]
    note = f"20 tokens, one client, {starts} fresh start(s) each; medians. Ready is what /health/readiness says."
    measured_ratio = f"{max(ratios):.2f}" if ratios else None
    bar = Bar(
        "first request after readiness ÷ median (worse of plain and streamed)",
        "≤ 3",
        measured_ratio,
        bool(ratios) and max(ratios) <= 3,
    )
    return Section("The first request", [note, table(head, rows)], [bar])


def _start(bench: Bench, name: Name, *, stream: bool) -> _Start:
    with bench.running(name) as running:
        first = bench.ask(running, "tokens-20", stream=stream, requests=1)
        later = bench.ask(running, "tokens-20", stream=stream, requests=_LATER)
        for error in (*first.errors, *later.errors):
            say(f"  FAILED: {error}")
        return _Start(median(first.latencies), median(later.latencies))
