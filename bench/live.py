"""How many streams of a model that says 50 tokens a second a server keeps up with.

A number of streams is kept up with if all of them end within 1.15 times the ideal 3.98 s (200
tokens, counted from each stream's own request). The streams start spread over two seconds: this is
about streaming, and a burst of requests is measured elsewhere. A failed number is tried once more
in a full run, for all alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.contenders import CONTENDERS, Bench, Name, Running
from bench.jobs import Result, median
from bench.report import Bar, Section, say, table

IDEAL = 199 / 50
SLACK = 1.15
RAMP = 2.0
LONGEST_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class _Trial:
    """So many streams at once."""

    streams: int
    result: Result

    @property
    def kept_up(self) -> bool:
        result = self.result
        return not result.failed and max(result.latencies, default=99.0) <= IDEAL * SLACK

    @property
    def pause(self) -> float:
        return max(self.result.pauses, default=float("nan"))


def measure(bench: Bench) -> Section:
    """The largest number for each contender, by doubling and then halving the interval."""
    best: dict[Name, _Trial] = {}
    for name in bench.only("bare", "agentos", "ours").names:
        with bench.running(name) as running:
            bench.ask(running, "tokens-20", stream=True, clients=4, requests=40)
            best[name] = _largest(bench, running)
    head = ["contender", "live streams", "slowest ÷ ideal", "median ÷ ideal", "longest pause ms"]
    rows = [[CONTENDERS[name].title, *_numbers(trial)] for name, trial in best.items()]
    note = f"200 tokens at 50 a second; all streams within {SLACK} times the ideal {IDEAL} s."
    return Section("Live streams", [note, table(head, rows)], _bars(best))


def _numbers(trial: _Trial) -> list[str]:
    if not trial.streams:
        return ["0", "-", "-", "-"]
    latencies = trial.result.latencies
    ratios = [f"{max(latencies) / IDEAL:.2f}", f"{median(latencies) / IDEAL:.2f}"]
    return [str(trial.streams), *ratios, f"{trial.pause * 1000:.0f}"]


def _largest(bench: Bench, running: Running) -> _Trial:
    good = _Trial(0, Result(1.0, 0, (), (), (), ()))
    low, high, start = 0, 0, 16
    limit = 512 if bench.quick else 2048
    while not high and max(low * 2, start) <= limit:
        trial = _try(bench, running, max(low * 2, start))
        if trial.kept_up:
            low, good = trial.streams, trial
        else:
            high = trial.streams
    step = 0.25 if bench.quick else 0.08
    while high and high - low > max(1, step * low):
        trial = _try(bench, running, (low + high) // 2)
        if trial.kept_up:
            low, good = trial.streams, trial
        else:
            high = trial.streams
    return good


def _try(bench: Bench, running: Running, streams: int) -> _Trial:
    trial = _once(bench, running, streams)
    return trial if trial.kept_up or bench.quick else _once(bench, running, streams)


def _once(bench: Bench, running: Running, streams: int) -> _Trial:
    result = bench.ask(
        running, "live-200-50", stream=True, clients=streams, requests=streams, ramp=RAMP, timeout=IDEAL * 2.5
    )
    trial = _Trial(streams, result)
    slowest = max(result.latencies, default=float("nan"))
    say(
        f"live {running.contender.name} {streams}: slowest {slowest:.2f} s, {result.failed} failed,"
        f" longest pause {trial.pause * 1000:.0f} ms: {'kept up' if trial.kept_up else 'too many'}"
    )
    for error in result.errors[:1]:
        say(f"  {error}")
    return trial


def _bars(best: dict[Name, _Trial]) -> list[Bar]:
    ours, bare = best.get("ours"), best.get("bare")
    ratio = ours.streams / bare.streams if ours and bare and bare.streams else None
    pause = ours.pause if ours and ours.streams else None
    return [
        Bar(
            "live streams ÷ bare's", "≥ 3", None if ratio is None else f"{ratio:.2f}", ratio is not None and ratio >= 3
        ),
        Bar(
            "longest pause within a stream at that number",
            "≤ 250 ms",
            None if pause is None else f"{pause * 1000:.0f} ms",
            pause is not None and pause <= LONGEST_PAUSE,
        ),
    ]
