"""The file of keys: what comes back is what was written, and what is wrong in it is said with its line."""

from __future__ import annotations

import fcntl
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.errors import ConfigurationError
from agentllm.keys import Key, KeyFile, make_key
from agentllm.keys import file as module
from tests.conversations.disk import read_only_folder

HASH = "a" * 64
ENTRY = f"- hash: {HASH}\n  alias: ada\n"

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.yaml")


def added(file: KeyFile, alias: str) -> Key:
    key = make_key(alias, user="ada")[1]
    file.add(key)
    return key


def problem(file: KeyFile, text: str) -> str:
    file.path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        file.read()
    assert str(file.path) in caught.value.message
    return caught.value.message


class TestWriting:
    @given(
        user=st.none() | names,
        models=st.none() | st.lists(names, min_size=1, max_size=3).map(tuple),
        rpm=st.none() | st.integers(1, 1_000_000),
        expires=st.none() | moments,
    )
    def test_what_is_added_is_read(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        user: str | None,
        models: tuple[str, ...] | None,
        rpm: int | None,
        expires: datetime | None,
    ) -> None:
        file = KeyFile(tmp_path_factory.mktemp("keys") / "keys.yaml")
        key = Key(hash=HASH, alias="ada", user=user, models=models, rpm=rpm, expires=expires)
        file.add(key)
        assert file.read() == (key,)

    def test_keys_keep_their_order_and_one_goes_by_alias_or_hash(self, file: KeyFile) -> None:
        one, two, three = (added(file, alias) for alias in ("one", "two", "three"))
        assert file.read() == (one, two, three)
        assert file.revoke("two") == two
        assert file.revoke(three.hash[:8]) == three
        assert file.read() == (one,)

    def test_an_alias_is_given_once(self, file: KeyFile) -> None:
        key = added(file, "ada")
        with pytest.raises(ConfigurationError, match="'ada'"):
            added(file, "ada")
        assert file.read() == (key,)

    @pytest.mark.parametrize("name", ["", "nobody", HASH[:7], "b" * 8])
    def test_nothing_goes_by_a_name_that_means_no_key(self, file: KeyFile, name: str) -> None:
        file.add(Key(hash=HASH, alias="ada"))
        with pytest.raises(ConfigurationError, match="agentllm keys list"):
            file.revoke(name)
        assert len(file.read()) == 1

    def test_nothing_goes_by_the_beginning_of_two_hashes(self, file: KeyFile) -> None:
        file.add(Key(hash=HASH, alias="ada"))
        file.add(Key(hash=f"{HASH[:-1]}b", alias="bob"))
        with pytest.raises(ConfigurationError, match="2 keys in"):
            file.revoke(HASH[:8])

    def test_an_alias_goes_before_the_beginning_of_a_hash(self, file: KeyFile) -> None:
        file.add(Key(hash=HASH, alias="ada"))
        file.add(Key(hash="b" * 64, alias=HASH[:8]))
        assert file.revoke(HASH[:8]).hash == "b" * 64

    def test_only_its_owner_may_read_it_and_no_draft_is_left(self, file: KeyFile) -> None:
        file.path.touch(0o644)
        file.path.write_text("keys: []")
        added(file, "ada")
        assert file.path.stat().st_mode & 0o777 == 0o600
        assert {path.name for path in file.path.parent.iterdir()} == {"keys.yaml", ".keys.yaml.lock"}

    def test_a_link_to_the_file_stays_one(self, file: KeyFile, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        file.path.symlink_to(tmp_path / "real" / "keys.yaml")
        added(file, "ada")
        assert file.path.is_symlink()
        assert len(KeyFile(tmp_path / "real" / "keys.yaml").read()) == 1

    def test_writers_at_once_lose_nothing(self, file: KeyFile) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: added(KeyFile(file.path), f"k{number}"), range(24)))
        assert {key.alias for key in file.read()} == {f"k{number}" for number in range(24)}

    def test_a_writer_does_not_wait_forever(self, file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
        added(file, "ada")
        monkeypatch.setattr(module, "LONGEST_WAIT", 0.05)
        descriptor = os.open(file.path.with_name(".keys.yaml.lock"), os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with pytest.raises(ConfigurationError, match=re.escape("0.05 seconds")):
                added(file, "bob")
        finally:
            os.close(descriptor)

    def test_a_broken_file_is_not_overwritten(self, file: KeyFile) -> None:
        file.path.write_text("keys: 1")
        with pytest.raises(ConfigurationError, match="line 1"):
            added(file, "ada")
        assert file.path.read_text() == "keys: 1"

    def test_a_file_that_fails_half_way_leaves_the_one_before(
        self, file: KeyFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = added(file, "ada")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left"):
            added(file, "bob")
        assert file.read() == (key,)
        assert len(list(file.path.parent.iterdir())) == 2

    def test_a_folder_that_cannot_be_written_is_said_with_the_way_out(self) -> None:
        with read_only_folder() as folder, pytest.raises(ConfigurationError, match="AGENTLLM_KEYS"):
            added(KeyFile(folder / "keys.yaml"), "ada")

    def test_more_than_can_be_read_is_not_written(self, file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
        key = added(file, "ada")
        monkeypatch.setattr(module, "LARGEST_FILE", file.path.stat().st_size)
        with pytest.raises(ConfigurationError, match="too many"):
            added(file, "bob")
        assert file.read() == (key,)


class TestReading:
    @pytest.mark.parametrize("text", ["keys: []", "# mine\nkeys: []\n"])
    def test_a_file_may_hold_no_keys(self, file: KeyFile, text: str) -> None:
        file.path.write_text(text)
        assert file.read() == ()

    def test_a_date_and_a_time_without_quotes_are_read(self, file: KeyFile) -> None:
        other = ENTRY.replace("a" * 64, "b" * 64).replace("ada", "bob")
        file.path.write_text(f"keys:\n{ENTRY}  expires: 2027-01-01\n{other}  expires: 2027-01-01 10:00:00+02:00\n")
        first, second = file.read()
        assert first.expires == datetime(2027, 1, 1, tzinfo=UTC)
        assert second.expires == datetime(2027, 1, 1, 8, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("text", "line", "named"),
        [
            ("", 1, "'keys'"),
            ("- a", 1, "'keys'"),
            ("# c\nteams: []", 2, "'keys'"),
            ("keys:\n  ada: 1", 2, "list"),
            ("keys:", 1, "list"),
            ("keys:\n- ada", 2, "keys[0]"),
            ("keys:\n- {hash: [}", 2, "YAML"),
            ("keys:\n\t- a", 2, "YAML"),
            (f"keys:\n{ENTRY}  rpm: fast", 4, "keys[0].rpm"),
            (f"keys:\n{ENTRY}  rpm: 0", 4, "'0'"),
            (f"keys:\n{ENTRY}  rpm: true", 4, "rpm"),
            (f"keys:\n{ENTRY}  models: []", 4, "models"),
            (f"keys:\n{ENTRY}  models: agno/demo", 4, "'agno/demo'"),
            (f"keys:\n{ENTRY}  expires: soon", 4, "'soon'"),
            (f"keys:\n{ENTRY}  expires: 2027-13-01", 2, "month"),
            (f"keys:\n{ENTRY}  color: red", 4, "color"),
            (f"keys:\n{ENTRY}  team: t\n  team: u", 4, "keys[0].team"),
            ("keys:\n- alias: ada", 2, "hash"),
            (f"keys:\n{ENTRY}{ENTRY.replace('ada', 'bob')}", 4, "line 2"),
            (f"keys:\n{ENTRY}{ENTRY.replace('a' * 64, 'b' * 64)}", 4, "alias"),
            (f"keys:\n{ENTRY}  user: default_user_id", 4, "user"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, file: KeyFile, text: str, line: int, named: str) -> None:
        message = problem(file, text)
        assert f"line {line}: " in message
        assert named in message.partition(f"line {line}: ")[2]

    @pytest.mark.parametrize("field", ["hash", "key", "alias"])
    def test_a_key_that_stands_there_in_clear_is_not_repeated(self, file: KeyFile, field: str) -> None:
        assert "sk-secret" not in problem(file, f"keys:\n- {field}: 'sk-secret ,'\n")

    def test_what_is_no_text_is_said(self, file: KeyFile) -> None:
        file.path.write_bytes(b"keys: \xff\xfe")
        with pytest.raises(ConfigurationError, match="line 1"):
            file.read()

    def test_a_file_that_is_not_there_or_a_folder_is_said(self, file: KeyFile) -> None:
        for path in (file.path, file.path.parent):
            with pytest.raises(ConfigurationError, match=re.escape(str(path))):
                KeyFile(path).read()

    def test_a_file_that_is_too_large_is_not_parsed(self, file: KeyFile) -> None:
        file.path.write_bytes(b"#" * (module.LARGEST_FILE + 1))
        with pytest.raises(ConfigurationError, match=str(module.LARGEST_FILE)):
            file.read()
