"""The section of a changelog."""

from __future__ import annotations

from datetime import date

import pytest

from agentllm.agents.release_manager.changelog import MAX_ENTRIES, plan_section, render
from agentllm.agents.release_manager.repository import open_repository
from agentllm.errors import InvalidRequest
from tests.agents.release_manager.made_repository import MadeRepository

TODAY = date(2025, 3, 4)


def _changelog(made: MadeRepository, version: str = "", since: str = "") -> str:
    with open_repository(str(made.path)) as repository:
        return render(plan_section(repository, version, since, TODAY))


def test_the_section_of_the_next_release_has_the_form_of_keep_a_changelog(made: MadeRepository) -> None:
    made.commit("begin")
    made.tag("v1.0.0")
    commits = [
        made.commit("feat(api): search"),
        made.commit("fix: crash"),
        made.commit("fix(security): hole"),
        made.commit("perf: speed"),
        made.commit("deprecate: old way"),
        made.commit("remove: older way"),
        made.commit("refactor!: core\n\nBREAKING CHANGE: import from elsewhere"),
        made.commit("Tidy up"),
    ]
    made.commit("ci: cache")
    made.commit("docs: words")
    search, crash, hole, speed, old, older, core, tidy = (commit[:7] for commit in commits)
    assert _changelog(made) == (
        "## [2.0.0] - 2025-03-04\n"
        f"\n### Added\n\n- **api:** search ({search})\n"
        f"\n### Changed\n\n- **Breaking:** core ({core})\n  - import from elsewhere\n- speed ({speed})\n"
        f"\n### Deprecated\n\n- old way ({old})\n"
        f"\n### Removed\n\n- older way ({older})\n"
        f"\n### Fixed\n\n- crash ({crash})\n"
        f"\n### Security\n\n- **security:** hole ({hole})\n"
        f"\n### Other\n\n- Tidy up ({tidy})\n"
        "\n_Left out as not notable: 2 commits (docs 1, ci 1)._"
    )


def test_a_breaking_change_of_any_type_is_notable(made: MadeRepository) -> None:
    made.commit("build!: need Python 3.12")
    assert "**Breaking:** need Python 3.12" in _changelog(made)


@pytest.mark.parametrize("version", ["v1.2.0", "1.2.0"])
def test_the_section_of_a_release_has_its_own_day_and_changes(project: MadeRepository, version: str) -> None:
    text = _changelog(project, version)
    assert text.startswith("## [1.2.0] - 2025-01-03\n")
    assert "first fix" in text
    assert "search" not in text


def test_a_stable_release_has_the_changes_of_its_pre_releases(made: MadeRepository) -> None:
    made.commit("feat: zero")
    made.tag("v1.0.0")
    made.commit("feat: one")
    made.tag("v1.1.0-rc.1")
    made.commit("fix: two")
    made.tag("v1.1.0-rc.2")
    made.commit("fix: three")
    made.tag("v1.1.0")
    final, candidate = _changelog(made, "v1.1.0"), _changelog(made, "v1.1.0-rc.2")
    assert all(word in final for word in ("one", "two", "three"))
    assert "zero" not in final
    assert "two" in candidate
    assert "one" not in candidate


def test_a_version_to_come_heads_what_is_not_released(project: MadeRepository) -> None:
    text = _changelog(project, "v1.3.0")
    assert text.startswith("## [1.3.0] - 2025-03-04\n")
    assert "add search" in text


def test_a_section_can_begin_after_any_revision(project: MadeRepository) -> None:
    text = _changelog(project, since="v1.1.0")
    assert text.startswith("## [Unreleased]\n")
    assert "first fix" in text
    assert "HEAD" not in _changelog(project, "v1.2.0", "v1.1.0")


def test_a_version_that_is_none_is_refused(project: MadeRepository) -> None:
    for version in ("main", "--help", "../1.0.0", "v1.2"):
        with pytest.raises(InvalidRequest):
            _changelog(project, version)


def test_a_long_section_is_bounded_and_counted(made: MadeRepository) -> None:
    for number in range(MAX_ENTRIES + 5):
        made.commit(f"fix: {number}")
    made.commit("feat: first")
    text = _changelog(made)
    assert text.count("(") == MAX_ENTRIES
    assert "6 more" in text


def test_a_release_without_commits_is_said_to_be_empty(made: MadeRepository) -> None:
    made.commit("one")
    made.tag("v1.0.0")
    assert "##" not in _changelog(made)


def test_an_impossible_day_is_left_out(made: MadeRepository) -> None:
    made.commit("feat: x", when=2**50)
    made.tag("v1.0.0")
    assert _changelog(made, "v1.0.0").startswith("## [1.0.0]\n")
