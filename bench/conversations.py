"""What a stored conversation costs: with its length, with many at once, in SQLite and in PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.contenders import Bench, Running
from bench.jobs import median
from bench.report import Bar, Section, ms, say, table
from tests.postgres import Postgres

LENGTHS = (10, 100, 1_000)
PARALLEL = (1, 50)
TURNS = 10
_NEAR = 10
"""Turns around a length that are timed together."""

_BLOCKS = 4
"""How often each length has its turn of being timed."""


@dataclass(frozen=True, slots=True)
class _Store:
    """A server with one kind of store."""

    title: str
    running: Running
    bytes: Callable[[], int]


def measure(bench: Bench) -> Section:
    """One conversation of a thousand turns, then many at once; and what storing adds to a turn."""
    if "ours" not in bench.names:
        return Section("Conversations", [], [])
    lengths = LENGTHS[:2] if bench.quick else LENGTHS
    grown: list[list[str]] = []
    rates: list[list[str]] = []
    growth: dict[str, float] = {}
    added = float("nan")
    with _stores(bench) as stores:
        for store in stores:
            sizes = _grow(bench, store, lengths)
            times = _times(bench, store, lengths)
            growth[store.title] = times[-1] / times[0]
            grown.append(
                [store.title, *map(ms, times), f"{growth[store.title]:.2f}", *(f"{size:.0f}" for size in sizes)]
            )
            rates.append([store.title, *(f"{_rate(bench, store, number):.1f}" for number in PARALLEL)])
            if store.title == "SQLite":
                added = _added(bench, store)
    head = ["", *(f"ms at turn {length}" for length in lengths), "last ÷ first"]
    head += [f"bytes a turn of {length}" for length in lengths]
    blocks = [
        f"Plain, 20 tokens, one client; medians of {_BLOCKS * _NEAR} turns around each length, timed in turn."
        " Bytes are what the database grew by, for each turn.",
        table(head, grown),
        f"Turns a second in conversations of {TURNS} turns, one client for each.",
        table(["", *(f"{number} at once" for number in PARALLEL)], rates),
        f"Storing adds {added * 1000:.1f} ms to a turn at one client in SQLite:"
        " the difference of the medians of the same requests with and without `store`.",
    ]
    worst = max(growth.values())
    bars = [
        Bar(f"turn {lengths[-1]} of a conversation ÷ turn {lengths[0]}", "≤ 1.5", f"{worst:.2f}", worst <= 1.5),
        Bar("what SQLite adds to a turn at one client", "≤ 3 ms", f"{added * 1000:.1f} ms", added <= 0.003),
    ]
    return Section("Conversations", blocks, bars)


@contextlib.contextmanager
def _stores(bench: Bench) -> Iterator[Iterator[_Store]]:
    with Postgres(fsync=True) as server:
        yield _each(bench, server)


def _each(bench: Bench, server: Postgres) -> Iterator[_Store]:
    with bench.running("ours") as running:
        yield _Store("SQLite", running, lambda: _file_bytes(running.folder / "data"))
    url = server.new_database()
    with bench.running("ours", {"AGENTLLM_DB_URL": url}) as running:
        yield _Store("PostgreSQL", running, lambda: _database_bytes(url))


def _file_bytes(folder: Path) -> int:
    return sum(
        path.stat().st_size for path in folder.iterdir() if ".sqlite3" in path.name and not path.name.endswith("-wal")
    )


def _database_bytes(url: str) -> int:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])


def _grow(bench: Bench, store: _Store, lengths: tuple[int, ...]) -> list[float]:
    """Make a conversation of each length; the bytes that a turn of it takes."""
    bench.ask(store.running, "tokens-20", stream=False, clients=4, requests=40)
    sizes: list[float] = []
    for length in lengths:
        before = store.bytes()
        _talk(bench, store, f"of-{length}", turns=length - 1)
        sizes.append((store.bytes() - before) / (length - 1))
    return sizes


def _times(bench: Bench, store: _Store, lengths: tuple[int, ...]) -> list[float]:
    """The median time of the turns around each length, timed in turn, so that a slow minute is every length's.

    The shortest conversation would soon be longer, so each of its blocks is of a new one.
    """
    times: dict[int, list[float]] = {length: [] for length in lengths}
    for block in range(_BLOCKS):
        short = f"short-{block}"
        _talk(bench, store, short, turns=lengths[0] - _NEAR // 2)
        times[lengths[0]] += _talk(bench, store, short, turns=_NEAR)
        for length in lengths[1:]:
            times[length] += _talk(bench, store, f"of-{length}", turns=_NEAR)
    for length in lengths:
        say(f"conversations {store.title}: {median(times[length]) * 1000:.1f} ms at turn {length}")
    return [median(times[length]) for length in lengths]


def _talk(bench: Bench, store: _Store, conversation: str, *, turns: int) -> Sequence[float]:
    result = bench.ask(
        store.running,
        "tokens-20",
        stream=False,
        requests=turns,
        seconds=120,
        sessions=1,
        session=conversation,
    )
    _tell(result.errors)
    return result.latencies


def _rate(bench: Bench, store: _Store, conversations: int) -> float:
    result = bench.ask(
        store.running,
        "tokens-20",
        stream=False,
        clients=conversations,
        requests=conversations * TURNS,
        sessions=conversations,
        session=f"parallel-{conversations}",
    )
    _tell(result.errors)
    say(f"conversations {store.title}: {result.rate:.1f} turns/s in {conversations} at once")
    return result.rate


def _added(bench: Bench, store: _Store) -> float:
    """Seconds that storing adds to a turn: the medians of short rounds by turns."""
    stored: list[float] = []
    unstored: list[float] = []
    for _ in range(2 if bench.quick else 8):
        for times, keeps in ((stored, True), (unstored, False)):
            result = bench.ask(store.running, "tokens-20", stream=False, requests=50, store=keeps)
            _tell(result.errors)
            times += result.latencies
    return median(stored) - median(unstored)


def _tell(errors: object) -> None:
    for error in errors if isinstance(errors, list) else ():
        say(f"  FAILED: {error}")
