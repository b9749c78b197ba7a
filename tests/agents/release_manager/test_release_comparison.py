"""The comparison of two releases."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.agents.release_manager.comparison import (
    MAX_FILES_COUNTED,
    MAX_FILES_SHOWN,
    Comparison,
    FileChange,
    compare,
    count_lines,
    render,
)
from agentllm.agents.release_manager.repository import open_repository
from agentllm.agents.release_manager.revisions import resolve
from tests.agents.release_manager.made_repository import MadeRepository


def _compare(made: MadeRepository, older: str, newer: str) -> Comparison:
    with open_repository(str(made.path)) as repository:
        return compare(repository, resolve(repository, older), resolve(repository, newer))


def test_files_have_their_added_and_deleted_lines(made: MadeRepository) -> None:
    made.commit("one", {"a/b.py": "1\n2\n3\n", "gone.txt": "x\ny\n", "same": "s\n", "logo": b"\0\1"})
    made.commit("two", {"a/b.py": "1\nzwei\n3\n4\n", "gone.txt": None, "new.txt": "n", "logo": b"\0\2"})
    found = _compare(made, "HEAD~1", "HEAD")
    assert sorted(found.files, key=lambda file: file.path) == [
        FileChange("a/b.py", 2, 1),
        FileChange("gone.txt", 0, 2),
        FileChange("logo"),
        FileChange("new.txt", 1, 0),
    ]


def test_a_comparison_names_commits_groups_authors_and_files(project: MadeRepository) -> None:
    found = _compare(project, "v1.2.0", "HEAD")
    text = render(found, "v1.2.0", "HEAD", 50)
    assert "5 commits" in text
    assert "1 breaking change," in text
    assert "Ada 4, Bob 1" in text
    assert "Features 1, Bug Fixes 1, Docs 1, Other 1, Merges 1" in text
    assert "- src/app.py: +2 -1" in text
    assert "- README.md: +1 -0" in text


def test_tags_of_different_branches_count_what_only_the_older_has(made: MadeRepository) -> None:
    base = made.commit("one")
    made.tag("v1.0.1", made.commit("fix: backport", branch="old", parents=[base]))
    made.commit("feat: two")
    found = _compare(made, "v1.0.1", "HEAD")
    assert (len(found.history.changes), found.only_older) == (1, 1)


def test_tags_the_wrong_way_round_are_told_so(project: MadeRepository) -> None:
    found = _compare(project, "v1.2.0", "v1.1.0")
    assert (len(found.history.changes), found.only_older) == (0, 1)
    assert render(found, "v1.2.0", "v1.1.0", 50)


def test_a_commit_compared_with_itself_has_no_changes(project: MadeRepository) -> None:
    found = _compare(project, "HEAD", "HEAD")
    assert (found.history.changes, found.only_older, found.files) == ((), 0, ())


def test_many_files_are_bounded_and_counted(made: MadeRepository) -> None:
    made.commit("one")
    made.commit("two", {f"{number}.txt": "x\n" for number in range(MAX_FILES_COUNTED + 20)})
    found = _compare(made, "HEAD~1", "HEAD")
    assert (len(found.files), found.total_files) == (MAX_FILES_COUNTED, MAX_FILES_COUNTED + 20)
    text = render(found, "a", "b", 50)
    assert text.count(".txt: ") == MAX_FILES_SHOWN
    assert "490 more" in text


def test_huge_files_are_not_read_line_by_line(made: MadeRepository) -> None:
    made.commit("one", {"big": b"a\n" * 2_000_000})
    made.commit("two", {"big": b"b\n" * 2_000_000})
    found = _compare(made, "HEAD~1", "HEAD")
    assert found.files == (FileChange("big"),)
    assert "not counted" in render(found, "a", "b", 50)


@pytest.mark.timeout(30)
def test_files_that_differ_in_everything_get_a_lower_bound_in_time(made: MadeRepository) -> None:
    for side in ("a", "b"):
        made.commit(side, {f"{file}.txt": _lines(side, 20_000) for file in range(10)})
    files = _compare(made, "HEAD~1", "HEAD").files
    assert [(file.added, file.deleted, file.exact) for file in files] == [(20_000, 20_000, False)] * 10


def test_a_file_name_cannot_carry_markdown(made: MadeRepository) -> None:
    made.commit("one")
    made.commit("two", {"![x](y)\n- z": "1\n"})
    assert r"- !\[x](y) - z: +1 -0" in render(_compare(made, "HEAD~1", "HEAD"), "a", "b", 50)


@given(st.lists(st.sampled_from([b"a", b"b", b"c"])), st.lists(st.sampled_from([b"a", b"b", b"c"])))
def test_counted_lines_are_never_more_than_another_diff_needs(old: list[bytes], new: list[bytes]) -> None:
    added, deleted, exact = count_lines(old, new, 1000)
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    kept = sum(block.size for block in blocks)
    assert exact
    assert added - deleted == len(new) - len(old)
    assert 0 <= added <= len(new) - kept
    bound = count_lines(old, new, 0)
    assert bound[0] <= added
    assert bound[1] <= deleted


def _lines(side: str, count: int) -> str:
    return "".join(f"{side}{number}\n" for number in range(count))
