"""What loading a catalog leaves in the process is taken back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def as_if_nothing_was_imported(tmp_path: Path) -> Iterator[None]:
    """Forget the modules of this test's folders, and that they can be imported."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules:
        module = sys.modules[name]
        if str(tmp_path) in " ".join(
            [str(getattr(module, "__file__", "")), *map(str, getattr(module, "__path__", ()))]
        ):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for agents."""
    made = tmp_path / "mine"
    made.mkdir()
    return made
