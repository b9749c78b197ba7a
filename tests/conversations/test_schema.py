"""The tables, and databases of other versions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from agentllm.conversations import Conversations, schema
from agentllm.conversations.database import make_engine
from agentllm.conversations.identity import conversation_id
from agentllm.conversations.locks import Locks
from agentllm.conversations.schema import VERSION, metadata, upgrade
from agentllm.conversations.store import Store
from agentllm.core import Caller, Place, Turn
from agentllm.errors import ConfigurationError
from tests.conversations.conftest import SECRET
from tests.conversations.disk import change, rows, sqlite_url
from tests.conversations.speaking import Speaking, work, worked
from tests.conversations.talk import assistant, texts, user

MIGRATIONS = Path(schema.__file__).with_name("migrations")
ADA = Caller("key-of-ada")
OLD = conversation_id(SECRET, ADA, "demo", "old")
"""A conversation of the first form."""


def migrations(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def first_form(url: sa.URL, *, turns: int = 3) -> None:
    """Make a database as the first AgentLLM left it: turns a, b, …, each after the one before, and no version."""
    engine = make_engine(url)
    with engine.begin() as connection:
        command.upgrade(migrations(connection), "0001")
        connection.execute(sa.text("DROP TABLE alembic_version"))
        insert = sa.text(
            "INSERT INTO turns (id, conversation, parent, created_at, input, output, answer, state) "
            "VALUES (:id, :conversation, :parent, '2026-01-02 03:04:05', :input, :output, :answer, :state)"
        )
        for number in range(1, turns + 1):
            text = chr(ord("a") + (number - 1) % 26)
            output = [{"role": m.role, "content": m.content} for m in (assistant(text.upper()),)]
            row = {
                "id": number,
                "conversation": OLD,
                "parent": number - 1 or None,
                "input": json.dumps([{"role": "user", "content": text}]),
                "output": json.dumps(output),
                "answer": text.upper(),
                "state": json.dumps({"count": number}),
            }
            connection.execute(insert, row)
    engine.dispose()


def contents(url: sa.URL) -> list[list[tuple[object, ...]]]:
    """All that a database holds."""
    engine = sa.create_engine(url)
    tables = sa.inspect(engine).get_table_names()
    engine.dispose()
    return [rows(url, f"SELECT '{table}', t.* FROM {table} AS t") for table in sorted(tables)]


async def talk(url: sa.URL, *said: str) -> Speaking:
    """Go on with the old session; returns what the agent was given."""
    store, runtime = Store(url), Speaking(work)
    conversations = Conversations(store, SECRET, Locks(), history_turns=20)
    for text in said:
        async for _ in conversations.run(runtime, Turn("t", "demo", ADA, (user(text),), place=Place("old"))):
            pass
    store.close()
    return runtime


def test_the_tables_are_those_that_the_steps_make(url: sa.URL) -> None:
    Store(url).create()
    engine = make_engine(url)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_version_is_that_of_the_newest_step(url: sa.URL) -> None:
    assert ScriptDirectory.from_config(migrations()).get_current_head() == VERSION
    Store(url).create()
    assert rows(url, "SELECT version_num FROM alembic_version") == [(VERSION,)]


def test_a_database_of_this_version_is_left_as_it_is(url: sa.URL) -> None:
    Store(url).create()
    change(url, "INSERT INTO conversations (id, caller, agent) VALUES ('c', '', '')")
    before = contents(url)
    Store(url).create()
    assert contents(url) == before


class TestFirstForm:
    """Which was kept in SQLite only."""

    @pytest.fixture
    def old(self, tmp_path: Path) -> sa.URL:
        return sqlite_url(tmp_path)

    async def test_its_sessions_go_on(self, old: sa.URL) -> None:
        first_form(old)
        Store(old).create()
        runtime = await talk(old, "next", "more")
        given, later = runtime.turns
        assert texts(given.messages) == ["a", "A", "b", "B", "c", "C", "next"]
        assert given.state == {"count": 3}
        assert later.messages == (*given.messages, *worked("next", "NEXT"), user("more"))
        assert later.state == {"count": 4}

    async def test_all_of_it_is_kept(self, old: sa.URL) -> None:
        first_form(old)
        columns = "SELECT id, conversation, parent, input, output, answer, state, created_at FROM turns ORDER BY id"
        before = rows(old, columns)
        Store(old).create()
        assert rows(old, columns) == before
        assert rows(old, "SELECT DISTINCT status, message_id, digest FROM turns") == [("complete", None, None)]
        assert rows(old, "SELECT id, caller, agent, session FROM conversations") == [(OLD, "", "", None)]

    def test_a_long_conversation_is_no_harder(self, old: sa.URL) -> None:
        """SQLite looks at the parent of each row when the old table goes."""
        first_form(old, turns=3_000)
        Store(old).create()
        assert rows(old, "SELECT count(*), count(parent), max(id) FROM turns") == [(3_000, 2_999, 3_000)]

    def test_an_empty_one_is_upgraded_too(self, old: sa.URL) -> None:
        first_form(old, turns=0)
        Store(old).create()
        assert rows(old, "SELECT version_num FROM alembic_version") == [(VERSION,)]

    def test_an_upgrade_that_fails_leaves_it_as_it_was(self, old: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
        first_form(old)
        before = contents(old)
        monkeypatch.setattr(command, "upgrade", _half_an_upgrade)
        with pytest.raises(ConfigurationError):
            Store(old).create()
        assert contents(old) == before


_COUNT_ON = "SELECT setval(pg_get_serial_sequence('turns', 'id'), 1)"


async def test_turns_of_the_second_form_go_on_without_calls_or_anything_pending(url: sa.URL) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        command.upgrade(migrations(connection), "0002")
    engine.dispose()
    change(
        url,
        f"INSERT INTO conversations (id, caller, agent, session) VALUES ('{OLD}', '', '', 'old')",
        "INSERT INTO turns (id, conversation, status, asked, input, output, answer) VALUES "
        f"""(1, '{OLD}', 'complete', '', '[{{"role": "user", "content": "a"}}]', '[]', 'A')""",
        *([_COUNT_ON] if url.get_backend_name() == "postgresql" else []),
    )
    Store(url).create()
    assert rows(url, "SELECT answer, answer_id, calls, pending FROM turns") == [("A", None, None, None)]
    runtime = await talk(url, "next", "more")
    assert texts(runtime.turns[-1].messages)[:3] == ["a", "A", "next"]
    assert rows(url, "SELECT answer_id FROM turns ORDER BY id") == [(None,), ("t",), ("t",)]


def _half_an_upgrade(config: Config, _revision: str) -> None:
    config.attributes["connection"].execute(sa.text("DROP TABLE turns"))
    config.attributes["connection"].execute(sa.text("no SQL"))


_START = """
import sys
import sqlalchemy as sa
from agentllm.conversations.store import Store

