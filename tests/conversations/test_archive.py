"""What is stored can be found, read and deleted, while a proxy works with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from agentllm.conversations import Conversations, archive
from agentllm.conversations.archive import Archive, Deleted, Filter
from agentllm.conversations.export import branch, branch_ends, newest_branch, openai_messages
from agentllm.conversations.store import Store
from agentllm.core import Caller, Finished, Place, Turn
from agentllm.errors import ConfigurationError, StoreUnavailable
from tests.conversations.disk import change, find_the_table, locked, lose_the_table, rows, sqlite_url
from tests.conversations.speaking import Speaking, worked
from tests.conversations.talk import user
from tests.conversations.telling import ADA, age, begin, left, tell

T = TypeVar("T")

BOB = ("key", "1234")
EVE = ("front-end", "webui", "end-user", "eve")


@pytest.fixture
def stored(url: sa.URL, store: Store) -> Iterator[Archive]:
    """The archive of `store`, which stays open as in a proxy."""
    with Archive(url) as made:
        yield made


def ids(found: list[archive.Conversation]) -> list[str]:
    return [conversation.id for conversation in found]


def files_of(url: sa.URL) -> bytes:
    """All that SQLite's files hold."""
    return b"".join(Path(f"{url.database}{suffix}").read_bytes() for suffix in ("", "-wal", "-shm"))


class TestFinding:
    async def test_a_conversation_is_listed_with_its_owner_its_place_and_its_turns(
        self, store: Store, stored: Archive, url: sa.URL
    ) -> None:
        await tell(store, "c", "a", "b", caller=EVE)
        began = age(url, "c", days=2)
        running = await begin(store, "c", "c", caller=EVE)
        (found,) = stored.conversations()
        assert (found.id, found.caller, found.owner) == ("c", EVE, "front-end:webui end-user:eve")
        assert (found.agent, found.session, found.turns) == ("demo", "of c", 3)
        assert found.statuses == {"running": 1, "complete": 2}
        assert found.created_at == began
        assert timedelta(0) <= datetime.now(UTC) - found.last_turn_at < timedelta(minutes=1)
        await store.give_up(running, "failed", "")
        assert stored.conversations()[0].statuses == {"complete": 2, "failed": 1}

    async def test_the_newest_comes_first_and_no_more_than_are_wanted(
        self, store: Store, stored: Archive, url: sa.URL
    ) -> None:
        for days, conversation in enumerate("dcab"):
            await tell(store, conversation, "hi")
            age(url, conversation, days=days)
        assert ids(stored.conversations()) == ["d", "c", "a", "b"]
        assert ids(stored.conversations(most=2)) == ["d", "c"]
        assert stored.conversations(most=0) == []

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            (Filter(), "abe"),
            (Filter(caller="user"), "ae"),
            (Filter(caller="ada"), "a"),
            (Filter(caller="Ada"), ""),
            (Filter(caller="%"), ""),
            (Filter(owner="user:ada"), "a"),
            (Filter(owner="ada"), ""),
            (Filter(agent="other"), "b"),
            (Filter(agent="oth"), ""),
            (Filter(session="of e"), "e"),
            (Filter(session="e"), ""),
            (Filter(agent="demo", caller="end-user"), "e"),
        ],
    )
    async def test_filters_must_all_hold(self, wanted: Filter, found: str, store: Store, stored: Archive) -> None:
        await tell(store, "a", "hi")
        await tell(store, "b", "hi", caller=BOB, agent="other")
        await tell(store, "e", "hi", caller=EVE)
        assert sorted(ids(stored.conversations(wanted))) == [*found]

    async def test_age_is_that_of_the_last_turn(self, store: Store, stored: Archive, url: sa.URL) -> None:
        await tell(store, "old", "hi")
        await tell(store, "revived", "hi")
        began = age(url, "old", days=10)
        age(url, "revived", days=10)
        await tell(store, "revived", "again")
        limit = datetime.now(UTC) - timedelta(days=5)
        assert ids(stored.conversations(Filter(older_than=limit))) == ["old"]
        assert ids(stored.conversations(Filter(newer_than=limit))) == ["revived"]
        assert ids(stored.conversations(Filter(older_than=began))) == []
        assert "old" in ids(stored.conversations(Filter(newer_than=began)))

    async def test_the_beginning_of_an_id_is_enough(self, store: Store, stored: Archive) -> None:
        for conversation in ("abc", "abd", "ab", "x%"):
            await tell(store, conversation, "hi")
        assert ids(stored.with_prefix("abc", most=5)) == ["abc"]
        assert ids(stored.with_prefix("a", most=5)) == ["ab", "abc", "abd"]
        assert ids(stored.with_prefix("a", most=2)) == ["ab", "abc"]
        assert ids(stored.with_prefix("ab", most=5)) == ["ab"]
        assert ids(stored.with_prefix("%", most=5)) == []

    async def test_a_conversation_of_the_first_form_has_no_owner(
        self, store: Store, stored: Archive, url: sa.URL
    ) -> None:
        change(url, "INSERT INTO conversations (id, caller, agent) VALUES ('old', '', '')")
        (found,) = stored.conversations()
        assert (found.caller, found.owner, found.agent, found.session, found.turns) == ((), "", "", None, 0)


