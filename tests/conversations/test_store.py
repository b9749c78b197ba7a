"""Turns on disk."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from agentllm.conversations.store import Store
from agentllm.core import JsonObject, Message, ToolCall
from agentllm.errors import ConfigurationError, StoreUnavailable
from tests.conversations.disk import FILE, find_the_table, full_disk, lose_the_table, read_only_folder
from tests.conversations.talk import assistant, user


async def say(
    store: Store, text: str, *, conversation: str = "c", parent: int | None = None, state: JsonObject | None = None
) -> int:
    """Store a turn, answered in capitals; returns its id."""
    answer = text.upper()
    await store.add(
        conversation, parent=parent, new=[user(text)], output=[assistant(answer)], answer=answer, state=state
    )
    return (await store.branch(conversation, turns=1))[-1].id


async def talk(store: Store, *texts: str, conversation: str = "c") -> list[int]:
    """Store a branch of turns; returns their ids."""
    ids: list[int] = []
    for text in texts:
        ids.append(await say(store, text, conversation=conversation, parent=ids[-1] if ids else None))
    return ids


async def answers(store: Store, conversation: str = "c", *, turns: int = 100) -> list[str]:
    return [turn.answer for turn in await store.branch(conversation, turns=turns)]


def rows(data_dir: Path) -> list[tuple[str, str]]:
    """Conversation and answer of every turn on disk, seen from outside."""
    with closing(sqlite3.connect(data_dir / FILE)) as connection:
        return connection.execute("SELECT conversation, answer FROM turns ORDER BY id").fetchall()


async def connections_ended() -> None:
    """Wait for aiosqlite's threads: that of a connection that was refused tells its loop that it ends, unawaited."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 10)


class TestBranch:
    async def test_there_is_none_at_first(self, store: Store) -> None:
        assert await store.branch("c", turns=10) == []

    async def test_a_turn_comes_back_as_it_was_stored(self, store: Store) -> None:
        call = ToolCall("1", "add", '{"a": 1}', {"signature": "x"})
        output = (Message("assistant", tool_calls=(call,)), Message("tool", "2", tool_call_id="1"), assistant("Two."))
        state: JsonObject = {"count": 1, "deep": {"list": [1, None, "é"]}}
        await store.add("c", parent=None, new=[user("1+1?")], output=output, answer="Two.", state=state)
        (turn,) = await store.branch("c", turns=10)
        assert (turn.parent, turn.input, turn.output) == (None, (user("1+1?"),), output)
        assert (turn.answer, turn.state) == ("Two.", state)

    async def test_turns_come_oldest_first_each_after_its_parent(self, store: Store) -> None:
        ids = await talk(store, "a", "b", "c")
        turns = await store.branch("c", turns=10)
        assert [turn.answer for turn in turns] == ["A", "B", "C"]
        assert [turn.id for turn in turns] == ids
        assert [turn.parent for turn in turns] == [None, *ids[:-1]]

    async def test_it_is_the_one_that_was_continued_last(self, store: Store) -> None:
        first, second, _ = await talk(store, "a", "b", "c")
        edited = await say(store, "edited", parent=first)
        assert await answers(store) == ["A", "EDITED"]
        await say(store, "more", parent=edited)
        assert await answers(store) == ["A", "EDITED", "MORE"]
        await say(store, "back", parent=second)
        assert await answers(store) == ["A", "B", "BACK"]
        await say(store, "anew")
        assert await answers(store) == ["ANEW"]

    async def test_conversations_do_not_mix(self, store: Store) -> None:
        ada = await say(store, "a1", conversation="ada")
        await say(store, "b1", conversation="bob")
        await say(store, "a2", conversation="ada", parent=ada)
        assert await answers(store, "ada") == ["A1", "A2"]
        assert await answers(store, "bob") == ["B1"]
        assert await answers(store, "eve") == []

    @pytest.mark.parametrize("turns", [1, 2, 3, 4, 100])
    async def test_only_its_last_turns_are_given(self, turns: int, store: Store) -> None:
        ids = await talk(store, "a", "b", "c")
        branch = await store.branch("c", turns=turns)
        assert [turn.id for turn in branch] == ids[-turns:]

    async def test_what_is_older_is_not_even_read(self, store: Store, tmp_path: Path) -> None:
        await talk(store, *"abcdefgh")
        with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection, connection:
            connection.execute("UPDATE turns SET input = 'no JSON', output = 'no JSON' WHERE id <= 5")
        assert await answers(store, turns=3) == ["F", "G", "H"]

    async def test_an_empty_state_is_not_the_same_as_none(self, store: Store) -> None:
        await say(store, "a", state={})
        assert (await store.branch("c", turns=1))[0].state == {}
        await say(store, "b", state=None)
        assert (await store.branch("c", turns=1))[0].state is None

    @pytest.mark.parametrize("text", ["", "'; DROP TABLE turns; --", "a\x00b", "😀", "x" * 1_000_000])
    async def test_any_text_can_be_stored(self, text: str, store: Store) -> None:
        await store.add("c", parent=None, new=[user(text)], output=[assistant(text)], answer=text, state={text: text})
        (turn,) = await store.branch("c", turns=1)
        assert (turn.input, turn.answer, turn.state) == ((user(text),), text, {text: text})

    async def test_half_a_character_is_stored_or_refused_like_a_failed_write(self, store: Store) -> None:
        """Providers cut text between the two halves of a character, and some send the halves."""
        half = "\ud83d"
        with contextlib.suppress(StoreUnavailable):
            await store.add("c", parent=None, new=[user(half)], output=[], answer=half, state=None)


