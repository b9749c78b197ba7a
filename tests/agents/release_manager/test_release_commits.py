"""What commit messages are taken to say."""

from __future__ import annotations

import pytest

from agentllm.agents.release_manager.commits import Change, History, group, list_groups, read_history
from agentllm.agents.release_manager.repository import open_repository
from agentllm.agents.release_manager.text import LINE_LENGTH
from tests.agents.release_manager.made_repository import MadeRepository


def _history(made: MadeRepository) -> History:
    with open_repository(str(made.path)) as repository:
        return read_history(repository, repository.head())


def _change(made: MadeRepository, message: str | bytes, encoding: bytes | None = None) -> Change:
    made.commit(message, encoding=encoding)
    return _history(made).changes[0]


@pytest.mark.parametrize(
    ("subject", "kind", "scope", "summary", "breaking"),
    [
        ("feat: search", "feat", "", "search", False),
        ("feat(api): search", "feat", "api", "search", False),
        ("feat(api)!: search", "feat", "api", "search", True),
        ("fix!: search", "fix", "", "search", True),
        ("FIX: search", "fix", "", "search", False),
        ("Feature: search", "feat", "", "search", False),
        ("wip!: search", "wip", "", "search", True),
        ("feat(a b/c): x: y", "feat", "a b/c", "x: y", False),
        ("Add search", "", "", "Add search", False),
        ("feat:search", "", "", "feat:search", False),
        ("feat (api): search", "", "", "feat (api): search", False),
        ("pkg/http: search", "", "", "pkg/http: search", False),
        ("feat(): search", "", "", "feat(): search", False),
        ("feat: ", "", "", "feat:", False),
    ],
)
def test_a_subject_has_a_type_a_scope_and_a_mark_for_breaking(
    made: MadeRepository, subject: str, kind: str, scope: str, summary: str, breaking: bool
) -> None:
    change = _change(made, subject)
    assert (change.kind, change.scope, change.summary, change.breaking) == (kind, scope, summary, breaking)


@pytest.mark.parametrize(
    ("footer", "breaking"),
    [
        ("BREAKING CHANGE: the old way is gone", True),
        ("BREAKING-CHANGE: the old way is gone", True),
        ("Reviewed-by: Z\nBREAKING CHANGE: the old way is gone", True),
        ("breaking change: in small letters", False),
        ("Break the loop early when the list is empty.", False),
        ("This is no BREAKING CHANGE: really", False),
    ],
)
def test_a_breaking_footer_is_written_in_capitals_at_the_start_of_a_line(
    made: MadeRepository, footer: str, breaking: bool
) -> None:
    change = _change(made, f"fix: search\n\nSome text.\n\n{footer}\n")
    assert change.breaking is breaking
    assert (change.note == "the old way is gone") is breaking


def test_messages_in_other_encodings_are_read(made: MadeRepository) -> None:
    assert _change(made, "fix: Größe".encode("latin-1"), b"iso-8859-1").summary == "Größe"
    assert _change(made, "fix: Größe".encode("latin-1")).summary == "Gr\ufffd\ufffde"
    assert _change(made, b"fix: \xff", b"no-such-encoding").summary == "\ufffd"
    assert _change(made, b"fix: \xff", b"rot13").summary == "\ufffd"


def test_authors_in_other_encodings_are_read(made: MadeRepository) -> None:
    made.commit("x", author="Jörg <j@example.org>".encode("latin-1"))
    assert _history(made).changes[0].author == "J\ufffdrg"


def test_empty_and_enormous_messages_are_one_line_each(made: MadeRepository) -> None:
    assert _change(made, "").summary
    assert _change(made, "\n\n").summary
    change = _change(made, "feat: " + "long " * 500_000)
    assert len(change.summary) == LINE_LENGTH


def test_control_and_direction_characters_are_taken_out(made: MadeRepository) -> None:
    change = _change(made, "feat: a\x1b[31mred\x07 \u202eevil\u2066\tb")
    assert change.summary == "a [31mred evil b"


def test_links_images_and_html_of_a_message_are_disarmed(made: MadeRepository) -> None:
    line = _change(made, r"feat: ![x](https://evil.example/?q) <img src=x> \[y](z)").line
    assert r"!\[x]" in line
    assert r"\<img" in line
    assert r"\\\[y]" in line


def test_no_commit_is_lost_in_the_groups(project: MadeRepository) -> None:
    history = _history(project)
    groups = group(history.changes)
    assert sum(len(members) for members in groups.values()) == len(history.changes) == 7
    assert list(groups) == ["Features", "Bug Fixes", "Chore", "Docs", "Other", "Merges"]
    assert groups["Bug Fixes"][0].breaking


def test_a_long_list_is_bounded_and_tells_its_true_size(made: MadeRepository) -> None:
    for number in range(12):
        made.commit(f"feat: {number}")
    made.commit("fix: last")
    text = list_groups(_history(made).changes, 5)
    assert text.count("\n- ") == 7
    assert "(12)" in text
    assert "7 more" in text
    assert "(1)" in text


def test_a_shallow_clone_says_that_its_history_is_cut(project: MadeRepository) -> None:
    made = project
    cut = made.commit("feat: the oldest here")
    made.commit("fix: a later one")
    made.cut_at(cut)
    history = _history(made)
    assert [change.kind for change in history.changes] == ["fix", "feat"]
    assert history.cut
    assert history.caveat
