"""Where the repository is, and that all of it lies in one place.

Git lets a repository point out of itself. What is read here does not:

- a `.git` file is followed for a linked worktree only, and only if the repository that it names lists that
  worktree; other `.git` files and a symbolic link named `.git` are refused;
- links and devices among the refs, objects and other files that are read are refused;
- alternates (`objects/info/alternates`) are refused;
- of the config, `[core] repositoryformatversion` and `[extensions]` are read, and includes are not followed.

This holds against what a repository contains, not against somebody who changes it while it is read.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from dulwich.config import ConfigFile

from agentllm.errors import AgentLLMError

VARIABLE = "RELEASE_MANAGER_REPO"

_POINTER_BYTES = 4096
_READ_FROM_SHARED = ("HEAD", "config", "objects", "packed-refs", "refs", "shallow")
_READ_FROM_WORKTREE = ("HEAD", "refs")
_EXTENSIONS = {
    b"noop": None,
    b"objectformat": b"sha1",
    b"partialclone": None,
    b"preciousobjects": None,
    b"refstorage": b"files",
    b"relativeworktrees": None,
    b"worktreeconfig": None,
}


class RepositoryRefused(AgentLLMError):
    """There is no repository where one is configured, or it is of a kind that is not read."""


@dataclass(frozen=True, slots=True)
class GitDirectory:
    """`own` holds HEAD, `shared` holds refs and objects; they differ in a linked worktree."""

    own: Path
    shared: Path


def locate(configured: str | None) -> GitDirectory:
    """The git directory at `configured`, or at or above the working directory where that is None.

    Raises:
        RepositoryRefused: none is there, or it reaches out of itself; the message names
            RELEASE_MANAGER_REPO and no path.
    """
    try:
        directory = _find(configured)
    except (OSError, RuntimeError, ValueError):
        directory = None
    if directory is None:
        where = f"{VARIABLE} does not name" if configured else "The working directory is not in"
        raise RepositoryRefused(f"{where} a readable git repository. Set {VARIABLE} to the path of a local one.")
    _insist_on_one_place(directory)
    _insist_on_known_format(directory.shared / "config")
    return directory


def _find(configured: str | None) -> GitDirectory | None:
    if configured:
        return _git_directory_of(Path(configured).expanduser().resolve())
    here = Path.cwd().resolve()
    return next((found for folder in (here, *here.parents) if (found := _git_directory_of(folder))), None)


def _git_directory_of(folder: Path) -> GitDirectory | None:
    dot_git = folder / ".git"
    if dot_git.is_symlink():
        raise _refused("its .git is a symbolic link")
    if dot_git.is_file():
        return _linked_worktree(dot_git)
    for candidate in (dot_git, folder):
        if _is_git_directory(candidate):
            return GitDirectory(own=candidate, shared=candidate)
    return None


def _is_git_directory(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and all((folder / name).is_dir() for name in ("objects", "refs"))


def _linked_worktree(dot_git: Path) -> GitDirectory:
    kind, _, target = _pointer(dot_git).partition(": ")
    own = (dot_git.parent / target).resolve()
    shared = own.parent.parent
    is_listed = (
        kind == "gitdir"
        and own.parent == shared / "worktrees"
        and _points_at(own / "gitdir", dot_git)
        and _is_git_directory(shared)
    )
    if not is_listed:
        raise _refused("its .git file names a repository that does not list it as a worktree")
    return GitDirectory(own=own, shared=shared)


def _points_at(file: Path, target: Path) -> bool:
    return file.is_file() and not file.is_symlink() and (file.parent / _pointer(file)).resolve() == target


def _pointer(file: Path) -> str:
    with file.open("rb") as opened:
        return os.fsdecode(opened.read(_POINTER_BYTES).rstrip(b"\r\n"))


def _insist_on_one_place(directory: GitDirectory) -> None:
    read = [directory.shared / name for name in _READ_FROM_SHARED]
    if directory.own != directory.shared:
        read += [directory.own / name for name in _READ_FROM_WORKTREE]
    for path in read:
        _insist_on_plain_files(path)
    alternates = directory.shared / "objects" / "info" / "alternates"
    if alternates.exists() and alternates.stat().st_size:
        raise _refused("it borrows objects from another one (objects/info/alternates)")


def _insist_on_plain_files(path: Path) -> None:
    if not os.path.lexists(path):
        return
    mode = path.lstat().st_mode
    folders = [str(path)] if stat.S_ISDIR(mode) else []
    if not folders and not stat.S_ISREG(mode):
        raise _refused("it holds links or devices where git keeps its data")
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    raise _refused("it holds links or devices where git keeps its data")


def _insist_on_known_format(config_file: Path) -> None:
    if not config_file.exists():
        return
    config = ConfigFile.from_path(config_file, expand_includes=False)
    if config.has_section((b"core",)) and dict(config.items((b"core",))).get(b"repositoryformatversion", b"0") not in (
        b"0",
        b"1",
    ):
        raise _refused("its format is newer than version 1")
    if not config.has_section((b"extensions",)):
        return
    for name, value in config.items((b"extensions",)):
        known = name.lower() in _EXTENSIONS
        if not known or _EXTENSIONS[name.lower()] not in (None, value.lower()):
            raise _refused("it uses an extension of git's format other than SHA-1 objects and refs in files")


def _refused(reason: str) -> RepositoryRefused:
    return RepositoryRefused(
        f"The repository is not read because {reason}. Set {VARIABLE} to the path of a complete repository."
    )
