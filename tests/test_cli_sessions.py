"""`agentllm sessions`: people see, get and delete what is stored of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from agentllm import cli_sessions
from agentllm.cli import app
from agentllm.conversations.store import FILE, Store
from agentllm.errors import ConfigurationError
from tests.conversations.disk import change, lose_the_table, rows
from tests.conversations.speaking import worked
from tests.conversations.telling import ADA, age, begin, left, tell
from tests.proxy import clean_environment

BOB = ("key", "1234")
WEB_ADA = ("front-end", "webui", "end-user", "ada")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.URL:
    """The store that the commands use."""
    monkeypatch.chdir(tmp_path)
    return sa.URL.create("sqlite", database=str(tmp_path / "data" / FILE))


@pytest.fixture
def store(url: sa.URL) -> Iterator[Store]:
    made = Store(url)
    made.create()
    yield made
    made.close()


def told(store: Store, conversation: str, *said: str, caller: Sequence[str] = ADA, **more: Any) -> list[int]:
    return asyncio.run(tell(store, conversation, *said, caller=caller, **more))


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["sessions", *arguments], input=answer)


def output_of(*arguments: str) -> str:
    """What a command that goes well prints."""
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def json_of(*arguments: str) -> Any:
    return json.loads(output_of(*arguments))


def refusal(*arguments: str) -> str:
    """The message of a command that is refused."""
    result = run(*arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert result.stdout == ""
    return result.exception.message


class TestList:
    def test_a_row_says_whose_it_is_and_how_much(self, store: Store, url: sa.URL) -> None:
        told(store, "a" * 64, "one", "two")
        began = age(url, "a" * 64, days=3)
        head, row = output_of("list").splitlines()
        assert head.split()[:2] == ["ID", "CALLER"]
        assert row.startswith("a" * 12 + "  ")
        for cell in ("user:ada", "demo", f"of {'a' * 64}"[:37], f"{began:%Y-%m-%d %H:%M:%SZ}", "2 complete"):
            assert cell in row

    def test_as_json(self, store: Store, url: sa.URL) -> None:
        told(store, "c", "one")
        began = age(url, "c", days=3).isoformat()
        assert json_of("list", "--json") == [
            {
                "id": "c",
                "owner": "user:ada",
                "caller": ["user", "ada"],
                "agent": "demo",
                "session": "of c",
                "created_at": began,
                "last_turn_at": began,
                "turns": 1,
                "statuses": {"complete": 1},
            }
        ]

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            (["--caller", "ada"], "aw"),
            (["--caller", "1234"], "b"),
            (["--agent", "other"], "b"),
            (["--session", "of a"], "a"),
            (["--older-than", "30d"], "b"),
            (["--newer-than", "4w"], "aw"),
            (["--newer-than", "1000h", "--older-than", "24h"], "b"),
            (["--older-than", "2020-01-01"], ""),
            (["--newer-than", "2020-01-01T12:00+01:00", "--caller", "user:ada"], "aw"),
        ],
    )
    def test_filters(self, filters: list[str], found: str, store: Store, url: sa.URL) -> None:
        told(store, "a", "hi")
        told(store, "b", "hi", caller=BOB, agent="other")
        told(store, "w", "hi", caller=WEB_ADA)
        age(url, "b", days=40)
        result = run("list", "--json", *filters)
        assert sorted(row["id"] for row in json.loads(result.stdout)) == [*found]

    def test_no_match_is_told_beside_the_output(self, store: Store) -> None:
        result = run("list")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr
        assert json_of("list", "--json") == []

    def test_more_than_the_limit_are_told_of(self, store: Store) -> None:
        for conversation in "abc":
            told(store, conversation, "hi")
        result = run("list", "--limit", "2")
        assert len(result.stdout.splitlines()) == 3
        assert "--limit" in result.stderr
        assert run("list", "--limit", "3").stderr == ""

    @pytest.mark.parametrize("moment", ["yesterday", "", "30", "-3d", "3m", "2020-13-01", "999999w", "0001-01-01"])
    def test_what_is_no_time_is_refused(self, moment: str, store: Store) -> None:
        message = refusal("list", "--older-than", moment)
        assert repr(moment) in message
        assert "30d" in message

    def test_what_steers_a_terminal_does_not_reach_it(self, store: Store) -> None:
        told(store, "c", "hi\x1b[2J\x9b2J", agent="\x1b]0;owned\x07")
        assert "\x1b" not in output_of("list") + output_of("show", "c") + output_of("show", "c", "--full")
        assert "\x9b" not in output_of("show", "c", "--full") + output_of("export", "c")


class TestShow:
    def test_branches_are_under_the_turn_where_they_part(self, store: Store) -> None:
        (first,) = told(store, "c", "root", after="", message_id="m1")
        (second,) = told(store, "c", "left", after="m1", message_id="m2")
        (third,) = told(store, "c", "right", after="m1", message_id="m3")
        (fourth,) = told(store, "c", "more", after="m2", message_id="m4")
        lines = output_of("show", "c").splitlines()
        turns = [line.split("  20")[0] for line in lines if line.lstrip().startswith("#")]
        assert turns == [f"#{first}", f"  #{second}", f"  #{fourth}", f"  #{third}"]
        assert any(line.endswith(f"after #{second}") for line in lines)
        assert "    assistant: ROOT" in lines
        assert lines[0] == "conversation c"

    def test_calls_of_tools_and_their_results_are_shown(self, store: Store) -> None:
        told(store, "c", "hi", output=worked("hi", "HI"))
        shown = output_of("show", "c")
        for said in ("user: hi", "assistant calls look_up({})", "tool: found for hi", "assistant: HI"):
            assert said in shown

    def test_texts_are_shortened_unless_all_is_wanted(self, store: Store) -> None:
        long = "word " * 1_000 + "end"
        told(store, "c", f"{long}\n\tand\nmore", "abc" * 100)
        assert max(map(len, output_of("show", "c").splitlines())) < 120
        full = output_of("show", "c", "--full")
        assert long in full
        assert "more" in full
        assert "abc" * 100 in full

    def test_a_turn_without_an_end_shows_what_was_said(self, store: Store) -> None:
        begun = asyncio.run(begin(store, "c", "hi"))
        asyncio.run(store.give_up(begun, "interrupted", "half"))
        shown = output_of("show", "c")
        assert "interrupted" in shown
        assert "assistant: half" in shown

    def test_as_json(self, store: Store) -> None:
        (first, second) = told(store, "c", "a", "b")
        shown = json_of("show", "c", "--json")
        assert [(turn["id"], turn["parent"], turn["answer"]) for turn in shown["turns"]] == [
            (first, None, "A"),
            (second, first, "B"),
        ]
        assert shown["turns"][0]["input"] == [{"role": "user", "content": "a"}]
        assert shown["turns"][0]["state"] == {"said": "a"}
        assert shown["owner"] == "user:ada"

    def test_an_encoding_that_lacks_a_character_does_not_break_it(self, store: Store, tmp_path: Path) -> None:
        told(store, "c", "こんにちは 😀")
        done = process("show", "c", folder=tmp_path, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert "user: ?" in done.stdout

    def test_the_beginning_of_the_id_is_enough_where_it_is_unique(self, store: Store) -> None:
        told(store, "abcd", "hi")
        told(store, "abxx", "hi")
        assert output_of("show", "abc").startswith("conversation abcd")
        message = refusal("show", "ab")
        assert "abcd" in message
        assert "abxx" in message

    @pytest.mark.parametrize("wrong", ["nothing", "", "%", "' OR 1=1 --"])
    def test_an_id_that_is_not_there_is_named(self, wrong: str, store: Store) -> None:
        told(store, "c", "hi")
        assert repr(wrong) in refusal("show", wrong)


class TestExport:
    def test_the_branch_that_was_continued_last_is_printed(self, store: Store) -> None:
        told(store, "c", "old")
        told(store, "c", "new", after="", message_id="m")
        assert json_of("export", "c") == {
            "messages": [{"role": "user", "content": "new"}, {"role": "assistant", "content": "NEW"}]
        }

    def test_any_branch_can_be_named_by_a_turn_of_it(self, store: Store) -> None:
        first, _ = told(store, "c", "a", "b")
        exported = json_of("export", "c", "--branch", str(first))
        assert [message["content"] for message in exported["messages"]] == ["a", "A"]

    def test_all_of_them_can_be_had(self, store: Store) -> None:
        _, second = told(store, "c", "a", "b")
        (third,) = told(store, "c", "new", after="", message_id="m")
        exported = json_of("export", "c", "--all-branches")
        assert [branch["turn"] for branch in exported["branches"]] == [second, third]
        assert [len(branch["messages"]) for branch in exported["branches"]] == [4, 2]

    def test_what_an_sdk_wants_of_a_tool_call_is_there(self, store: Store) -> None:
        told(store, "c", "hi", output=worked("hi", "HI"))
        messages = json_of("export", "c")["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
        assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]

    def test_a_file_is_written_for_its_owner_only(self, store: Store, tmp_path: Path) -> None:
        told(store, "c", "é")
        assert output_of("export", "c", "--output", "c.json") == ""
        assert json.loads((tmp_path / "c.json").read_text())["messages"][0]["content"] == "é"
        assert (tmp_path / "c.json").stat().st_mode & 0o777 == 0o600

    def test_a_file_that_cannot_be_written_is_named(self, store: Store) -> None:
        told(store, "c", "hi")
        assert "nowhere" in refusal("export", "c", "--output", "nowhere/c.json")

    def test_a_turn_of_another_conversation_is_refused(self, store: Store) -> None:
        told(store, "c", "hi")
        (other,) = told(store, "d", "secret")
        assert str(other) in refusal("export", "c", "--branch", str(other))

    def test_a_branch_and_all_of_them_exclude_each_other(self, store: Store) -> None:
        told(store, "c", "hi")
        assert "--all-branches" in refusal("export", "c", "--branch", "1", "--all-branches")


class TestDelete:
    def test_it_asks_and_does_nothing_unless_told_to(self, store: Store, url: sa.URL) -> None:
        told(store, "c", "hi")
        for answer in ("n\n", "\n", ""):
            result = run("delete", "c", answer=answer)
            assert result.exit_code == 1
            assert "user:ada" in result.stderr
            assert left(url) == ["c"]
        assert run("delete", "c", answer="y\n").exit_code == 0
        assert left(url) == []

    def test_each_id_that_is_named_is_deleted(self, store: Store, url: sa.URL) -> None:
        for conversation in ("aa", "bb", "cc"):
            told(store, conversation, "hi")
        result = run("delete", "a", "aa", "b", "--yes")
        assert result.exit_code == 0
        assert "2 conversations" in result.stderr
        assert left(url) == ["cc"]

    def test_if_one_id_is_wrong_nothing_is_deleted(self, store: Store, url: sa.URL) -> None:
        told(store, "aa", "hi")
        assert "'x'" in refusal("delete", "a", "x", "--yes")
        assert left(url) == ["aa"]

    @pytest.mark.parametrize("caller", ["user:ada", "key:1234", "1234"])
    def test_all_of_a_caller_are_deleted(self, caller: str, store: Store, url: sa.URL) -> None:
        told(store, "a", "hi")
        told(store, "a2", "hi", agent="other")
        told(store, "b", "hi", caller=BOB)
        told(store, "w", "hi", caller=WEB_ADA)
        told(store, "z", "hi", caller=("user", "ada2"))
        assert run("delete", "--caller", caller, "--yes").exit_code == 0
        assert left(url) == (["b", "w", "z"] if "ada" in caller else ["a", "a2", "w", "z"])

    def test_a_name_that_several_callers_have_is_refused(self, store: Store, url: sa.URL) -> None:
        told(store, "a", "hi")
        told(store, "w", "hi", caller=WEB_ADA)
        message = refusal("delete", "--caller", "ada", "--yes")
        assert "'user:ada'" in message
        assert "'front-end:webui end-user:ada'" in message
        assert left(url) == ["a", "w"]

    @pytest.mark.parametrize("caller", ["ad", "user", "%", ""])
    def test_a_part_of_a_name_is_nobody(self, caller: str, store: Store, url: sa.URL) -> None:
        told(store, "a", "hi")
        assert repr(caller) in refusal("delete", "--caller", caller, "--yes")
        assert left(url) == ["a"]

    def test_filters_narrow_it(self, store: Store, url: sa.URL) -> None:
        for conversation in "ab":
            told(store, conversation, "hi")
        told(store, "c", "hi", caller=BOB)
        age(url, "a", days=40)
        age(url, "c", days=40)
        run("delete", "--caller", "ada", "--older-than", "30d", "--yes")
        assert left(url) == ["b", "c"]
        assert "none" in refusal("delete", "--agent", "nobody", "--yes")

    @pytest.mark.parametrize("arguments", [[], ["--yes"], ["c", "--caller", "ada", "--yes"]])
    def test_what_to_delete_must_be_said_in_one_way(self, arguments: list[str], store: Store, url: sa.URL) -> None:
        told(store, "c", "hi")
        assert "--caller" in refusal("delete", *arguments)
        assert left(url) == ["c"]

    def test_nothing_of_it_is_left_in_the_files(self, store: Store, url: sa.URL, tmp_path: Path) -> None:
        told(store, "c", "canary" * 500)
        told(store, "d", "other")
        assert run("delete", "c", "--yes").exit_code == 0
        content = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())
        assert b"canary" not in content.lower()
        assert b"other" in content

    def test_a_log_that_cannot_be_emptied_ends_it_with_an_error(
        self, store: Store, url: sa.URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told(store, "c", "hi")
        monkeypatch.setattr("agentllm.conversations.archive.Archive.scrub", lambda _: False)
        result = run("delete", "c", "--yes")
        assert result.exit_code == 1
        assert "prune" in result.stderr
        assert left(url) == []


class TestPrune:
    def test_what_is_older_is_deleted_without_a_question(
        self, store: Store, url: sa.URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cli_sessions, "BATCH", 2)
        for conversation in "abcde":
            told(store, conversation, "hi")
            age(url, conversation, days=91)
        told(store, "new", "hi")
        result = run("prune", "--older-than", "90d")
        assert result.exit_code == 0
        assert "5 conversations" in result.stderr
        assert left(url) == ["new"]

    def test_the_setting_is_the_default(self, store: Store, url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTLLM_RETENTION_DAYS", "10")
        for days, conversation in ((9, "new"), (11, "old")):
            told(store, conversation, "hi")
            age(url, conversation, days=days)
        assert run("prune").exit_code == 0
        assert left(url) == ["new"]

    def test_without_either_nothing_is_deleted(self, store: Store, url: sa.URL) -> None:
        told(store, "c", "hi")
        message = refusal("prune")
        assert "--older-than" in message
        assert "AGENTLLM_RETENTION_DAYS" in message

    def test_a_date_can_be_given(self, store: Store, url: sa.URL) -> None:
        told(store, "c", "hi")
        age(url, "c", days=10)
        run("prune", "--older-than", f"{datetime.now(UTC) - timedelta(days=11):%Y-%m-%d}")
        assert left(url) == ["c"]
        run("prune", "--older-than", f"{datetime.now(UTC) - timedelta(days=9):%Y-%m-%d}")
        assert left(url) == []


def process(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, as a shell does."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("agentllm")), "sessions", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["show", "nothing"], 2),
            (["list", "--older-than", "soon"], 2),
            (["delete", "c"], 1),
            (["list", "--limit", "0"], 2),
        ],
    )
    def test_each_ends_with_its_status_and_no_traceback(
        self, arguments: list[str], status: int, store: Store, tmp_path: Path
    ) -> None:
        told(store, "c", "hi")
        done = process(*arguments, folder=tmp_path)
        assert (done.returncode, done.stdout.strip()) == (status, "")
        assert done.stderr
        assert "Traceback" not in done.stderr

    def test_a_store_that_is_not_there_is_named_and_not_made(self, url: sa.URL, tmp_path: Path) -> None:
        done = process("list", folder=tmp_path)
        assert done.returncode == 2
        assert FILE in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_a_store_that_fails_ends_it_with_one_line(self, store: Store, url: sa.URL, tmp_path: Path) -> None:
        lose_the_table(url)
        done = process("list", folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1

    def test_a_store_of_another_version_is_left_alone(self, store: Store, url: sa.URL) -> None:
        change(url, "UPDATE alembic_version SET version_num = '0001'")
        assert "0001" in refusal("list")
        assert rows(url, "SELECT version_num FROM alembic_version") == [("0001",)]

    def test_loading_the_commands_loads_no_framework_and_no_database(self) -> None:
        unwanted = ("litellm", "agno", "sqlalchemy")
        code = f"import sys, agentllm.cli; print([name for name in {unwanted} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "[]\n"

    def test_a_session_command_loads_no_framework(self, store: Store) -> None:
        code = (
            "import sys; from agentllm.cli import app; app(['sessions', 'list', '--json'], standalone_mode=False); "
            "print([name for name in ('litellm', 'agno') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "[]"
