"""The keys that are good now: a change of the file counts at once, and a broken one changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agentllm.errors import ConfigurationError
from agentllm.keys import KeyFile, KeyRing, make_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def added(path: Path, alias: str) -> str:
    secret, key = make_key(alias, user="ada")
    KeyFile(path).add(key)
    return secret


def test_a_key_is_found_by_itself_and_not_by_its_hash(path: Path) -> None:
    secret = added(path, "ada")
    ring = KeyRing(path)
    found = ring.find(secret)
    assert found is not None
    assert found.alias == "ada"
    assert ring.find(found.hash) is None
    assert ring.find("") is None


def test_a_key_that_is_added_or_revoked_counts_at_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ring = KeyRing(path)
    assert "only the master key" in caplog.text
    ada = added(path, "ada")
    assert not ring.is_current()
    assert ring.find(ada) is not None
    assert ring.is_current()
    bob = added(path, "bob")
    KeyFile(path).revoke("ada")
    assert ring.find(ada) is None
    assert ring.find(bob) is not None


def test_the_file_is_read_only_when_it_has_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = added(path, "ada")
    ring = KeyRing(path)
    monkeypatch.setattr(KeyFile, "read", None)
    assert ring.is_current()
    assert ring.find(secret) is not None


def test_a_broken_change_is_logged_once_with_its_line_and_the_keys_before_it_stay(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = added(path, "ada")
    ring = KeyRing(path)
    for broken in ("", "keys: [", path.read_text() + "- hash: x\n"):
        path.write_text(broken)
        caplog.clear()
        assert ring.find(secret) is not None
        assert ring.find(secret) is not None
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert f"{path}, line" in record.getMessage()
    path.write_text("keys: []")
    assert ring.find(secret) is None


def test_a_file_that_is_gone_holds_no_keys(path: Path) -> None:
    secret = added(path, "ada")
    ring = KeyRing(path)
    path.unlink()
    assert ring.find(secret) is None
    added(path, "ada")
    assert ring.find(secret) is None


def test_a_file_that_cannot_be_read_any_more_changes_nothing(path: Path) -> None:
    secret = added(path, "ada")
    ring = KeyRing(path)
    path.unlink()
    path.mkdir()
    assert ring.find(secret) is not None


def test_at_the_start_a_broken_file_is_an_error(path: Path) -> None:
    path.write_text("keys: 1")
    with pytest.raises(ConfigurationError, match="line 1"):
        KeyRing(path)


def test_at_the_start_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="AGENTLLM_KEYS"):
        KeyRing(tmp_path / "nowhere" / "keys.yaml")