class TestOnDisk:
    async def test_another_process_start_finds_what_was_stored(self, store: Store, tmp_path: Path) -> None:
        await talk(store, "a", "b")
        again = Store(tmp_path / "data")
        again.create()
        assert await answers(again) == ["A", "B"]
        await again.close()

    async def test_a_turn_is_there_for_others_when_it_is_stored(self, store: Store, tmp_path: Path) -> None:
        await say(store, "a")
        assert rows(tmp_path / "data") == [("c", "A")]

    async def test_it_can_be_used_again_after_it_was_closed(self, store: Store) -> None:
        await say(store, "a")
        await store.close()
        await store.close()
        assert await answers(store) == ["A"]

    async def test_reading_does_not_wait_for_one_who_writes(self, store: Store, tmp_path: Path) -> None:
        await say(store, "a")
        with closing(sqlite3.connect(tmp_path / "data" / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(5):
                assert await answers(store) == ["A"]

    async def test_writing_waits_for_one_who_writes(self, store: Store, tmp_path: Path) -> None:
        await say(store, "a")
        with closing(sqlite3.connect(tmp_path / "data" / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            adding = asyncio.create_task(say(store, "b"))
            await asyncio.wait([adding], timeout=0.1)
            assert not adding.done()
            other.execute("COMMIT")
            await adding
        assert await answers(store) == ["B"]

    async def test_many_at_once_lose_nothing(self, store: Store, tmp_path: Path) -> None:
        await asyncio.gather(*(say(store, str(number), conversation=f"c{number % 3}") for number in range(60)))
        assert sorted(int(answer) for _, answer in rows(tmp_path / "data")) == list(range(60))

    def test_several_event_loops_share_it(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        store.create()

        async def use(conversation: str) -> list[str]:
            await talk(store, *"abcde", conversation=conversation)
            found = await answers(store, conversation)
            await store.close()
            return found

        with ThreadPoolExecutor(3) as pool:
            found = pool.map(lambda name: asyncio.run(use(name)), "xyz")
        assert list(found) == [list("ABCDE")] * 3
        assert len(rows(tmp_path)) == 15


_WRITE = """
import asyncio, sys
from pathlib import Path
from agentllm.conversations.store import Store
from agentllm.core import Message

data_dir, label, count = sys.argv[1:]
store = Store(Path(data_dir))

async def main():
    parent = None
    for number in range(int(count)):
        answer = f"{label}{number}"
        said = [Message("user", answer)]
        await store.add("c", parent=parent, new=said, output=[], answer=answer, state=None)
        parent = (await store.branch("c", turns=1))[-1].id
    await store.close()

store.create()
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    processes = []
    for label in "ab":
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _WRITE, str(tmp_path), label, "50"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        processes.append(process)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    written = [answer for _, answer in rows(tmp_path)]
    for label in "ab":
        assert [answer for answer in written if answer.startswith(label)] == [f"{label}{i}" for i in range(50)]


class TestCreate:
    def test_it_makes_the_folder_and_the_file(self, tmp_path: Path) -> None:
        Store(tmp_path / "deep" / "data").create()
        assert rows(tmp_path / "deep" / "data") == []

    async def test_it_may_be_called_again(self, store: Store) -> None:
        await say(store, "a")
        store.create()
        assert await answers(store) == ["A"]

    def test_it_waits_for_another_process_that_is_making_it(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            finishing = threading.Timer(0.2, other.execute, ["COMMIT"])
            finishing.start()
            try:
                Store(tmp_path).create()
            finally:
                finishing.join()
        assert rows(tmp_path) == []

    def test_a_folder_that_cannot_be_made_is_reported_with_the_way_out(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError) as caught:
            Store(tmp_path / "file" / "data").create()
        assert "AGENTLLM_DATA_DIR" in caught.value.message
        assert str(tmp_path / "file" / "data") in caught.value.message

    def test_a_folder_that_cannot_be_written_is_reported_with_the_way_out(self, tmp_path: Path) -> None:
        Store(tmp_path).create()  # loads what it needs, which may lie where only the tests' own user reads
        with read_only_folder() as folder, pytest.raises(ConfigurationError) as caught:
            Store(folder).create()
        assert "AGENTLLM_DATA_DIR" in caught.value.message
        assert str(folder) in caught.value.message

    def test_a_file_that_is_no_database_is_reported_and_left_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_text("somebody's notes, " * 100)
        with pytest.raises(ConfigurationError) as caught:
            Store(tmp_path).create()
        assert str(tmp_path / FILE) in caught.value.message
        assert (tmp_path / FILE).read_text() == "somebody's notes, " * 100


class TestFailure:
    async def test_what_cannot_be_read_is_an_error_and_never_an_empty_conversation(
        self, store: Store, tmp_path: Path
    ) -> None:
        await say(store, "a")
        lose_the_table(tmp_path / "data")
        with pytest.raises(StoreUnavailable):
            await store.branch("c", turns=1)
        find_the_table(tmp_path / "data")
        assert await answers(store) == ["A"]

    async def test_a_store_that_was_never_made_is_an_error(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "nowhere")
        with pytest.raises(StoreUnavailable):
            await store.branch("c", turns=1)
        await store.close()
        await connections_ended()

    @pytest.mark.parametrize("connected", [True, False])
    async def test_of_a_turn_for_which_the_disk_has_no_room_nothing_is_stored(
        self, connected: bool, store: Store, tmp_path: Path
    ) -> None:
        await say(store, "a")
        if not connected:
            await store.close()
        with full_disk(), pytest.raises(StoreUnavailable):
            await store.add("c", parent=None, new=[user("b" * 100_000)], output=[], answer="B", state=None)
        assert rows(tmp_path / "data") == [("c", "A")]
        assert await answers(store) == ["A"]

    async def test_when_the_disk_has_room_again_all_goes_on(self, store: Store) -> None:
        first = await say(store, "a")
        with full_disk(), pytest.raises(StoreUnavailable):
            await say(store, "b", parent=first)
        await say(store, "c", parent=first)
        assert await answers(store) == ["A", "C"]

    async def test_a_state_that_is_no_json_is_an_error_and_nothing_is_stored(
        self, store: Store, tmp_path: Path
    ) -> None:
        with pytest.raises(StoreUnavailable):
            await say(store, "a", state={"when": {1, 2}})  # type: ignore[dict-item]
        assert rows(tmp_path / "data") == []

    @pytest.mark.parametrize("failure", ["disk", "table", "state"])
    async def test_neither_the_error_nor_the_log_says_what_people_said(
        self, failure: str, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", "agentllm")
        await say(store, "a")
        if failure == "table":
            lose_the_table(tmp_path / "data")
        state: JsonObject = {"k": "hunter2", "bad": {1}} if failure == "state" else {"k": "hunter2"}  # type: ignore[dict-item]
        with pytest.raises(StoreUnavailable) as caught, full_disk() if failure == "disk" else contextlib.nullcontext():
            await store.add(
                "c", parent=None, new=[user("hunter2")], output=[assistant("hunter2")], answer="hunter2", state=state
            )
        shown = "".join(traceback.format_exception(caught.value))
        logged = "\n".join(record.getMessage() + str(record.exc_info) for record in caplog.records)
        assert logged
        for text in (caught.value.message, shown, logged):
            assert "hunter2" not in text
            assert "INSERT" not in text
        assert str(tmp_path) not in caught.value.message
