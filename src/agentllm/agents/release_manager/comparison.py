"""What lies between two releases: commits, authors, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isqrt

from dulwich.diff_tree import TreeChange
from dulwich.objects import S_ISGITLINK, Commit, TreeEntry

from agentllm.agents.release_manager.commits import History, group, list_groups, read_history
from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.text import counted, decode, quoted
from agentllm.agents.release_manager.versions import count_breaking

MAX_FILES_COUNTED = 500
MAX_FILES_SHOWN = 30
MAX_AUTHORS_SHOWN = 15
MAX_FILE_BYTES = 2 * 1024 * 1024
# Steps of the diff over all files of a comparison: about three seconds.
DIFF_STEPS = 4_000_000

_BINARY_PROBE_BYTES = 8000


@dataclass(frozen=True, slots=True)
class FileChange:
    """A changed file; the lines are None where they are not counted, lower bounds where not `exact`."""

    path: str
    added: int | None = None
    deleted: int | None = None
    exact: bool = True

    @property
    def line(self) -> str:
        """The file as a Markdown list item."""
        if self.added is None or self.deleted is None:
            return f"- {quoted(self.path)}: lines not counted (binary, above 2 MiB, submodule or absent)"
        bound = "" if self.exact else "at least "
        return f"- {quoted(self.path)}: {bound}+{self.added:,} -{self.deleted:,}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The way from one commit to another; `only_older` counts the commits that the newer one lacks."""

    history: History
    only_older: int
    files: tuple[FileChange, ...]
    total_files: int


def compare(repository: Repository, older: Commit, newer: Commit) -> Comparison:
    """Compare two commits; the lines of the first 500 files by path are counted.

    Raises:
        RepositoryRefused: a commit of the history is missing.
    """
    changes = repository.tree_changes(older, newer)
    files = tuple(_file_changes(repository, islice(changes, MAX_FILES_COUNTED)))
    history = read_history(repository, newer, older)
    return Comparison(
        history=history,
        only_older=0 if _builds_on(history, older) else len(read_history(repository, older, newer).changes),
        files=files,
        total_files=len(files) + sum(1 for _ in changes),
    )


def render(comparison: Comparison, older: str, newer: str, limit: int) -> str:
    """The comparison as Markdown: at most `limit` commits, 15 authors and the 30 files that changed most."""
    history = comparison.history
    breaking = count_breaking(history.changes)
    sizes = ", ".join(f"{name} {len(members):,}" for name, members in group(history.changes).items())
    lines = [
        f"**{quoted(older)} → {quoted(newer)}**: {history.size}, {counted(breaking, 'breaking change')}, "
        f"{counted(comparison.total_files, 'file')} changed{_lines_of(comparison)}.",
        f"Groups: {sizes or 'none'}.",
        f"Authors: {_authors(history)}.",
    ]
    if comparison.only_older:
        lines.append(
            f"{counted(comparison.only_older, 'commit')} of {quoted(older)} not in {quoted(newer)}: "
            + ("the two are the other way round." if not history.changes else "the two are on different branches.")
        )
    if history.changes:
        lines += ["", list_groups(history.changes, limit)]
    if comparison.files:
        lines += ["", f"### Files ({comparison.total_files:,})", "", *_files(comparison)]
    return "\n".join(lines) + history.caveat


def count_lines(old: Sequence[bytes], new: Sequence[bytes], max_edits: int) -> tuple[int, int, bool]:
    """Added and deleted lines from `old` to `new`, and whether these are the fewest possible.

    Above `max_edits`, only lines that the other side has not (or has less often) are counted: a lower bound.
    """
    edits = len(old) + len(new) if not old or not new else _edit_distance(old, new, max_edits)
    if edits is not None:
        added = (edits + len(new) - len(old)) // 2
        return added, edits - added, True
    before, after = Counter(old), Counter(new)
    return (after - before).total(), (before - after).total(), False


def _builds_on(history: History, older: Commit) -> bool:
    id_ = older.id.decode("ascii")
    return any(id_ in change.parents for change in history.changes)


def _edit_distance(old: Sequence[bytes], new: Sequence[bytes], max_edits: int) -> int | None:
    """The fewest additions and deletions from `old` to `new` (Myers, 1986); None above `max_edits`."""
    furthest = {1: 0}
    for edits in range(max_edits + 1):
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1])
            x = furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(old) and y >= len(new):
                return edits
    return None


def _file_changes(repository: Repository, changes: Iterable[TreeChange]) -> Iterator[FileChange]:
    steps = DIFF_STEPS
    for change in changes:
        entry = change.new or change.old
        assert entry is not None
        path = decode(entry.path)
        old, new = _content(repository, change.old), _content(repository, change.new)
        if old is None or new is None:
            yield FileChange(path)
            continue
        added, deleted, exact = count_lines(old, new, isqrt(steps))
        steps -= min(steps, (added + deleted) ** 2) if old and new else 0
        yield FileChange(path, added, deleted, exact)


def _content(repository: Repository, entry: TreeEntry | None) -> list[bytes] | None:
    if entry is None:
        return []
    data = None if S_ISGITLINK(entry.mode) else repository.blob(entry.sha)
    if data is None or len(data) > MAX_FILE_BYTES or b"\0" in data[:_BINARY_PROBE_BYTES]:
        return None
    return data.splitlines()


def _lines_of(comparison: Comparison) -> str:
    if not comparison.files:
        return ""
    added = sum(file.added or 0 for file in comparison.files)
    deleted = sum(file.deleted or 0 for file in comparison.files)
    part = comparison.total_files > len(comparison.files)
    of = f" in the {len(comparison.files):,} files counted" if part else ""
    return f", +{added:,} -{deleted:,} lines{of}"


def _files(comparison: Comparison) -> list[str]:
    by_size = sorted(comparison.files, key=lambda file: -(file.added or 0) - (file.deleted or 0))
    shown = by_size[:MAX_FILES_SHOWN]
    rest = comparison.total_files - len(shown)
    return [*(file.line for file in shown), *([f"- … and {rest:,} more"] if rest else [])]


def _authors(history: History) -> str:
    authors = Counter(change.author for change in history.changes)
    shown = ", ".join(f"{quoted(name)} {number:,}" for name, number in authors.most_common(MAX_AUTHORS_SHOWN))
    rest = len(authors) - MAX_AUTHORS_SHOWN
    return f"{shown}{f' and {rest:,} more' if rest > 0 else ''}" if authors else "none"
