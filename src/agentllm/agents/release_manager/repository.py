"""A git repository, read only: tags, history, trees. Nothing of it is run and none of its settings apply.

Built on dulwich's stores of refs and objects. dulwich's `Repo` is left aside, as opening one follows includes in
the config and alternates, and rewrites the refs folder of a repository in the reftable format.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from dulwich.diff_tree import TreeChange, tree_changes
from dulwich.errors import MissingCommitError, NotTreeError
from dulwich.object_store import DiskObjectStore, tree_lookup_path
from dulwich.objects import Blob, Commit, ObjectID, SubmoduleEncountered, Tag, valid_hexsha
from dulwich.refs import HEADREF, DiskRefsContainer, Ref
from dulwich.walk import Walker

from agentllm.agents.release_manager.location import GitDirectory, RepositoryRefused, locate

MAX_OBJECT_BYTES = 64 * 1024 * 1024
MAX_TAG_DEPTH = 10

_BRANCHES = (b"refs/heads/", b"refs/remotes/")
_TAGS = b"refs/tags/"


class Repository:
    """An open repository; close it, or use it in a `with` statement.

    Commits, trees and blobs are dulwich's objects. Objects above 64 MiB that are not packed are
    not read.
    """

    def __init__(self, directory: GitDirectory) -> None:
        self._refs = DiskRefsContainer(directory.shared, directory.own)
        self._objects = DiskObjectStore(directory.shared / "objects", loose_object_size_limit=MAX_OBJECT_BYTES)
        self._shallow = _shallow_commits(directory.shared / "shallow")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._objects.close()

    def head(self) -> Commit:
        """The commit that HEAD names.

        Raises:
            RepositoryRefused: there are no commits yet.
        """
        commit = self._commit_of(HEADREF)
        if commit is None:
            raise RepositoryRefused("The repository has no commits on HEAD yet; there is nothing to release.")
        return commit

    def branch(self) -> str | None:
        """The branch that HEAD is on; None when HEAD is detached."""
        name = self._refs.follow(HEADREF)[0][-1]
        return name.removeprefix(b"refs/heads/").decode("utf-8", "replace") if name != HEADREF else None

    def tags(self) -> dict[str, ObjectID]:
        """What each tag names, peeled or not; names that are not UTF-8 are left out."""
        tags: dict[str, ObjectID] = {}
        for name, target in self._refs.as_dict(Ref(_TAGS)).items():
            try:
                tags[name.decode("utf-8")] = target
            except UnicodeDecodeError:
                continue
        return tags

    def named(self, name: str) -> Commit | None:
        """The commit that HEAD, a tag or else a branch of this name leads to; None where there is none."""
        if name == "HEAD":
            return self.head()
        raw = name.encode("utf-8")
        found = (self._commit_of(Ref(prefix + raw)) for prefix in (_TAGS, *_BRANCHES))
        return next((commit for commit in found if commit is not None), None)

    def hashed(self, prefix: str) -> list[Commit]:
        """The commits whose hash begins with `prefix`: hexadecimal digits, at least two."""
        found = (self._object(id_) for id_ in self._objects.iter_prefix(prefix.lower().encode("ascii")))
        return [commit for commit in found if isinstance(commit, Commit)]

    def peel(self, target: ObjectID) -> Commit | None:
        """The commit behind `target`, through annotated tags; None for a tree, a blob or a missing object."""
        for _ in range(MAX_TAG_DEPTH):
            found = self._object(target)
            if not isinstance(found, Tag):
                return found if isinstance(found, Commit) else None
            target = found.object[1]
        return None

    def tagged_at(self, target: ObjectID) -> int | None:
        """Seconds since 1970 when the tag or commit `target` was made; None where it is unknown."""
        found = self._object(target)
        if isinstance(found, Tag) and found.tag_time is not None:
            return int(found.tag_time)
        commit = self.peel(target)
        return commit.commit_time if commit else None

    def parents(self, commit: Commit) -> list[ObjectID]:
        """The parents that this clone has; none where a shallow clone cuts the history."""
        return [] if self.is_cut_at(commit) else commit.parents

    def is_cut_at(self, commit: Commit) -> bool:
        """Whether older history than `commit` is left out of this clone."""
        return commit.id in self._shallow

    def walk(self, newer: Commit, older: Commit | None = None) -> Iterator[Commit]:
        """`newer` and its ancestors without `older` and its ancestors, by commit time, newest first.

        Without `older`, commits are read as they are asked for.

        Raises:
            RepositoryRefused: a commit of the history is missing.
        """
        try:
            walker = Walker(
                self._objects,
                [newer.id],
                exclude=[older.id] if older else None,
                get_parents=self.parents,
            )
            for entry in walker:
                yield entry.commit
        except MissingCommitError as error:
            raise RepositoryRefused(
                "The history is incomplete: a commit that others build on is missing from this clone."
            ) from error

    def tree_changes(self, older: Commit, newer: Commit) -> Iterator[TreeChange]:
        """The files that differ between two commits; a rename is a deletion and an addition."""
        return tree_changes(self._objects, older.tree, newer.tree)

    def blob(self, id_: ObjectID) -> bytes | None:
        """The content of a file; None where this clone does not have it."""
        found = self._object(id_)
        return found.data if isinstance(found, Blob) else None

    def file(self, commit: Commit, path: str) -> bytes | None:
        """The content of the regular file `path` in the tree of `commit`; None where there is none."""
        try:
            mode, id_ = tree_lookup_path(self._objects.__getitem__, commit.tree, path.encode("utf-8"))
        except (KeyError, NotTreeError, SubmoduleEncountered):
            return None
        return self.blob(id_) if stat.S_ISREG(mode) else None

    def _commit_of(self, ref: Ref) -> Commit | None:
        target = self._refs.follow(ref)[1]
        return self.peel(target) if target is not None else None

    def _object(self, id_: ObjectID) -> object:
        try:
            return self._objects[id_] if valid_hexsha(id_) else None
        except KeyError:
            return None


def open_repository(configured: str | None) -> Repository:
    """The repository at `configured`, else the one around the working directory; see `locate` for what is refused."""
    return Repository(locate(configured))


def _shallow_commits(file: Path) -> frozenset[bytes]:
    return frozenset(file.read_bytes().split()) if file.is_file() else frozenset()
