"""The checklist of a release."""

from __future__ import annotations

import json

import pytest

from agentllm.agents.release_manager.tools import ReleaseTools
from tests.agents.release_manager.made_repository import MadeRepository


def _checklist(made: MadeRepository, version: str = "") -> list[str]:
    return ReleaseTools(str(made.path)).release_checklist(version).splitlines()


def _line(lines: list[str], part: str) -> str:
    return next(line for line in lines if part in line)


def test_it_says_what_head_is_and_which_version_comes(project: MadeRepository) -> None:
    lines = _checklist(project)
    assert "v2.0.0" in lines[0]
    assert "branch main" in lines[0]
    assert _line(lines, "5 commits").startswith("- [x]")
    assert _line(lines, "1 breaking change.").startswith("- [ ]")


def test_manifests_and_the_changelog_are_compared_with_the_version(project: MadeRepository) -> None:
    lines = _checklist(project)
    assert _line(lines, "pyproject.toml").startswith("- [ ]")
    assert "1.2.0" in _line(lines, "pyproject.toml")
    assert _line(lines, "CHANGELOG.md").startswith("- [ ]")
    project.commit(
        "chore: release",
        {
            "pyproject.toml": '[project]\nname = "app"\nversion = "2.0.0"\n',
            "CHANGELOG.md": "# Changelog\n\n## [2.0.0] - 2025-01-09\n",
        },
    )
    lines = _checklist(project)
    assert _line(lines, "pyproject.toml").startswith("- [x]")
    assert _line(lines, "CHANGELOG.md").startswith("- [x]")


def test_a_changelog_with_a_longer_version_lacks_the_shorter(made: MadeRepository) -> None:
    made.commit("feat: x", {"CHANGELOG.md": "## [0.1.0-rc.1]\n## 10.1.0\nsee 0.1.0\n"})
    assert _line(_checklist(made), "CHANGELOG.md").startswith("- [ ]")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("pyproject.toml", '[tool.poetry]\nversion = "0.1.0"\n'),
        ("package.json", json.dumps({"version": "0.1.0"})),
        ("Cargo.toml", '[package]\nname = "x"\nversion = "0.1.0"\n'),
        ("Cargo.toml", '[workspace.package]\nversion = "0.1.0"\n[package]\nversion.workspace = true\n'),
        ("setup.cfg", "[metadata]\nname = x\nversion = 0.1.0\n"),
        ("VERSION", "0.1.0\n"),
    ],
)
def test_every_kind_of_manifest_is_read(made: MadeRepository, path: str, content: str) -> None:
    made.commit("feat: x", {path: content})
    assert _line(_checklist(made), path).startswith("- [x]")
    assert "0.1.0" in _line(_checklist(made), path)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("pyproject.toml", '[project]\ndynamic = ["version"]\n'),
        ("pyproject.toml", "not toml at all ["),
        ("pyproject.toml", "project = 3\n"),
        ("package.json", "[" * 100_000),
        ("package.json", '{"version": 3}'),
        ("Cargo.toml", b"\xff\xfe"),
        ("setup.cfg", "[metadata]\nversion = attr: x.y\n"),
    ],
)
def test_manifests_without_a_readable_version_are_named_as_such(
    made: MadeRepository, path: str, content: str | bytes
) -> None:
    made.commit("feat: x", {path: content})
    assert "no version" in _line(_checklist(made), path)


def test_a_manifest_above_the_bound_is_left_alone(made: MadeRepository) -> None:
    made.commit("feat: x", {"package.json": '{"version": "9.9.9"}' + " " * 2_000_000})
    assert "9.9.9" not in "\n".join(_checklist(made))


def test_files_of_the_working_tree_do_not_count(made: MadeRepository) -> None:
    made.commit("feat: x")
    (made.path / "package.json").write_text('{"version": "9.9.9"}')
    assert "package.json" not in "\n".join(_checklist(made))


def test_a_released_head_is_said_to_be_released(made: MadeRepository) -> None:
    made.commit("feat: x")
    made.tag("v1.0.0")
    lines = _checklist(made)
    assert _line(lines, "0 commits").startswith("- [ ]")


def test_a_tag_that_exists_elsewhere_is_noticed(made: MadeRepository) -> None:
    base = made.commit("one")
    made.tag("v1.0.0")
    made.tag("v1.1.0", made.commit("feat: elsewhere", branch="side", parents=[base]))
    made.commit("feat: here")
    assert _line(_checklist(made), "The tag v1.1.0").startswith("- [ ]")
    assert "v1.1.0 exists" in ReleaseTools(str(made.path)).next_version()


def test_another_version_is_left_to_a_person(project: MadeRepository) -> None:
    lines = _checklist(project, "v1.9.0")
    assert "Person" in _line(lines, "computed is v2.0.0")
    assert _line(_checklist(project, "2.0.0"), "Version v2.0.0").startswith("- [x]")


def test_a_detached_head_is_said_to_be_detached(made: MadeRepository) -> None:
    made.detach(made.commit("feat: x"))
    assert "detached" in _checklist(made)[0]


@pytest.mark.parametrize("version", ["main", "v1.0.0; rm -rf /", "--force", "v1.0.0\n", "$(id)"])
def test_a_version_that_is_none_is_refused(project: MadeRepository, version: str) -> None:
    assert len(_checklist(project, version)) == 1