store = Store(sa.make_url(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
store.create()
"""


def test_of_several_processes_that_start_at_once_one_makes_the_tables(url: sa.URL) -> None:
    start_three(url)
    assert rows(url, "SELECT count(*) FROM turns") == [(0,)]
    assert rows(url, "SELECT version_num FROM alembic_version") == [(VERSION,)]


def test_or_upgrades_those_of_the_first_form(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    first_form(url, turns=500)
    start_three(url)
    assert rows(url, "SELECT count(*) FROM turns") == [(500,)]
    assert rows(url, "SELECT version_num FROM alembic_version") == [(VERSION,)]


def start_three(url: sa.URL) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _START, url.render_as_string(hide_password=False)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
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


def test_a_newer_version_is_refused_by_name_and_left_alone(url: sa.URL) -> None:
    Store(url).create()
    change(url, "UPDATE alembic_version SET version_num = '9999'", "ALTER TABLE turns ADD COLUMN mood TEXT")
    before = contents(url)
    with pytest.raises(ConfigurationError) as caught:
        Store(url).create()
    assert "9999" in caught.value.message
    assert VERSION in caught.value.message
    assert "AGENTLLM_DB_URL" in caught.value.message
    assert contents(url) == before


def test_so_is_its_file_byte_for_byte(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    Store(url).create()
    change(url, "UPDATE alembic_version SET version_num = '9999'")
    file = Path(str(url.database))
    before = file.read_bytes()
    engine = make_engine(url)
    with pytest.raises(ConfigurationError):
        upgrade(engine)
    engine.dispose()
    assert file.read_bytes() == before
