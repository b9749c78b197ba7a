"""Turns on disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from agentllm.conversations import database
from agentllm.conversations import store as module
from agentllm.conversations.digest import extended
from agentllm.conversations.position import Asked
from agentllm.conversations.records import Status, StoredTurn
from agentllm.conversations.store import Begun, Place, Store
from agentllm.core import JsonObject, Message, ToolCall
from agentllm.errors import ConfigurationError, StoreUnavailable
from tests.conversations.disk import (
    change,
    find_the_table,
    full_disk,
    locked,
    lose_the_table,
    read_only_folder,
    rows,
    sqlite_url,
)
from tests.conversations.speaking import worked
from tests.conversations.talk import assistant, texts, user


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    """A store in SQLite, for what is SQLite's alone."""
    made = Store(sqlite_url(tmp_path))
    made.create()
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures come at once."""
    for owner, name in ((module, "START_PATIENCE"), (module, "END_PATIENCE"), (database, "BUSY_SECONDS")):
        monkeypatch.setattr(owner, name, 0.05)


async def begin(
    store: Store,
    *said: str | Message,
    conversation: str = "c",
    message: str | None = None,
    after: str | None = None,
    window: int = 100,
) -> Begun:
    """Begin a turn; it follows the newest one, or the answer `after` where it has itself an id."""
    new = tuple(user(text) if isinstance(text, str) else text for text in said)
    asked = Asked(conversation, new, message, after if message is None else after or "", appends=True)
    return await store.begin(Place(conversation, '["key", "k"]', "demo", "s"), asked, window=window)


async def say(
    store: Store,
    text: str,
    *,
    conversation: str = "c",
    message: str | None = None,
    after: str | None = None,
    state: JsonObject | None = None,
) -> Begun:
    """Store a turn that is answered in capitals."""
    begun = await begin(store, text, conversation=conversation, message=message, after=after)
    await store.finish(begun, output=worked(text, text.upper()), answer=text.upper(), state=state)
    return begun


async def path(store: Store, *, conversation: str = "c", window: int = 100) -> list[StoredTurn]:
    """What the next turn of the session would be given."""
    begun = await begin(store, "next", conversation=conversation, window=window)
    await store.give_up(begun, "failed", "")
    return list(begun.position.path)


async def answers(store: Store, *, conversation: str = "c", window: int = 100) -> list[str]:
    return [turn.answer for turn in await path(store, conversation=conversation, window=window)]


def statuses(store: Store) -> list[tuple[object, ...]]:
    return rows(store.url, "SELECT status, answer FROM turns ORDER BY id")


class TestTurns:
    async def test_one_that_was_begun_is_on_disk_before_it_has_an_answer(self, store: Store) -> None:
        begun = await begin(store, "hello", message="A1")
        (row,) = rows(store.url, "SELECT id, conversation, parent, status, message_id, answer, digest FROM turns")
        assert row == (begun.id, "c", None, "running", "A1", "", None)
        assert rows(store.url, "SELECT id, caller, agent, session FROM conversations") == [
            ("c", '["key", "k"]', "demo", "s")
        ]

    async def test_one_that_is_whole_comes_back_as_it_was_stored(self, store: Store) -> None:
        call = ToolCall("1", "add", '{"a": 1}', {"signature": "x"})
        output = (Message("assistant", tool_calls=(call,)), Message("tool", "2", tool_call_id="1"), assistant("Two."))
        state: JsonObject = {"count": 1, "deep": {"list": [1, None, "é"]}}
        begun = await begin(store, "1+1?")
        await store.finish(begun, output=output, answer="Two.", state=state)
        (turn,) = await path(store)
        asked = extended("c", [user("1+1?")])
        assert turn == StoredTurn(
            id=begun.id,
            parent=None,
            status="complete",
            message_id=None,
            asked=asked,
            digest=extended(asked, [assistant("Two.")]),
            input=(user("1+1?"),),
            output=output,
            answer="Two.",
            state=state,
        )

    async def test_so_does_one_that_waits_for_the_client(self, store: Store) -> None:
        calls = (ToolCall("1", "weather", "{}"), ToolCall("2", "weather", "{}"))
        pending: JsonObject = {"paused": ["1", None]}
        begun = await begin(store, "weather?")
        await store.finish(begun, output=[], answer="", state=None, calls=calls, pending=pending)
        given = await begin(store, "never mind")
        turn = given.position.parent
        assert turn is not None
        assert (turn.calls, turn.pending, given.pending) == (("1", "2"), pending, pending)
        assert turn.digest == extended(turn.asked, [Message("assistant", "", calls)])

    async def test_one_that_does_not_has_no_calls_and_nothing_pending(self, store: Store) -> None:
        begun = await say(store, "a")
        assert rows(store.url, f"SELECT calls, pending FROM turns WHERE id = {begun.id}") == [(None, None)]

    async def test_one_is_found_by_the_id_of_its_answer_and_its_owner(self, store: Store) -> None:
        asked = Asked("c", (user("a"),))
        owner = Place("c", '["key", "k"]', "demo", "s")
        begun = await store.begin(owner, asked, window=1, answer_id="one")
        await store.finish(begun, output=[], answer="A", state=None)
        assert await store.conversation_of("one", owner.caller, "demo") == "c"
        for answer_id, caller, agent in (
            ("two", owner.caller, "demo"),
            ("one", "", "demo"),
            ("one", owner.caller, "x"),
        ):
            assert await store.conversation_of(answer_id, caller, agent) is None

    async def test_each_names_the_one_before_it(self, store: Store) -> None:
        begun = [await say(store, text) for text in "abc"]
        turns = await path(store)
        assert [turn.answer for turn in turns] == ["A", "B", "C"]
        assert [turn.parent for turn in turns] == [None, begun[0].id, begun[1].id]

    async def test_branches_are_kept_beside_each_other(self, store: Store) -> None:
        await say(store, "a", message="A")
        await say(store, "b", message="B", after="A")
        await say(store, "edited", message="E", after="A")
        assert await answers(store) == ["A", "EDITED"]
        assert [turn.answer for turn in (await begin(store, "x", message="X", after="B")).position.path] == ["A", "B"]

    async def test_conversations_do_not_mix(self, store: Store) -> None:
        for text in ("ada-1", "bob-1", "ada-2"):
            await say(store, text, conversation=text[:3], message=text, after="")
        assert await answers(store, conversation="ada") == ["ADA-2"]
        stranger = await begin(store, "x", conversation="bob", message="X", after="ada-1")
        assert stranger.position.path == ()
        assert await answers(store, conversation="eve") == []

    @pytest.mark.parametrize("window", [1, 2, 3, 4, 100])
    async def test_no_more_than_a_window_of_them_is_read(self, window: int, store: Store) -> None:
        for text in "abc":
            await say(store, text)
        assert await answers(store, window=window) == ["A", "B", "C"][-window:]

    async def test_what_is_older_is_not_even_looked_at(self, store: Store) -> None:
        ids = [(await say(store, text)).id for text in "abcdefgh"]
        change(store.url, f"""UPDATE turns SET input = '["no message"]' WHERE id <= {ids[4]}""")
        assert await answers(store, window=3) == ["F", "G", "H"]

    @pytest.mark.parametrize("window", [2, 3])
    async def test_the_state_does_not_depend_on_the_window(self, window: int, store: Store) -> None:
        for number, text in enumerate("abc"):
            await say(store, text, state={"count": number})
        assert [turn.state for turn in await path(store, window=window)][-1] == {"count": 2}

    async def test_an_empty_state_is_not_the_same_as_none(self, store: Store) -> None:
        await say(store, "a", state={})
        assert (await path(store))[-1].state == {}
        await say(store, "b", state=None)
        assert (await path(store))[-1].state is None

    async def test_a_turn_without_an_end_has_the_state_that_it_began_with(self, store: Store) -> None:
        await say(store, "a", state={"count": 1})
        await begin(store, "left")
        assert (await path(store))[-1].state == {"count": 1}

    @pytest.mark.parametrize("text", ["", "'; DROP TABLE turns; --", "a\x00b", "\\u0000", "😀", "x" * 1_000_000])
    async def test_any_text_can_be_stored(self, text: str, store: Store) -> None:
        begun = await begin(store, text)
        store.keep(begun, text)
        await store.finish(begun, output=[assistant(text)], answer=text, state={"k": text})
        (turn,) = await path(store)
        assert (turn.input, turn.output, turn.state) == ((user(text),), (assistant(text),), {"k": text})
        assert turn.answer == text.replace("\0", "\N{REPLACEMENT CHARACTER}")

    async def test_half_a_character_is_stored_or_refused_like_a_failed_write(self, store: Store) -> None:
        """Providers cut text between the two halves of a character, and some send the halves."""
        begun = await begin(store, "a")
        with contextlib.suppress(StoreUnavailable):
            await store.finish(begun, output=[assistant("\ud83d")], answer="\ud83d", state=None)
        await say(store, "b")


class TestTurnsWithoutAnEnd:
    async def test_how_far_an_answer_has_come_is_kept(self, store: Store) -> None:
        begun = await begin(store, "a")
        store.keep(begun, "ha")
        store.keep(begun, "half")
        store.close()
        assert statuses(store) == [("running", "half")]

    @pytest.mark.parametrize("status", ["interrupted", "failed"])
    async def test_one_is_given_up_with_what_was_said(self, status: Status, store: Store) -> None:
        begun = await begin(store, "a")
        await store.give_up(begun, status, "half")
        assert statuses(store) == [(status, "half")]

    async def test_the_next_turn_ends_what_a_process_left_running(self, store: Store) -> None:
        begun = await begin(store, "a")
        store.keep(begun, "half")
        await begin(store, "elsewhere", conversation="d")
        (turn,) = await path(store)
        assert (turn.status, turn.answer) == ("interrupted", "half")
        assert turn.digest == extended(turn.asked, [assistant("half")])
        assert statuses(store)[1] == ("running", "")

    async def test_what_is_whole_stays_whole(self, store: Store) -> None:
        begun = await say(store, "a")
        store.keep(begun, "a late piece")
        await store.give_up(begun, "interrupted", "a late end")
        assert statuses(store) == [("complete", "A")]

    async def test_the_end_counts_also_if_another_took_the_turn_for_left(self, store: Store) -> None:
        begun = await begin(store, "a")
        await begin(store, "b")
        await store.finish(begun, output=[assistant("A")], answer="A", state=None)
        assert statuses(store)[0] == ("complete", "A")

    async def test_one_whose_conversation_was_deleted_has_no_end(self, store: Store) -> None:
        begun = await begin(store, "a")
        change(store.url, "DELETE FROM turns", "DELETE FROM conversations")
        with pytest.raises(StoreUnavailable):
            await store.finish(begun, output=[], answer="A", state=None)
        assert statuses(store) == []


class TestTranscripts:
    async def test_the_newest_conversation_with_it_is_found(self, store: Store) -> None:
        """As of clients that name none: their chains have one beginning."""
        asked = Asked("nothing", (user("a"),))
        for conversation in ("c", "d", "e"):
            begun = await store.begin(Place(conversation, "", "", None), asked, window=1)
            await store.finish(begun, output=[], answer="A" if conversation != "e" else "B", state=None)
        shown = Asked("nothing", (user("a"), assistant("A"), user("b")))
        assert await store.conversation_with(list(shown.digests())) == "d"

    async def test_by_the_last_of_its_answers_that_is_known(self, store: Store) -> None:
        said: list[Message] = []
        for number in range(40):
            said += [user(str(number)), assistant(str(number))]
        for conversation, known in (("short", 3), ("long", 30)):
            begun = await store.begin(
                Place(conversation, "", "", None), Asked("nothing", tuple(said[: 2 * known - 1])), window=1
            )
            await store.finish(begun, output=[], answer=said[2 * known - 1].content, state=None)
        digests = list(Asked("nothing", tuple(said)).digests())
        assert await store.conversation_with(digests) == "long"
        assert await store.conversation_with(digests[:29]) == "short"
        assert await store.conversation_with(digests[:2]) is None
        assert await store.conversation_with([]) is None

    async def test_within_a_conversation_too(self, store: Store) -> None:
        for text in "abcdefgh":
            await say(store, text)
        shown = [message for text in "abcdefgh" for message in (user(text), assistant(text.upper()))]
        changed = [*shown[:5], assistant("changed"), *shown[6:], user("x")]
        assert texts((await begin(store, *changed)).position.new) == texts(changed[4:])


class TestOnDisk:
    async def test_another_start_finds_what_was_stored(self, store: Store) -> None:
        for text in "ab":
            await say(store, text)
        again = Store(store.url)
        again.create()
        assert await answers(again) == ["A", "B"]
        again.close()

    async def test_it_can_be_used_again_after_it_was_closed(self, store: Store) -> None:
        await say(store, "a")
        store.close()
        store.close()
        assert await answers(store) == ["A"]

    async def test_writing_waits_for_one_who_writes(self, sqlite: Store) -> None:
        await say(sqlite, "a")
        with locked(sqlite.url) as other:
            adding = asyncio.create_task(say(sqlite, "b"))
            await asyncio.wait([adding], timeout=0.1)
            assert not adding.done()
            other.execute("COMMIT")
            await adding
        assert await answers(sqlite) == ["A", "B"]

    async def test_many_at_once_lose_nothing(self, store: Store) -> None:
        await asyncio.gather(*(say(store, str(number), conversation=f"c{number}") for number in range(150)))
        stored = rows(store.url, "SELECT conversation, answer, status FROM turns")
        assert sorted(stored) == sorted((f"c{number}", str(number), "complete") for number in range(150))


_WRITE = """
import asyncio, sys
import sqlalchemy as sa
from agentllm.conversations.position import Asked
from agentllm.conversations.store import Place, Store
from agentllm.core import Message