class TestReading:
    async def test_turns_come_oldest_first_each_with_its_parent(self, store: Store, stored: Archive) -> None:
        first, second = await tell(store, "c", "a", "b")
        (other,) = await tell(store, "c", "edited", after="", message_id="m")
        turns = [dated.turn for dated in stored.turns("c")]
        assert [(turn.id, turn.parent, turn.answer) for turn in turns] == [
            (first, None, "A"),
            (second, first, "B"),
            (other, None, "EDITED"),
        ]
        assert branch_ends(turns) == [second, other]
        assert newest_branch(turns) == other
        assert [turn.id for turn in branch(turns, second)] == [first, second]
        assert stored.turns("d") == []

    async def test_a_turn_that_failed_is_not_the_end_of_the_newest_branch(self, store: Store, stored: Archive) -> None:
        (first,) = await tell(store, "c", "a")
        await store.give_up(await begin(store, "c", "b"), "failed", "")
        assert newest_branch([dated.turn for dated in stored.turns("c")]) == first

    async def test_messages_have_the_form_of_openai_s_api(self, store: Store, stored: Archive) -> None:
        (turn,) = await tell(store, "c", "a", output=worked("a", "A"))
        turns = [dated.turn for dated in stored.turns("c")]
        assert openai_messages(branch(turns, turn)) == [
            {"role": "user", "content": "a"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call for a", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "content": "found for a", "tool_call_id": "call for a"},
            {"role": "assistant", "content": "A"},
        ]

    async def test_of_an_interrupted_turn_there_is_what_was_sent(self, store: Store, stored: Archive) -> None:
        await store.give_up(await begin(store, "c", "a"), "interrupted", "half")
        turns = [dated.turn for dated in stored.turns("c")]
        assert openai_messages(turns) == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "half"}]


class TestDeleting:
    async def test_every_row_goes_and_those_of_others_stay(self, store: Store, stored: Archive, url: sa.URL) -> None:
        await tell(store, "c", "a", "b")
        await tell(store, "c", "edited", after="", message_id="m")
        await tell(store, "d", "a")
        assert stored.delete("c") == Deleted(1, 3)
        assert left(url) == ["d"]
        assert rows(url, "SELECT DISTINCT conversation FROM turns") == [("d",)]
        assert ids(stored.conversations()) == ["d"]

    async def test_what_is_not_there_is_deleted_as_well(self, store: Store, stored: Archive) -> None:
        assert stored.delete("c") == Deleted()
        await tell(store, "c", "a")
        assert stored.delete("c") == Deleted(1, 1)
        assert stored.delete("c") == Deleted()

    async def test_a_long_conversation_can_be_deleted(self, store: Store, stored: Archive, url: sa.URL) -> None:
        """SQLite nests what deletes a row's children, to a depth of 1,000."""
        change(
            url,
            "INSERT INTO conversations (id, caller, agent) VALUES ('c', '', '')",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
            "INSERT INTO turns (id, conversation, parent, status, asked, input, output, answer) "
            "SELECT i, 'c', NULLIF(i - 1, 0), 'complete', '', '[]', '[]', '' FROM n",
        )
        assert stored.delete("c") == Deleted(1, 3_000)

    async def test_a_deleted_conversation_begins_anew(self, store: Store, stored: Archive) -> None:
        await tell(store, "c", "a", "b")
        stored.delete("c")
        begun = await begin(store, "c", "c")
        assert begun.position.path == ()
        assert [dated.turn.parent for dated in stored.turns("c")] == [None]

    async def test_a_turn_that_ran_meanwhile_fails_and_changes_no_other(self, store: Store, stored: Archive) -> None:
        """The id of a deleted row must not become that of another one."""
        running = await begin(store, "c", "a")
        stored.delete("c")
        (other,) = await tell(store, "d", "mine")
        assert other > running.id
        store.keep(running, "half")
        with pytest.raises(StoreUnavailable):
            await store.finish(running, output=(), answer="of c", state=None)
        await store.give_up(running, "interrupted", "of c")
        assert [(dated.turn.status, dated.turn.answer) for dated in stored.turns("d")] == [("complete", "MINE")]
        assert stored.turns("c") == []

    async def test_its_client_is_told_so_instead_of_the_end(
        self, conversations: Conversations, stored: Archive
    ) -> None:
        turn = Turn("t", "demo", Caller("key", user="ada"), (user("hi"),), place=Place(session="s"))
        events: list[object] = []

        async def ask_and_delete() -> None:
            async for event in conversations.run(Speaking(), turn):
                events.append(event)
                for found in stored.conversations():
                    stored.delete(found.id)

        with pytest.raises(StoreUnavailable):
            await ask_and_delete()
        assert events
        assert not any(isinstance(event, Finished) for event in events)
        assert [event async for event in conversations.run(Speaking(), turn)]
        assert [found.turns for found in stored.conversations()] == [1]

    async def test_it_waits_for_one_who_writes(self, tmp_path: Path) -> None:
        store = Store(url := sqlite_url(tmp_path))
        store.create()
        await tell(store, "c", "a")
        with Archive(url) as stored, locked(url) as other:
            reading = stored.conversations()
            other.execute("COMMIT")
            assert ids(reading) == ["c"]
            assert stored.delete("c") == Deleted(1, 1)
        store.close()


