"""Nothing outside the repository is read, and nothing of it is run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dulwich.objects import Blob, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from agentllm.agents.release_manager.location import RepositoryRefused, locate
from agentllm.agents.release_manager.repository import open_repository
from agentllm.agents.release_manager.tools import ReleaseTools
from tests.agents.release_manager.made_repository import MadeRepository, realistic


def _answers(path: Path | str) -> dict[str, str]:
    tools = ReleaseTools(str(path))
    return {
        "commits": tools.commits_since_last_release(),
        "version": tools.next_version(),
        "changelog": tools.changelog(),
        "checklist": tools.release_checklist(),
        "comparison": tools.compare_tags(),
    }


def test_a_repository_is_found_above_the_working_directory(
    project: MadeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project.path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert locate(None).shared == project.git.resolve()


def test_a_configured_path_inside_a_repository_is_not_that_repository(project: MadeRepository) -> None:
    below = project.path / "a"
    below.mkdir()
    with pytest.raises(RepositoryRefused):
        locate(str(below))


def test_a_bare_repository_is_read(project: MadeRepository, tmp_path: Path) -> None:
    bare = tmp_path / "project.git"
    shutil.move(project.git, bare)
    assert "v2.0.0" in _answers(bare)["version"]


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "no home", "nul"])
def test_a_path_without_a_repository_is_an_error_that_names_the_variable_and_no_path(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "secret-place"
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.write_text("x")
    configured = {"no home": "~nobody-like-this/x", "nul": "a\0b"}.get(kind, str(path))
    for answer in _answers(configured).values():
        assert "RELEASE_MANAGER_REPO" in answer
        assert "secret-place" not in answer


def test_without_a_variable_and_a_repository_the_error_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "RELEASE_MANAGER_REPO" in ReleaseTools(None).next_version()


def test_a_linked_worktree_is_read_with_its_own_head(project: MadeRepository, tmp_path: Path) -> None:
    worktree = _linked(project, tmp_path / "tree")
    first = project.commit("feat: only on main")
    with Repo(str(project.path)) as repo:
        old = repo.refs[Ref(b"refs/tags/v1.1.0")].decode()
    (project.git / "worktrees" / "tree" / "HEAD").write_text(f"{old}\n")
    with open_repository(str(worktree)) as repository:
        assert repository.head().id.decode() == old != first


def test_a_git_file_that_names_a_repository_elsewhere_is_refused(project: MadeRepository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".git").write_text(f"gitdir: {project.git}\n")
    assert "v1.2.0" not in "".join(_answers(outside).values())


def test_a_git_file_that_names_the_worktree_of_another_folder_is_refused(
    project: MadeRepository, tmp_path: Path
) -> None:
    _linked(project, tmp_path / "tree")
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(tmp_path / "tree" / ".git", outside / ".git")
    with pytest.raises(RepositoryRefused):
        locate(str(outside))


def test_a_worktree_made_up_to_borrow_another_repository_is_refused(project: MadeRepository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    own = outside / "fake" / "worktrees" / "x"
    own.mkdir(parents=True)
    (own / "gitdir").write_text(f"{outside / '.git'}\n")
    (own / "commondir").write_text(f"{project.git}\n")
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (outside / ".git").write_text(f"gitdir: {own}\n")
    with pytest.raises(RepositoryRefused):
        locate(str(outside))


def test_a_commondir_file_in_a_plain_repository_is_not_followed(project: MadeRepository, made_other: Path) -> None:
    (project.git / "commondir").write_text(f"{made_other / '.git'}\n")
    assert "v2.0.0" in _answers(project.path)["version"]


@pytest.fixture
def made_other(tmp_path: Path) -> Path:
    other = MadeRepository(tmp_path / "other")
    other.commit("feat: confidential plan", {"CHANGELOG.md": "confidential\n"})
    other.tag("v7.0.0")
    other.commit("feat: confidential sequel")
    return other.path


@pytest.mark.parametrize("name", ["", "objects", "refs", "HEAD", "refs/heads/main", "packed-refs", "shallow", "config"])
def test_symbolic_links_out_of_the_repository_are_refused(project: MadeRepository, made_other: Path, name: str) -> None:
    with Repo(str(made_other)) as other:
        other.refs.pack_refs(all=False)
    (made_other / ".git" / "shallow").touch()
    link = project.git / name if name else project.git
    if link.is_dir():
        shutil.rmtree(link)
    else:
        link.unlink(missing_ok=True)
    link.symlink_to(made_other / ".git" / name)
    with pytest.raises(RepositoryRefused):
        locate(str(project.path))
    assert "confidential" not in "".join(_answers(project.path).values())


def test_a_ref_that_is_a_link_to_a_file_outside_discloses_nothing_of_it(
    project: MadeRepository, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password\n")
    (project.git / "refs" / "tags" / "v9.0.0").symlink_to(secret)
    assert "password" not in "".join(_answers(project.path).values())


def test_an_object_that_is_a_link_to_one_outside_is_refused(project: MadeRepository, tmp_path: Path) -> None:
    id_ = project.blob(b"x")
    file = project.loose_object(id_)
    shutil.move(file, tmp_path / "object")
    file.symlink_to(tmp_path / "object")
    with pytest.raises(RepositoryRefused):
        locate(str(project.path))


def test_a_pipe_among_the_refs_is_refused_and_never_waited_for(project: MadeRepository) -> None:
    os.mkfifo(project.git / "refs" / "heads" / "pipe")
    with pytest.raises(RepositoryRefused):
        locate(str(project.path))


def test_alternates_are_refused(project: MadeRepository, made_other: Path) -> None:
    info = project.git / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text(f"{made_other / '.git' / 'objects'}\n")
    with pytest.raises(RepositoryRefused):
        locate(str(project.path))


def test_includes_in_the_config_are_not_followed(project: MadeRepository, tmp_path: Path) -> None:
    included = tmp_path / "included"
    included.write_text("[core]\n\trepositoryformatversion = 99\n")
    with (project.git / "config").open("a") as config:
        config.write(f'[include]\n\tpath = {included}\n[includeIf "gitdir:**"]\n\tpath = {included}\n')
    assert locate(str(project.path)).shared == project.git.resolve()


@pytest.mark.parametrize(
    "setting",
    [
        "[core]\n\trepositoryformatversion = 2\n",
        "[extensions]\n\tobjectformat = sha256\n",
        "[extensions]\n\trefstorage = reftable\n",
        "[extensions]\n\tunheard = of\n",
    ],
)
def test_a_format_that_cannot_be_read_is_refused_and_left_untouched(project: MadeRepository, setting: str) -> None:
    with (project.git / "config").open("a") as config:
        config.write(setting)
    with pytest.raises(RepositoryRefused):
        locate(str(project.path))
    assert (project.git / "refs" / "heads").is_dir()


def test_extensions_that_change_nothing_here_are_accepted(project: MadeRepository) -> None:
    with (project.git / "config").open("a") as config:
        config.write("[extensions]\n\tworktreeConfig = true\n\tpartialClone = origin\n\tobjectFormat = SHA1\n")
    assert locate(str(project.path)).shared == project.git.resolve()


def test_a_symbolic_ref_out_of_the_refs_is_not_followed(project: MadeRepository, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password\n")
    (project.git / "refs" / "tags" / "v9.0.0").write_text("ref: refs/../../../secret\n")
    answers = _answers(project.path)
    assert "v2.0.0" in answers["version"]
    assert "password" not in "".join(answers.values())


def test_a_damaged_repository_is_said_to_be_so_without_details(project: MadeRepository) -> None:
    with Repo(str(project.path)) as repo:
        tip = repo.head().decode()
    file = project.loose_object(tip)
    file.chmod(0o644)
    file.write_bytes(b"garbage")
    for answer in _answers(project.path).values():
        assert "RELEASE_MANAGER_REPO" in answer
        assert str(project.path) not in answer
        assert "Traceback" not in answer


def test_a_repository_is_not_changed_and_nothing_of_it_is_run(tmp_path: Path) -> None:
    project = realistic(tmp_path / "project")
    trap = tmp_path / "executed"
    _set_traps(project, trap)
    before = _snapshot(project.path)
    answers = _answers(project.path)
    assert "v2.0.0" in answers["version"]
    assert not trap.exists()
    assert _snapshot(project.path) == before


def test_every_file_that_is_opened_lies_in_the_git_directory(
    project: MadeRepository, made_other: Path, watched: list[tuple[str, str]]
) -> None:
    with (project.git / "config").open("a") as config:
        config.write(f"[include]\n\tpath = {made_other / '.git' / 'config'}\n[core]\n\tworktree = {made_other}\n")
    (project.git / "info").mkdir(exist_ok=True)
    (project.path / "CHANGELOG.md").symlink_to(made_other / "CHANGELOG.md")
    watched.clear()
    assert "v2.0.0" in _answers(project.path)["version"]
    here = str(project.path.parent)
    opened = {path for event, path in watched if event == "open" and path.startswith(here)}
    assert opened
    assert {path for path in opened if not path.startswith(f"{project.git}/")} == set()
    assert [event for event, _ in watched if event != "open"] == []


@pytest.fixture
def watched() -> Iterator[list[tuple[str, str]]]:
    """What this process opens, starts and connects to while the test runs, as the interpreter's audit events tell."""
    seen: list[tuple[str, str]] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in _WATCHED:
            seen.append((event, os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""))

    sys.addaudithook(hook)
    yield seen
    watching = False


