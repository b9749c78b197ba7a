"""What the proxy weighs after many sessions: it must not keep what is over."""

from __future__ import annotations

from bench.contenders import CONTENDERS, Bench, Name
from bench.report import Bar, Section, say, table

_MIB = 1024 * 1024


def measure(bench: Bench) -> Section:
    """Resident memory of the process tree after some and after ten times as many requests, each in its own session."""
    few, many = (100, 1_000) if bench.quick else (500, 5_000)
    rows: list[list[str]] = []
    ratio: float | None = None
    for name in bench.only("bare", "ours").names:
        after_few, after_many = _weigh(bench, name, few, many)
        numbers = [f"{after_few / _MIB:.0f}", f"{after_many / _MIB:.0f}", f"{after_many / after_few:.3f}"]
        rows.append([CONTENDERS[name].title, *numbers])
        if name == "ours":
            ratio = after_many / after_few
    head = ["contender", f"MiB after {few}", f"MiB after {many}", "ratio"]
    note = "Resident memory of the whole process tree; half of the requests streamed, 20 clients, 20 tokens."
    measured = None if ratio is None else f"{ratio:.3f}"
    bar = Bar(f"memory after {many} sessions ÷ after {few}", "≤ 1.1", measured, ratio is not None and ratio <= 1.1)
    return Section("Memory", [note, table(head, rows)], [bar])


def _weigh(bench: Bench, name: Name, few: int, many: int) -> tuple[int, int]:
    with bench.running(name) as running:
        assert running.process is not None
        weights: list[int] = []
        for requests in (few, many - few):
            for stream in (False, True):
                result = bench.ask(
                    running, "tokens-20", stream=stream, clients=20, requests=requests // 2, seconds=400.0
                )
                for error in result.errors:
                    say(f"  FAILED: {error}")
            weights.append(running.process.resident())
            say(f"memory {name}: {weights[-1] / _MIB:.0f} MiB")
        return weights[0], weights[1]
