"""A changelog's section for one release, in the form of Keep a Changelog 1.1.0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from agentllm.agents.release_manager.commits import Change, History, read_history
from agentllm.agents.release_manager.plan import make_plan
from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.revisions import resolve
from agentllm.agents.release_manager.text import counted, day, one_line, quoted
from agentllm.agents.release_manager.versions import parse_tag, release_before, released
from agentllm.errors import InvalidRequest

MAX_ENTRIES = 200

_SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_SECTION_OF = {
    "add": "Added",
    "change": "Changed",
    "deprecate": "Deprecated",
    "feat": "Added",
    "fix": "Fixed",
    "perf": "Changed",
    "refactor": "Changed",
    "remove": "Removed",
    "revert": "Changed",
    "security": "Security",
}
_UNSORTED = "Other"


@dataclass(frozen=True, slots=True)
class Section:
    """The changes of one release; `version` has no `v`, and `on` is None where the day is unknown."""

    version: str
    on: date | None
    history: History


def section_of(change: Change) -> str | None:
    """The section that a change belongs to, None for one that readers of a changelog need not know.

    - feat, add: Added
    - perf, refactor, revert, change: Changed
    - deprecate: Deprecated
    - remove: Removed
    - fix: Fixed
    - security, and a fix with the scope `security`: Security
    - any other type (docs, test, ci, build, chore, …): none, but Changed where it is breaking
    - no type at all: Other, for a person to sort; a merge without a type: none
    """
    if change.kind == "fix" and change.scope.lower() in ("security", "sec"):
        return "Security"
    if change.kind in _SECTION_OF:
        return _SECTION_OF[change.kind]
    if change.breaking:
        return "Changed"
    return None if change.kind or change.merge else _UNSORTED


def plan_section(repository: Repository, version: str, since: str, today: date) -> Section:
    """The section for a release, made or planned.

    `version` is a release's tag, or the version to come; empty means the next version. `since` is the
    revision after which it begins; empty means the release before it (before a stable release, the
    last stable one).

    Raises:
        InvalidRequest: `version` is no semantic version, or `since` names no commit.
        RepositoryRefused: the history cannot be read.
    """
    wanted = parse_tag(version) if version else None
    if version and wanted is None:
        raise InvalidRequest(
            f"{one_line(version, 60)!r} is no semantic version. Write one like 1.4.0, or leave it out."
        )
    release = released(repository, wanted) if wanted else None
    if release:
        before = None if since else release_before(repository, release.commit, release.version)
        older = resolve(repository, since) if since else before.commit if before else None
        made = repository.tagged_at(release.target)
        history = read_history(repository, release.commit, older)
        return Section(str(release.version), None if made is None else day(made), history)
    if since:
        history = read_history(repository, repository.head(), resolve(repository, since))
        return Section(str(wanted or "Unreleased"), today if wanted else None, history)
    plan = make_plan(repository)
    return Section(str(wanted or plan.next.version), today, plan.since_stable)


def render(section: Section) -> str:
    """The section as Markdown: at most 200 entries, and a last line that counts what was left out."""
    changes = section.history.changes
    if not changes:
        return f"No commits for {section.version}: there is nothing to write.{section.history.caveat}"
    lines = [f"## [{section.version}]{f' - {section.on}' if section.on else ''}"]
    room = MAX_ENTRIES
    for name in (*_SECTIONS, _UNSORTED):
        entries = [change for change in changes if section_of(change) == name]
        entries.sort(key=lambda change: not change.breaking)
        if entries:
            lines += ["", f"### {name}", "", *_entries(entries[:room])]
        if len(entries) > room:
            lines.append(f"- … and {len(entries) - room:,} more")
        room = max(room - len(entries), 0)
    return "\n".join(lines) + _left_out(changes) + section.history.caveat


def _entries(changes: Sequence[Change]) -> list[str]:
    lines = []
    for change in changes:
        lines.append(change.line)
        if change.note and change.note != change.summary:
            lines.append(f"  - {quoted(change.note, 400)}")
    return lines


def _left_out(changes: Sequence[Change]) -> str:
    kinds = Counter(
        "merge" if change.merge and not change.kind else quoted(change.kind)
        for change in changes
        if section_of(change) is None
    )
    if not kinds:
        return ""
    named = ", ".join(f"{kind} {number:,}" for kind, number in kinds.most_common(8))
    return f"\n\n_Left out as not notable: {counted(kinds.total(), 'commit')} ({named})._"
