"""A disk that fails, and a user who may not write: the real ones."""

from __future__ import annotations

import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

FILE = "agentllm.sqlite3"
_NOBODY = 65534


@contextmanager
def full_disk() -> Iterator[None]:
    """Nothing that this process writes to a file gets there; the kernel refuses it as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def lose_the_table(data_dir: Path) -> None:
    """Take the turns out of the store, as by a damaged or replaced file."""
    with closing(sqlite3.connect(data_dir / FILE)) as connection:
        connection.execute("ALTER TABLE turns RENAME TO lost")


def find_the_table(data_dir: Path) -> None:
    """Undo `lose_the_table`."""
    with closing(sqlite3.connect(data_dir / FILE)) as connection:
        connection.execute("ALTER TABLE lost RENAME TO turns")


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