_WATCHED = {
    "open",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
}


def _set_traps(project: MadeRepository, trap: Path) -> None:
    command = f"touch {trap}"
    for hook in ("pre-commit", "post-checkout", "post-index-change", "reference-transaction", "update", "fsmonitor"):
        file = project.git / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{command}\n")
        file.chmod(0o755)
    with (project.git / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "{command}"\n\tpager = "{command}"\n\tsshCommand = "{command}"\n'
            f'\teditor = "{command}"\n\thooksPath = hooks\n\talternateRefsCommand = "{command}"\n'
            f'[diff]\n\texternal = "{command}"\n[diff "trap"]\n\ttextconv = "{command}"\n\tcommand = "{command}"\n'
            f'[filter "trap"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n\tprocess = "{command}"\n'
            f'[uploadpack]\n\tpackObjectsHook = "{command}"\n[credential]\n\thelper = "!{command}"\n'
            f'[alias]\n\tlog = "!{command}"\n[gpg]\n\tprogram = "{command}"\n[log]\n\tshowSignature = true\n'
        )
    project.commit("feat: attributes", {".gitattributes": "* diff=trap filter=trap\n", "data.bin": "x\n"})
    trap.unlink(missing_ok=True)


def _snapshot(folder: Path) -> dict[str, tuple[float, bytes]]:
    return {
        str(file): (file.stat().st_mtime, file.read_bytes() if file.is_file() else b"")
        for file in sorted(folder.rglob("*"))
    }


