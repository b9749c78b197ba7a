"""Whose conversation a session id means, and the key behind it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.conversations.identity import conversation_id, load_secret
from agentllm.core import Caller
from agentllm.errors import ConfigurationError
from tests.conversations.disk import read_only_folder

SECRET = b"0" * 32
ADA = Caller("key-of-ada", user="ada")

names = st.text(max_size=4)
callers = st.builds(Caller, names, st.none() | names, st.none() | names, st.none() | names)


class TestConversationId:
    def test_the_same_words_of_the_same_caller_are_the_same_conversation(self) -> None:
        assert conversation_id(SECRET, ADA, "demo", "s") == conversation_id(SECRET, ADA, "demo", "s")

    @pytest.mark.parametrize(
        ("secret", "caller", "agent", "session"),
        [
            (b"1" * 32, ADA, "demo", "s"),
            (SECRET, Caller("key-of-bob", user="bob"), "demo", "s"),
            (SECRET, Caller("key-of-ada"), "demo", "s"),
            (SECRET, Caller("key-of-ada", user="ada", end_user="eve"), "demo", "s"),
            (SECRET, ADA, "assistant", "s"),
            (SECRET, ADA, "demo", "t"),
            (SECRET, ADA, "demos", ""),
        ],
    )
    def test_anything_else_is_another_conversation(
        self, secret: bytes, caller: Caller, agent: str, session: str
    ) -> None:
        assert conversation_id(secret, caller, agent, session) != conversation_id(SECRET, ADA, "demo", "s")

    def test_another_key_of_the_same_person_is_the_same_caller(self) -> None:
        other = Caller("another-key", user="ada", team="t")
        assert conversation_id(SECRET, other, "demo", "s") == conversation_id(SECRET, ADA, "demo", "s")

    @given(callers, callers, names, names, names, names)
    def test_two_are_the_same_exactly_for_the_same_owner_agent_and_session(
        self, caller: Caller, other: Caller, agent: str, other_agent: str, session: str, other_session: str
    ) -> None:
        same_words = (caller.principal, agent, session) == (other.principal, other_agent, other_session)
        one = conversation_id(SECRET, caller, agent, session)
        two = conversation_id(SECRET, other, other_agent, other_session)
        assert (one == two) == same_words

    @given(callers, names, st.text(min_size=4))
    def test_it_is_64_hexadecimal_digits_and_shows_nothing(self, caller: Caller, agent: str, session: str) -> None:
        made = conversation_id(SECRET, caller, agent, session)
        assert len(made) == 64
        assert set(made) <= set("0123456789abcdef")


_LOAD = """
import sys
from pathlib import Path
from agentllm.conversations.identity import load_secret
print("ready", flush=True)
sys.stdin.readline()
print(load_secret(Path(sys.argv[1]), None).hex())
"""


class TestSecret:
    def test_a_configured_one_is_taken_and_none_is_made(self, tmp_path: Path) -> None:
        assert load_secret(tmp_path / "data", "correct horse battery") == b"correct horse battery"
        assert not (tmp_path / "data").exists()

    def test_it_is_made_once_and_kept(self, tmp_path: Path) -> None:
        secret = load_secret(tmp_path / "deep" / "data", None)
        assert len(secret) == 32
        assert load_secret(tmp_path / "deep" / "data", None) == secret

    def test_two_machines_have_two(self, tmp_path: Path) -> None:
        assert load_secret(tmp_path / "a", None) != load_secret(tmp_path / "b", None)

    def test_only_its_owner_may_read_it_and_nothing_else_is_left(self, tmp_path: Path) -> None:
        load_secret(tmp_path, None)
        (file,) = tmp_path.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600

    def test_threads_that_start_at_once_have_the_same(self, tmp_path: Path) -> None:
        start = Barrier(8)

        def load(_: int) -> bytes:
            start.wait(30)
            return load_secret(tmp_path, None)

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(load, range(8)))) == 1
        assert len(list(tmp_path.iterdir())) == 1

    def test_processes_that_start_at_once_have_the_same(self, tmp_path: Path) -> None:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", _LOAD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        secrets = [process.communicate(timeout=30)[0].strip() for process in processes]
        assert len(set(secrets)) == 1
        assert bytes.fromhex(secrets[0]) == load_secret(tmp_path, None)
        assert len(list(tmp_path.iterdir())) == 1


class TestDamage:
    @pytest.mark.parametrize("size", [0, 1, 31])
    def test_half_a_secret_is_not_replaced_but_reported(self, size: int, tmp_path: Path) -> None:
        load_secret(tmp_path, None)
        (file,) = tmp_path.iterdir()
        file.write_bytes(b"x" * size)
        with pytest.raises(ConfigurationError) as caught:
            load_secret(tmp_path, None)
        assert all(word in caught.value.message for word in (file.name, str(tmp_path), f"{size} bytes"))
        assert file.read_bytes() == b"x" * size

    def test_a_folder_in_its_place_is_reported(self, tmp_path: Path) -> None:
        load_secret(tmp_path, None)
        (file,) = tmp_path.iterdir()
        file.unlink()
        file.mkdir()
        with pytest.raises(ConfigurationError):
            load_secret(tmp_path, None)

    def test_a_folder_that_cannot_be_made_is_reported_with_the_way_out(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError) as caught:
            load_secret(tmp_path / "file" / "data", None)
        assert "AGENTLLM_DATA_DIR" in caught.value.message
        assert str(tmp_path / "file" / "data") in caught.value.message

    def test_a_folder_that_cannot_be_written_is_reported_with_the_way_out(self) -> None:
        with read_only_folder() as folder, pytest.raises(ConfigurationError) as caught:
            load_secret(folder, None)
        assert "AGENTLLM_DATA_DIR" in caught.value.message