class TestFiles:
    """Of SQLite: the database, its log of writes and the index of that."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> sa.URL:
        return sqlite_url(tmp_path)

    async def test_nothing_of_a_deleted_conversation_is_left_in_them(
        self, store: Store, stored: Archive, url: sa.URL
    ) -> None:
        sizes = (1, 20, 300, 4_000)
        for number in range(60):
            for conversation in "ab":
                said = f"canary-{conversation} " * sizes[number % len(sizes)]
                begun = await begin(store, conversation, said, after="", message_id=f"canary-{conversation} {number}")
                store.keep(begun, said[: len(said) // 2])
                await store.finish(begun, output=worked(said, said), answer=said, state={said: said})
        assert stored.delete("a").turns == 60
        assert stored.scrub()
        content = files_of(url)
        assert b"anary-a" not in content
        assert b"canary-b" in content
        await tell(store, "a", "again")

    async def test_one_who_reads_keeps_their_log_and_that_is_told(
        self, store: Store, stored: Archive, url: sa.URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive, "PATIENCE", 0.0)
        await tell(store, "c", "a")
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM turns").fetchall()
            stored.delete("c")
            assert not stored.scrub()
            await tell(store, "d", "turns go on")
        assert stored.scrub()


class Overtaken(Archive):
    """Something happens each time after it has read and before it writes."""

    happens: Callable[[], None]

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        self.happens()
        return super()._write(work)


class TestPruning:
    async def test_what_is_older_goes_and_what_runs_or_was_continued_stays(
        self, store: Store, stored: Archive, url: sa.URL
    ) -> None:
        for conversation in ("old", "new", "running", "continued"):
            await tell(store, conversation, "hi")
        await begin(store, "running", "still")
        for conversation in ("old", "running", "continued"):
            age(url, conversation, days=10)
        await tell(store, "continued", "again")
        assert stored.prune(datetime.now(UTC) - timedelta(days=9), most=10) == Deleted(1, 1)
        assert left(url) == ["continued", "new", "running"]

    async def test_no_more_at_once_than_are_wanted(self, store: Store, stored: Archive, url: sa.URL) -> None:
        for conversation in "abc":
            await tell(store, conversation, "hi")
            age(url, conversation, days=10)
        before = datetime.now(UTC) - timedelta(days=9)
        assert [stored.prune(before, most=2).conversations for _ in range(3)] == [2, 1, 0]

    async def test_what_is_continued_at_the_last_moment_stays(self, store: Store, url: sa.URL) -> None:
        await tell(store, "c", "hi")
        age(url, "c", days=10)
        copied = "conversation, parent, message_id, asked, digest, input, output, answer, state"
        with Overtaken(url) as overtaken:
            overtaken.happens = lambda: change(
                url, f"INSERT INTO turns (status, {copied}) SELECT 'running', {copied} FROM turns"
            )
            assert overtaken.prune(datetime.now(UTC) - timedelta(days=9), most=10) == Deleted()
        assert left(url) == ["c"]


class TestOpening:
    def test_a_store_that_is_not_there_is_named_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Archive(sqlite_url(tmp_path))
        assert str(tmp_path) in caught.value.message
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_database_is_left_as_it_is(self, url: sa.URL) -> None:
        if url.get_backend_name() == "sqlite":
            assert url.database is not None
            Path(url.database).touch()
        with pytest.raises(ConfigurationError):
            Archive(url)

    @pytest.mark.parametrize("version", ["0001", "9999"])
    def test_that_of_another_version_is_left_as_it_is(self, version: str, store: Store, url: sa.URL) -> None:
        change(url, f"UPDATE alembic_version SET version_num = '{version}'")
        with pytest.raises(ConfigurationError) as caught:
            Archive(url)
        assert version in caught.value.message

    def test_no_database_at_all_is_told(self, tmp_path: Path) -> None:
        Path(str(sqlite_url(tmp_path).database)).write_bytes(b"something else" * 1_000)
        with pytest.raises(ConfigurationError):
            Archive(sqlite_url(tmp_path))

    def test_a_server_that_cannot_be_reached_is_told_without_its_password(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Archive(sa.make_url("postgresql+psycopg://ada:hidden@127.0.0.1:1/db"))
        assert "127.0.0.1" in caught.value.message
        assert "hidden" not in caught.value.message

    async def test_one_that_is_lost_later_is_told(
        self, store: Store, stored: Archive, url: sa.URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive, "PATIENCE", 0.0)
        await tell(store, "c", "hi", caller=ADA)
        lose_the_table(url)
        for use in (stored.conversations, lambda: stored.turns("c"), lambda: stored.delete("c")):
            with pytest.raises(StoreUnavailable):
                use()
        find_the_table(url)
        assert stored.delete("c") == Deleted(1, 1)
