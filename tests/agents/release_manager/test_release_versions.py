"""Which release was the last, and which version comes next."""

from __future__ import annotations

import os

import pytest
from semver import Version

from agentllm.agents.release_manager.location import RepositoryRefused
from agentllm.agents.release_manager.plan import Plan, make_plan
from agentllm.agents.release_manager.repository import open_repository
from agentllm.agents.release_manager.versions import by_version, parse_tag
from tests.agents.release_manager.made_repository import DAY, START, MadeRepository


def _plan(made: MadeRepository) -> Plan:
    with open_repository(str(made.path)) as repository:
        return make_plan(repository)


def _latest(made: MadeRepository) -> str | None:
    latest = _plan(made).releases.latest
    return latest.tag if latest else None


@pytest.mark.parametrize(
    ("last", "message", "following"),
    [
        ("v1.2.3", "feat!: x", "v2.0.0"),
        ("v1.2.3", "chore: x\n\nBREAKING CHANGE: y", "v2.0.0"),
        ("v1.2.3", "feat: x", "v1.3.0"),
        ("v1.2.3", "deprecate: x", "v1.3.0"),
        ("v1.2.3", "fix: x", "v1.2.4"),
        ("v1.2.3", "docs: x", "v1.2.4"),
        ("v1.2.3", "Whatever", "v1.2.4"),
        ("1.2.3", "feat: x", "1.3.0"),
        ("V1.2.3", "feat: x", "V1.3.0"),
        ("v0.4.1", "feat!: x", "v0.5.0"),
        ("v0.4.1", "feat: x", "v0.5.0"),
        ("v0.4.1", "fix: x", "v0.4.2"),
        ("v1.2.3+build.7", "fix: x", "v1.2.4"),
    ],
)
def test_the_next_version_follows_from_the_changes(
    made: MadeRepository, last: str, message: str, following: str
) -> None:
    made.commit("feat!: long ago")
    made.tag(last)
    made.commit(message)
    plan = _plan(made)
    assert plan.next.tag == following
    assert plan.next.reason


def test_the_strongest_change_decides(project: MadeRepository) -> None:
    assert _plan(project).next.tag == "v2.0.0"


def test_without_a_release_the_first_version_is_0_1_0(made: MadeRepository) -> None:
    made.commit("feat!: begin")
    made.tag("nightly")
    made.tag("1.2")
    made.tag("release-1.0.0")
    assert _plan(made).next.tag == "0.1.0"


@pytest.mark.parametrize(
    ("stable", "message", "pre", "following"),
    [
        ("v1.1.0", "feat: x", "v1.2.0-rc.1", "v1.2.0"),
        ("v1.1.0", "fix: x", "v1.2.0-rc.1", "v1.2.0"),
        ("v1.1.0", "feat!: x", "v1.2.0-rc.1", "v2.0.0"),
        (None, "feat: x", "v1.0.0-alpha", "v1.0.0"),
    ],
)
def test_a_pre_release_is_followed_by_what_it_prepares_or_more(
    made: MadeRepository, stable: str | None, message: str, pre: str, following: str
) -> None:
    made.commit("begin")
    if stable:
        made.tag(stable)
    made.commit(message)
    made.tag(pre)
    made.commit("fix: y")
    plan = _plan(made)
    assert plan.releases.latest is not None
    assert plan.releases.latest.tag == pre
    assert plan.next.tag == following
    assert len(plan.since_latest.changes) == 1


def test_a_tagged_head_has_nothing_to_release_unless_the_tag_is_a_pre_release(made: MadeRepository) -> None:
    made.commit("feat: x")
    made.tag("v1.0.0-rc.1")
    assert not _plan(made).is_released
    made.tag("v1.0.0")
    assert _plan(made).is_released


def test_the_highest_version_counts_and_not_the_latest_tag(made: MadeRepository) -> None:
    made.commit("one")
    made.tag("v1.10.0")
    made.commit("two")
    made.tag("v1.9.0", annotated=True)
    made.commit("three")
    assert _latest(made) == "v1.10.0"