url, label, count = sys.argv[1:]
store = Store(sa.make_url(url))

async def main():
    for number in range(int(count)):
        answer = f"{label}{number}"
        asked = Asked(label, (Message("user", answer),), appends=True)
        begun = await store.begin(Place(label, "", "", "s"), asked, window=2)
        await store.finish(begun, output=[], answer=answer, state=None)
    store.close()

store.create()
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
"""


def test_processes_that_write_at_once_lose_nothing(url: sa.URL) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _WRITE, url.render_as_string(hide_password=False), label, "50"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for label in "ab"
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    for label in "ab":
        stored = rows(url, f"SELECT answer, parent, id FROM turns WHERE conversation = '{label}' ORDER BY id")
        assert [answer for answer, _, _ in stored] == [f"{label}{number}" for number in range(50)]
        assert [parent for _, parent, _ in stored] == [None, *(turn for _, _, turn in stored[:-1])]


class TestCreate:
    def test_it_makes_the_folder_and_the_file(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path / "deep" / "data")
        Store(url).create()
        assert rows(url, "SELECT * FROM turns") == []

    async def test_it_may_be_called_again(self, store: Store) -> None:
        await say(store, "a")
        store.create()
        assert await answers(store) == ["A"]

    def test_it_waits_for_another_process_that_is_making_it(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path)
        with locked(url) as other:
            finishing = threading.Timer(0.2, other.execute, ["COMMIT"])
            finishing.start()
            try:
                Store(url).create()
            finally:
                finishing.join()
        assert rows(url, "SELECT * FROM turns") == []

    def test_a_folder_that_cannot_be_made_is_reported_with_the_way_out(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        url = sqlite_url(tmp_path / "file" / "data")
        with pytest.raises(ConfigurationError) as caught:
            Store(url).create()
        assert "AGENTLLM_DATA_DIR" in caught.value.message
        assert str(url.database) in caught.value.message

    def test_a_folder_that_cannot_be_written_is_reported_with_the_way_out(self, tmp_path: Path) -> None:
        Store(sqlite_url(tmp_path)).create()  # loads what it needs, which may lie where only the tests' own user reads
        with read_only_folder() as folder, pytest.raises(ConfigurationError) as caught:
            Store(sqlite_url(folder)).create()
        assert "AGENTLLM_DATA_DIR" in caught.value.message
        assert str(folder) in caught.value.message

    def test_a_file_that_is_no_database_is_reported_and_left_as_it_is(self, tmp_path: Path) -> None:
        url = sqlite_url(tmp_path)
        file = Path(str(url.database))
        file.write_text("somebody's notes, " * 100)
        with pytest.raises(ConfigurationError) as caught:
            Store(url).create()
        assert str(file) in caught.value.message
        assert file.read_text() == "somebody's notes, " * 100

    def test_a_server_that_cannot_be_reached_is_reported_without_its_password(self) -> None:
        pytest.importorskip("psycopg")
        url = sa.make_url("postgresql+psycopg://ada:hunter2@127.0.0.1:9/agentllm")
        with pytest.raises(ConfigurationError) as caught:
            Store(url).create()
        assert "AGENTLLM_DB_URL" in caught.value.message
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("impatient")
class TestFailure:
    async def test_what_cannot_be_read_is_an_error_and_never_an_empty_conversation(self, store: Store) -> None:
        await say(store, "a")
        lose_the_table(store.url)
        with pytest.raises(StoreUnavailable):
            await begin(store, "b")
        with pytest.raises(StoreUnavailable):
            await store.warm_up()
        find_the_table(store.url)
        assert await answers(store) == ["A"]

    async def test_a_store_that_was_never_made_is_an_error(self, tmp_path: Path) -> None:
        store = Store(sqlite_url(tmp_path / "nowhere"))
        with pytest.raises(StoreUnavailable):
            await begin(store, "a")
        store.close()

    @pytest.mark.parametrize("connected", [True, False])
    async def test_of_a_turn_for_which_the_disk_has_no_room_nothing_is_stored(
        self, connected: bool, sqlite: Store
    ) -> None:
        await say(sqlite, "a")
        if not connected:
            sqlite.close()
        with full_disk(), pytest.raises(StoreUnavailable):
            await begin(sqlite, "b" * 100_000)
        assert statuses(sqlite) == [("complete", "A")]
        assert await answers(sqlite) == ["A"]

    async def test_an_end_for_which_the_disk_has_no_room_is_none(self, sqlite: Store) -> None:
        begun = await begin(sqlite, "a")
        with full_disk(), pytest.raises(StoreUnavailable):
            await sqlite.finish(begun, output=[], answer="A" * 100_000, state=None)
        assert statuses(sqlite) == [("running", "")]
        await say(sqlite, "b")
        assert statuses(sqlite) == [("interrupted", ""), ("complete", "B")]

    async def test_a_state_that_is_no_json_is_an_error_and_nothing_is_stored(self, store: Store) -> None:
        with pytest.raises(StoreUnavailable):
            await say(store, "a", state={"when": {1, 2}})  # type: ignore[dict-item]
        assert statuses(store) == [("running", "")]

    @pytest.mark.parametrize("failure", ["table", "state", "lock"])
    async def test_neither_the_error_nor_the_log_says_what_people_said(
        self, failure: str, sqlite: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", "agentllm")
        secret = "hunter2"
        begun = await begin(sqlite, secret)
        state: JsonObject = {"k": secret, "bad": {1}} if failure == "state" else {"k": secret}  # type: ignore[dict-item]
        if failure == "table":
            lose_the_table(sqlite.url)
        with (
            pytest.raises(StoreUnavailable) as caught,
            locked(sqlite.url) if failure == "lock" else contextlib.nullcontext(),
        ):
            await sqlite.finish(begun, output=[assistant(secret)], answer=secret, state=state)
        shown = "".join(traceback.format_exception(caught.value))
        logged = "\n".join(record.getMessage() + str(record.exc_info) for record in caplog.records)
        assert logged
        for text in (caught.value.message, shown, logged):
            assert secret not in text
            assert "UPDATE" not in text
        assert str(sqlite.url.database) not in caught.value.message


async def test_messages_are_kept_as_plain_json(store: Store) -> None:
    await say(store, "a")
    ((stored,),) = rows(store.url, "SELECT input FROM turns")
    assert (json.loads(stored) if isinstance(stored, str) else stored) == [{"role": "user", "content": "a"}]
