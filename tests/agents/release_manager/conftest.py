"""The repositories that the tests of the release manager read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents.release_manager.made_repository import MadeRepository, realistic


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    return MadeRepository(tmp_path / "project")


@pytest.fixture
def project(tmp_path: Path) -> MadeRepository:
    return realistic(tmp_path / "project")
