"""How many streams of a model that says 50 tokens a second a server keeps up with.

A number of streams is kept up with if all of them end within 1.15 times the ideal 3.98 s (200
tokens, counted from each stream's own request). The streams start spread over two seconds: this is
about streaming, and a burst of requests is measured elsewhere. AgentLLM must moreover not pause for
longer than 250 ms within any stream of any try.

A full garbage collection stops a LiteLLM process for half a second, every few tries. It must not
decide by chance, so that a number has three tries, for all alike; nor must it be hidden, so that the
number found is always run three times and the pause told is the longest of all three.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from bench.contenders import CONTENDERS, Bench, Name, Running
from bench.jobs import Result, median
from bench.report import Bar, Section, say, table

IDEAL = 199 / 50
SLACK = 1.15
RAMP = 2.0
LONGEST_PAUSE = 0.25
TRIES = 3


@dataclass(frozen=True, slots=True)
class _Level:
    """So many streams at once, in one or more tries, in none of which a pause may be longer."""

    streams: int
    longest_pause: float = math.inf
    tries: Sequence[Result] = ()

    @property
    def good(self) -> int:
        """How many tries ended in time."""
        return sum(_in_time(result) for result in self.tries)

    @property
    def is_kept_up(self) -> bool:
        return self.good > 0 and self.pause <= self.longest_pause

    @property
    def latencies(self) -> list[float]:
        return [latency for result in self.tries for latency in result.latencies]

    @property
    def pause(self) -> float:
        """The longest pause within any stream of any try, in seconds."""
        return max((pause for result in self.tries for pause in result.pauses), default=float("nan"))


def measure(bench: Bench) -> Section:
    """The largest number for each contender, by doubling and, in a full run, halving the interval.

    All are up, and take turns of one number each, so that a slow minute of the machine is everybody's.
    """
    best: dict[Name, _Level] = {}
    with contextlib.ExitStack() as servers:
        searches = {
            name: _search(bench, servers.enter_context(bench.running(name)))
            for name in bench.only("bare", "agentos", "ours").names
        }
        while searches:
            for name, search in list(searches.items()):
                try:
                    next(search)
                except StopIteration as end:
                    best[name] = end.value
                    del searches[name]
    head = ["contender", "live streams", "tries in time", "slowest ÷ ideal", "median ÷ ideal", "longest pause ms"]
    rows = [[CONTENDERS[name].title, *_numbers(best[name])] for name in CONTENDERS if name in best]
    note = (
        f"200 tokens at 50 a second; all streams within {SLACK} times the ideal {IDEAL} s in one of {TRIES} tries,"
        f" and for AgentLLM no pause over {LONGEST_PAUSE * 1000:.0f} ms in any."
        f" Slowest and pause are the worst of all {TRIES}."
    )
    return Section("Live streams", [note, table(head, rows)], _bars(best))


def _numbers(level: _Level) -> list[str]:
    if not level.streams:
        return ["0", "-", "-", "-", "-"]
    ratios = [f"{max(level.latencies) / IDEAL:.2f}", f"{median(level.latencies) / IDEAL:.2f}"]
    return [str(level.streams), f"{level.good} of {len(level.tries)}", *ratios, f"{level.pause * 1000:.0f}"]


def _search(bench: Bench, running: Running) -> Generator[None, None, _Level]:
    """Returns the largest level that is kept up with, and yields after each that was tried."""
    bench.ask(running, "tokens-20", stream=True, clients=4, requests=40)
    bench.ask(running, "live-200-50", stream=True, clients=4, requests=4)
    good = _Level(0)
    high = 0
    limit = 256 if bench.quick else 1024
    step = 1.0 if bench.quick else 0.125  # a quick run only doubles
    while (streams := _next(good.streams, high, limit, step)) is not None:
        level = _try(bench, running, streams)
        if level.is_kept_up:
            good = level
        else:
            high = streams
        yield
    return _confirm(bench, running, good)


def _next(low: int, high: int, limit: int, step: float) -> int | None:
    """What to try between `low`, which is kept up with, and `high`, which is not (0: not known yet)."""
    if not high:
        following = max(low * 2, 16)
        return following if following <= limit else None
    return (low + high) // 2 if high - low > max(1, step * low) else None


def _try(bench: Bench, running: Running, streams: int) -> _Level:
    """One good try is enough where only the time counts."""
    longest_pause = LONGEST_PAUSE if running.contender.name == "ours" else math.inf
    tries: list[Result] = []
    while len(tries) < TRIES and not (tries and _in_time(tries[-1]) and math.isinf(longest_pause)):
        tries.append(_once(bench, running, streams))
    return _Level(streams, longest_pause, tries)


def _confirm(bench: Bench, running: Running, level: _Level) -> _Level:
    """`level` with all of its tries, so that no pause is left out for having been lucky."""
    if not level.streams:
        return level
    more = [_once(bench, running, level.streams) for _ in range(TRIES - len(level.tries))]
    return dataclasses.replace(level, tries=[*level.tries, *more])


def _in_time(result: Result) -> bool:
    return not result.failed and max(result.latencies, default=math.inf) <= IDEAL * SLACK


def _once(bench: Bench, running: Running, streams: int) -> Result:
    result = bench.ask(
        running, "live-200-50", stream=True, clients=streams, requests=streams, ramp=RAMP, timeout=IDEAL * 2.5
    )
    say(
        f"live {running.contender.name} {streams}: slowest {max(result.latencies, default=math.nan):.2f} s,"
        f" {result.failed} failed, longest pause {max(result.pauses, default=math.nan) * 1000:.0f} ms:"
        f" {'in time' if _in_time(result) else 'too many'}"
    )
    for error in result.errors[:1]:
        say(f"  {error}")
    return result


def _bars(best: dict[Name, _Level]) -> list[Bar]:
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
