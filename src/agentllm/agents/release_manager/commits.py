"""What commits say, by Conventional Commits 1.0.0."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from dulwich.objects import Commit
from git_changelog import Commit as Message
from git_changelog import ConventionalCommitConvention

from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.text import MESSAGE_BYTES, counted, decode, one_line, quoted

MAX_COMMITS = 100_000
SHORT_HASH = 7

OTHER = "Other"
MERGES = "Merges"
HEADINGS = {
    "security": "Security",
    **ConventionalCommitConvention.TYPES,
    "deprecate": "Deprecations",
    "remove": "Removals",
}
_ORDER = ("feat", "fix", "security", "perf", "deprecate", "remove", "revert", "refactor")


class _AnyType(dict[str, str]):
    """Types in lower case under one spelling each; a type that is not listed stands for itself."""

    def __missing__(self, type_: str) -> str:
        return self.get(type_.lower(), type_.lower())


class _Convention(ConventionalCommitConvention):
    """git-changelog's convention, held to the letter of the specification.

    Its own patterns know a fixed list of types, in lower case only, and take any line that begins with
    "break" for a breaking change. The specification has any noun in any case (rules 1, 14 and 15), and the footer
    `BREAKING CHANGE: …` or `BREAKING-CHANGE: …` in capitals (rules 12 and 16).
    """

    TYPES = _AnyType(
        {
            "bugfix": "fix",
            "deprecated": "deprecate",
            "doc": "docs",
            "feature": "feat",
            "hotfix": "fix",
            "ref": "refactor",
            "removed": "remove",
            "sec": "security",
            "tests": "test",
        }
    )
    SUBJECT_REGEX = re.compile(
        r"(?P<type>[A-Za-z][\w-]*)(?:\((?P<scope>[^()]+)\))?(?P<breaking>!)?: +(?P<subject>\S.*)", re.ASCII
    )
    BREAK_REGEX = re.compile(r"^BREAKING[ -]CHANGE: (?P<note>.+)$", re.MULTILINE)


_CONVENTION = _Convention()


@dataclass(frozen=True, slots=True)
class Change:
    """One commit, as its message tells it.

    `kind` is the type in lower case, empty where the message follows no convention; `note` is what
    the BREAKING CHANGE footer says. All text is on one line, and untrusted.
    """

    id: str
    author: str
    kind: str
    scope: str
    summary: str
    breaking: bool
    note: str
    parents: tuple[str, ...]

    @property
    def merge(self) -> bool:
        """Whether it joins two lines of history."""
        return len(self.parents) > 1

    @property
    def heading(self) -> str:
        """The group that it is listed under; every commit has one."""
        return HEADINGS.get(self.kind, MERGES if self.merge else OTHER)

    @property
    def line(self) -> str:
        """The change as a Markdown list item: breaking or not, scope, summary, short hash."""
        breaking = "**Breaking:** " if self.breaking else ""
        type_ = f"{self.kind}: " if self.kind and self.kind not in HEADINGS else ""
        scope = f"**{quoted(self.scope)}:** " if self.scope else ""
        return f"- {breaking}{type_}{scope}{quoted(self.summary)} ({self.id[:SHORT_HASH]})"


@dataclass(frozen=True, slots=True)
class History:
    """The commits of a range, newest first.

    `cut` says that a shallow clone ends inside the range; `capped` that the range is longer than 100,000
    commits and the rest was not read.
    """

    changes: tuple[Change, ...]
    cut: bool
    capped: bool

    @property
    def size(self) -> str:
        """How many commits there are, as far as is known."""
        return f"{'more than ' if self.capped else ''}{counted(len(self.changes), 'commit')}"

    @property
    def caveat(self) -> str:
        """What the reader must know about what is missing; empty where nothing is."""
        return "\n\nThe history is cut here (shallow clone): older commits are unknown." if self.cut else ""


def read_history(repository: Repository, newer: Commit, older: Commit | None = None) -> History:
    """The commits of `newer` that `older` does not have, at most 100,000.

    Raises:
        RepositoryRefused: a commit of the history is missing.
    """
    walk = repository.walk(newer, older)
    commits = list(islice(walk, MAX_COMMITS))
    return History(
        changes=tuple(read_change(commit) for commit in commits),
        cut=any(repository.is_cut_at(commit) for commit in commits),
        capped=next(walk, None) is not None,
    )


def read_change(commit: Commit) -> Change:
    """What the first 64 KiB of a commit's message say."""
    subject, *body = decode(commit.message[:MESSAGE_BYTES], commit.encoding).lstrip().splitlines() or [""]
    parsed = _CONVENTION.parse_commit(Message(commit.id.decode("ascii"), subject=subject, body=body))
    note = _Convention.BREAK_REGEX.search("\n".join((subject, *body)))
    author = decode(commit.author, commit.encoding).partition(" <")[0]
    return Change(
        id=commit.id.decode("ascii"),
        author=one_line(author, 60) or "unknown",
        kind=one_line(str(parsed["type"]), 30),
        scope=one_line(str(parsed["scope"] or ""), 40),
        summary=one_line(str(parsed["subject"])) or "(no message)",
        breaking=bool(parsed["is_major"]),
        note=one_line(note["note"], 400) if note else "",
        parents=tuple(parent.decode("ascii") for parent in commit.parents),
    )


def group(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """All changes by heading: features and fixes first, Other and Merges last; breaking ones lead their group."""
    order = {HEADINGS[kind]: place for place, kind in enumerate(_ORDER)}
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(change.heading, []).append(change)
    last = {OTHER: 1, MERGES: 2}
    headings = sorted(groups, key=lambda name: (last.get(name, 0), order.get(name, len(order)), name))
    return {name: sorted(groups[name], key=lambda change: not change.breaking) for name in headings}


def list_groups(changes: Iterable[Change], limit: int) -> str:
    """The groups as Markdown with their true sizes, and at most `limit` changes in all."""
    lines: list[str] = []
    for heading, members in group(changes).items():
        shown = members[: max(limit, 0)]
        limit -= len(shown)
        lines += [f"\n### {heading} ({len(members):,})\n", *(change.line for change in shown)]
        if len(shown) < len(members):
            lines.append(f"- … and {len(members) - len(shown):,} more")
    return "\n".join(lines).strip()
