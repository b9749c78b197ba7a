"""What is known of the release that comes next."""

from __future__ import annotations

from dataclasses import dataclass

from dulwich.objects import Commit

from agentllm.agents.release_manager.commits import SHORT_HASH, History, read_history
from agentllm.agents.release_manager.location import RepositoryRefused
from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.text import quoted
from agentllm.agents.release_manager.versions import NextVersion, Releases, find_releases, next_version


@dataclass(frozen=True, slots=True)
class Plan:
    """HEAD, the releases in its history, what came since, and the version to release.

    `since_latest` and `since_stable` differ only after a pre-release.
    """

    head: Commit
    releases: Releases
    since_latest: History
    since_stable: History
    next: NextVersion

    @property
    def is_released(self) -> bool:
        """Whether HEAD has nothing that the last release, which is no pre-release, does not have."""
        return self.releases.latest == self.releases.stable is not None and not self.since_latest.changes

    @property
    def last_release(self) -> str:
        """The last release in words."""
        latest = self.releases.latest
        if latest is None:
            return "no release is tagged in the history of HEAD"
        kind = "pre-release" if latest.version.prerelease else "release"
        return f"last {kind} {quoted(latest.tag)} at {short(latest.commit)}"


def make_plan(repository: Repository) -> Plan:
    """The plan for releasing HEAD.

    Raises:
        RepositoryRefused: there are no commits, a commit is missing, or the clone is too shallow to
            hold the last release.
    """
    head = repository.head()
    releases = find_releases(repository, head)
    latest, stable = releases.latest, releases.stable
    since_stable = read_history(repository, head, stable.commit if stable else None)
    if latest is None and since_stable.cut:
        raise RepositoryRefused(
            "The history is cut (shallow clone) before any release tag, so the last release is unknown. "
            "Fetch the rest with `git fetch --unshallow --tags`."
        )
    since_latest = read_history(repository, head, latest.commit) if latest != stable and latest else since_stable
    return Plan(head, releases, since_latest, since_stable, next_version(releases, since_stable.changes))


def describe_next(plan: Plan, taken: bool) -> str:
    """The next version with its reason, in Markdown; `taken` says that its tag exists on another branch."""
    if plan.is_released:
        return f"Nothing to release: HEAD has no commit beyond the {plan.last_release}."
    breaking = [change for change in plan.since_stable.changes if change.breaking]
    lines = [
        f"**Next version: {plan.next.tag}**",
        "",
        f"Reason: {plan.next.reason}.",
        f"Base: {plan.last_release}; {plan.since_latest.size} since.",
    ]
    latest = plan.releases.latest
    if latest and latest.version.prerelease:
        another = f"{latest.prefix}{latest.version.bump_prerelease()}"
        lines.append(f"As another pre-release it would be {another}.")
    if taken:
        lines.append(f"Beware: the tag {plan.next.tag} exists already, outside the history of HEAD.")
    if breaking:
        lines += ["", f"Breaking ({len(breaking):,}):", *(change.line for change in breaking[:10])]
    return "\n".join(lines) + plan.since_latest.caveat


def short(commit: Commit) -> str:
    """The first seven digits of a commit's hash."""
    return commit.id.decode("ascii")[:SHORT_HASH]
