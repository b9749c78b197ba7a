"""Databases seen from outside, and what can go wrong with them: the real thing in each case."""

from __future__ import annotations

import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

_NOBODY = 65534


def sqlite_url(folder: Path) -> sa.URL:
    """A database in `folder`."""
    return sa.URL.create("sqlite", database=str(folder / "conversations.sqlite3"))


def rows(url: sa.URL, query: str) -> list[tuple[object, ...]]:
    """What is on disk, read by another connection."""
    with _connected(url) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def change(url: sa.URL, *statements: str) -> None:
    """Change what is on disk, by another connection."""
    with _connected(url) as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def lose_the_table(url: sa.URL) -> None:
    """Take the turns out of the store, as by a damaged or replaced database."""
    change(url, "ALTER TABLE turns RENAME TO lost")


def find_the_table(url: sa.URL) -> None:
    """Undo `lose_the_table`."""
    change(url, "ALTER TABLE lost RENAME TO turns")


@contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@contextmanager
def locked(url: sa.URL) -> Iterator[sqlite3.Connection]:
    """Another connection is writing to the SQLite file; it is done when it executes `COMMIT`, or with the block."""
    assert url.database is not None
    with closing(sqlite3.connect(url.database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@contextmanager
def full_disk() -> Iterator[None]:
    """Nothing that this process writes to a file gets there; the kernel refuses it as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """A folder that can be read and not written, also where root runs the tests: as somebody else meanwhile."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(_NOBODY)
        try:
            yield folder
        finally:
            if user == 0:
                os.seteuid(user)
            folder.chmod(0o755)