def _linked(project: MadeRepository, worktree: Path) -> Path:
    own = project.git / "worktrees" / worktree.name
    own.mkdir(parents=True)
    worktree.mkdir()
    (own / "gitdir").write_text(f"{worktree / '.git'}\n")
    (own / "commondir").write_text("../..\n")
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (worktree / ".git").write_text(f"gitdir: {own}\n")
    return worktree


def test_a_packed_object_and_packed_refs_are_read(project: MadeRepository) -> None:
    with Repo(str(project.path)) as repo:
        repo.object_store.pack_loose_objects()
        repo.refs.pack_refs(all=True)
    assert not (project.git / "refs" / "tags" / "v1.2.0").exists()
    assert "v2.0.0" in _answers(project.path)["version"]


def test_an_object_id_in_a_ref_that_is_no_hash_is_ignored(project: MadeRepository) -> None:
    (project.git / "refs" / "tags" / "v9.0.0").write_text("../../../../etc/passwd\n")
    assert "v2.0.0" in _answers(project.path)["version"]


def test_a_blob_outside_the_history_is_no_commit(project: MadeRepository) -> None:
    id_ = project.blob(b"hidden")
    with open_repository(str(project.path)) as repository:
        assert repository.peel(ObjectID(id_.encode())) is None
        assert repository.blob(ObjectID(id_.encode())) == Blob.from_string(b"hidden").data
