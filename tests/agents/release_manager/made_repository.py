"""Real repositories for the tests, made with dulwich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

START = 1_735_732_800  # 1 January 2025, noon UTC
DAY = 86_400


class MadeRepository:
    """A repository in `path` with a branch `main`; each commit is a day younger than the one before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        Repo.init(str(path), default_branch=b"main").close()
        self.git = path / ".git"
        self._files: dict[str, bytes] = {}
        self._clock = START

    def commit(
        self,
        message: str | bytes,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        parents: Sequence[str] | None = None,
        branch: str | None = "main",
        author: bytes = b"Ada <ada@example.org>",
        encoding: bytes | None = None,
        when: int | None = None,
    ) -> str:
        """Commit with `files` changed (None deletes one), on the tip of `branch` unless `parents` are given."""
        for name, content in (files or {}).items():
            if content is None:
                del self._files[name]
            else:
                self._files[name] = content.encode() if isinstance(content, str) else content
        self._clock += DAY
        with Repo(str(self.path)) as repo:
            commit = Commit()
            commit.tree = _store_tree(repo, self._files)
            tip = repo.refs.as_dict().get(Ref(f"refs/heads/{branch}".encode()))
            commit.parents = (
                [ObjectID(parent.encode()) for parent in parents] if parents is not None else [tip] if tip else []
            )
            commit.author = commit.committer = author
            commit.author_time = commit.commit_time = self._clock if when is None else when
            commit.author_timezone = commit.commit_timezone = 0
            commit.encoding = encoding
            commit.message = message.encode() if isinstance(message, str) else message
            repo.object_store.add_object(commit)
            if branch:
                repo.refs[Ref(f"refs/heads/{branch}".encode())] = commit.id
        return commit.id.decode()

    def tag(self, name: str, target: str | None = None, *, annotated: bool = False) -> None:
        """Tag a commit, or any object, by its hash; the tip of `main` by default."""
        with Repo(str(self.path)) as repo:
            id_ = ObjectID(target.encode()) if target else repo.refs[Ref(b"refs/heads/main")]
            if annotated:
                id_ = _store_tag(repo, name, id_, self._clock)
            repo.refs[Ref(f"refs/tags/{name}".encode())] = id_

    def blob(self, content: bytes) -> str:
        """Store a blob that no commit has."""
        with Repo(str(self.path)) as repo:
            blob = Blob.from_string(content)
            repo.object_store.add_object(blob)
            return blob.id.decode()

    def detach(self, commit: str) -> None:
        """Let HEAD name a commit and no branch."""
        (self.git / "HEAD").write_text(f"{commit}\n")

    def cut_at(self, commit: str) -> None:
        """Make it a shallow clone that ends at `commit`: its parents are gone."""
        (self.git / "shallow").write_text(f"{commit}\n")
        with Repo(str(self.path)) as repo:
            found = repo[commit.encode()]
            assert isinstance(found, Commit)
            parents = [parent.decode() for parent in found.parents]
        for parent in parents:
            self.loose_object(parent).unlink()

    def loose_object(self, id_: str) -> Path:
        """The file that holds an object."""
        return self.git / "objects" / id_[:2] / id_[2:]


def realistic(path: Path) -> MadeRepository:
    """A project with a release v1.2.0, a feature branch merged after it, and all sorts of commits."""
    made = MadeRepository(path)
    made.commit("chore: begin", {"src/app.py": "one\ntwo\nthree\n", "CHANGELOG.md": "# Changelog\n"})
    made.tag("v1.1.0")
    made.commit("fix: first fix", {"pyproject.toml": '[project]\nname = "app"\nversion = "1.2.0"\n'})
    made.tag("v1.2.0", annotated=True)
    base = made.commit("feat(api): add search", {"src/app.py": "one\n2\nthree\nfour\n"})
    side = made.commit("fix(db)!: drop the old index", {"db.py": "x\n"}, branch="side", parents=[base])
    made.commit("Update the readme", {"README.md": "hello\n"}, author=b"Bob <bob@example.org>")
    tip = made.commit("docs: explain search")
    made.commit("Merge branch 'side'", parents=[tip, side])
    return made


def _store_tree(repo: Repo, files: Mapping[str, bytes]) -> ObjectID:
    tree = Tree()
    folders: dict[str, dict[str, bytes]] = {}
    for name, content in files.items():
        folder, slash, rest = name.partition("/")
        if slash:
            folders.setdefault(folder, {})[rest] = content
            continue
        blob = Blob.from_string(content)
        repo.object_store.add_object(blob)
        tree.add(name.encode(), 0o100644, blob.id)
    for folder, inside in folders.items():
        tree.add(folder.encode(), 0o040000, _store_tree(repo, inside))
    repo.object_store.add_object(tree)
    return tree.id


def _store_tag(repo: Repo, name: str, target: ObjectID, when: int) -> ObjectID:
    tag = Tag()
    tag.name = name.encode()
    tag.object = (type(repo[target]), target)
    tag.tagger = b"Ada <ada@example.org>"
    tag.tag_time = when
    tag.tag_timezone = 0
    tag.message = b"released\n"
    repo.object_store.add_object(tag)
    return tag.id