def test_releases_outside_the_history_of_head_do_not_count(made: MadeRepository) -> None:
    base = made.commit("one")
    made.tag("v1.0.0")
    made.tag("v3.0.0", made.commit("feat: elsewhere", branch="side", parents=[base]))
    made.commit("feat: here")
    assert _latest(made) == "v1.0.0"


def test_a_detached_head_counts_its_own_history_only(made: MadeRepository) -> None:
    first = made.commit("one")
    made.tag("v1.0.0")
    made.commit("two")
    made.tag("v2.0.0")
    made.detach(first)
    assert _latest(made) == "v1.0.0"


def test_tags_of_no_commit_do_not_count(made: MadeRepository) -> None:
    made.commit("one")
    made.tag("v1.0.0", annotated=True)
    made.tag("v5.0.0", made.blob(b"x"))
    made.tag("v6.0.0", made.blob(b"x"), annotated=True)
    (made.git / "refs" / "tags" / "v7.0.0").write_text("0" * 39 + "1\n")
    made.commit("two")
    assert _latest(made) == "v1.0.0"


def test_tags_whose_names_are_no_utf_8_are_left_out(made: MadeRepository) -> None:
    commit = made.commit("one")
    (made.git / "refs" / "tags" / os.fsdecode(b"v1.0.0-\xff")).write_text(f"{commit}\n")
    assert _latest(made) is None


def test_commits_dated_wrongly_do_not_hide_a_release(made: MadeRepository) -> None:
    made.commit("one", when=START + 1000 * DAY)
    made.tag("v1.0.0")
    for number in range(30):
        made.commit(f"fix: {number}", when=START - number * DAY)
    assert _latest(made) == "v1.0.0"


def test_the_way_back_to_a_release_is_not_walked_further(made: MadeRepository) -> None:
    missing = made.commit("one")
    for number in range(20):
        made.commit(f"feat: {number}")
    made.tag("v1.0.0")
    made.commit("fix: three")
    made.loose_object(missing).unlink()
    assert _plan(made).next.tag == "v1.0.1"


def test_a_missing_commit_is_an_error_of_ours(made: MadeRepository) -> None:
    missing = made.commit("one")
    made.commit("two")
    made.loose_object(missing).unlink()
    with pytest.raises(RepositoryRefused):
        _plan(made)


def test_a_shallow_clone_without_its_last_release_has_no_next_version(made: MadeRepository) -> None:
    made.commit("one")
    made.tag("v1.0.0")
    made.cut_at(made.commit("feat: two"))
    made.commit("feat: three")
    with pytest.raises(RepositoryRefused):
        _plan(made)


def test_a_shallow_clone_with_its_last_release_has_a_next_version(made: MadeRepository) -> None:
    made.commit("one")
    cut = made.commit("two")
    made.tag("v1.0.0")
    made.commit("feat: three")
    made.cut_at(cut)
    assert _plan(made).next.tag == "v1.1.0"


def test_a_repository_without_commits_is_an_error_of_ours(made: MadeRepository) -> None:
    with pytest.raises(RepositoryRefused):
        _plan(made)


def test_tags_are_ordered_by_precedence() -> None:
    tags = ["nightly", "v1.0.0-rc.2", "v1.0.0", "v1.0.0-rc.10", "0.9.0", "v10.0.0"]
    assert by_version(tags) == ["v10.0.0", "v1.0.0", "v1.0.0-rc.10", "v1.0.0-rc.2", "0.9.0", "nightly"]


@pytest.mark.parametrize("tag", ["", "v", "vv1.0.0", "v1.0", "v01.0.0", "1.0.0-", "٣.0.0", "v1.0.0\n", "9" * 5000])
def test_other_tags_spell_no_version(tag: str) -> None:
    assert parse_tag(tag) is None
    assert parse_tag("v1.0.0") == Version(1)
