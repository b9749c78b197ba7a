"""What a stored conversation costs: with its length, with many at once, in SQLite and in PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
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
"""Turns around a length whose median is told."""


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
            times, sizes = _grow(bench, store, lengths)
            growth[store.title] = times[-1] / times[0]
            grown.append(
                [store.title, *map(ms, times), f"{growth[store.title]:.2f}", *(f"{size:.0f}" for size in sizes)]
            )
            rates.append([store.title, *(f"{_rate(bench, store, number):.1f}" for number in PARALLEL)])
            if store.title == "SQLite":
                added = _added(bench, store)
    head = ["", *(f"ms at turn {length}" for length in lengths), "last ÷ first", *_between("bytes a turn", lengths)]
    blocks = [
        f"Plain, 20 tokens, one client; medians of {_NEAR} turns. Bytes are what the database grew by, for each turn.",
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


def _between(what: str, lengths: tuple[int, ...]) -> list[str]:
    return [f"{what} up to {length}" for length in lengths]


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


def _grow(bench: Bench, store: _Store, lengths: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """The median time of the turns at each length, and the bytes a turn up to it."""
    bench.ask(store.running, "tokens-20", stream=False, clients=4, requests=40)
    times: list[float] = []
    sizes: list[float] = []
    done, before = 0, store.bytes()
    for length in lengths:
        result = bench.ask(
            store.running,
            "tokens-20",
            stream=False,
            requests=length + _NEAR // 2 - done,
            seconds=120,
            sessions=1,
            session="long",
        )
        _tell(result.errors)
        times.append(median(result.latencies[-_NEAR:]))
        after = store.bytes()
        sizes.append((after - before) / (length + _NEAR // 2 - done))
        done, before = length + _NEAR // 2, after
        say(f"conversations {store.title}: {times[-1] * 1000:.1f} ms at turn {length}")
    return times, sizes


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
