"""The tools of the release manager: each opens the repository, reads it, and closes it again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from agno.tools import Toolkit
from dulwich.objects import Commit

from agentllm.agents.release_manager import changelog, checklist, comparison
from agentllm.agents.release_manager.commits import list_groups, read_history
from agentllm.agents.release_manager.location import VARIABLE
from agentllm.agents.release_manager.plan import describe_next, make_plan
from agentllm.agents.release_manager.repository import Repository, open_repository
from agentllm.agents.release_manager.revisions import is_name, resolve
from agentllm.agents.release_manager.text import one_line, quoted
from agentllm.agents.release_manager.versions import find_releases, parse_tag, release_before
from agentllm.errors import AgentLLMError, InvalidRequest, origin

MAX_LIMIT = 200

_log = logging.getLogger(__name__)


class ReleaseTools(Toolkit):
    """Reads one repository and answers in Markdown; what fails is said in the answer.

    The tools block while they read, and Agno runs them in threads when a run is async.
    """

    def __init__(self, repository: str | None = None) -> None:
        """`repository` is a path; None is the repository around the working directory."""
        self._repository = repository
        super().__init__(
            name="release",
            tools=[
                self.commits_since_last_release,
                self.next_version,
                self.changelog,
                self.release_checklist,
                self.compare_tags,
            ],
        )

    def commits_since_last_release(self, since: str = "", until: str = "HEAD", limit: int = 50) -> str:
        """List the commits since the last release tag, grouped by type (Conventional Commits).

        Args:
            since: Begin after this tag, branch or commit hash; empty for the last release.
            until: End with this tag, branch or commit hash.
            limit: How many commits to list, 1 to 200; totals are always complete.
        """
        return self._answer(lambda repository: _commits(repository, since, until, _bounded(limit)))

    def next_version(self) -> str:
        """Tell the next semantic version number to release, and the reason for it."""
        return self._answer(_next_version)

    def changelog(self, version: str = "", since: str = "") -> str:
        """Write the changelog section (release notes) of a version in the Keep a Changelog form.

        Args:
            version: A release's version, or the one to come; empty for the next version.
            since: Begin after this tag, branch or commit hash; empty for the release before.
        """
        today = datetime.now(UTC).date()
        return self._answer(
            lambda repository: changelog.render(changelog.plan_section(repository, version, since, today))
        )

    def release_checklist(self, version: str = "") -> str:
        """Make the checklist for the next release: what is done, what is to do, what a person must do.

        Args:
            version: The version to release; empty for the computed next version.
        """
        return self._answer(lambda repository: _checklist(repository, version))

    def compare_tags(self, older: str = "", newer: str = "", limit: int = 50) -> str:
        """Compare two tags or releases: commits, groups, authors, and files with added and deleted lines.

        Args:
            older: A tag, branch or commit hash; empty for the release before the last.
            newer: A tag, branch or commit hash; empty for the last release, or HEAD where `older` is that.
            limit: How many commits to list, 1 to 200; totals are always complete.
        """
        return self._answer(lambda repository: _compare(repository, older, newer, _bounded(limit)))

    def _answer(self, work: Callable[[Repository], str]) -> str:
        try:
            with open_repository(self._repository) as repository:
                return work(repository)
        except AgentLLMError as error:
            return error.message
        except Exception as error:
            # A damaged repository can raise anything in dulwich, and Agno would hand the text of it, paths
            # and all, to the model.
            _log.warning("release_manager.read_failed: %s", origin(error))
            return f"The repository that {VARIABLE} names could not be read: it seems to be damaged."


def _commits(repository: Repository, since: str, until: str, limit: int) -> str:
    newer = resolve(repository, until or "HEAD")
    if since:
        older: Commit | None = resolve(repository, since)
        base = quoted(since)
    else:
        latest = find_releases(repository, newer).latest
        older = latest.commit if latest else None
        base = quoted(latest.tag) if latest else "the beginning, as no release tag is in this history"
    history = read_history(repository, newer, older)
    head = f"**{history.size} since {base}**"
    return f"{head}\n\n{list_groups(history.changes, limit)}".rstrip() + history.caveat


def _next_version(repository: Repository) -> str:
    plan = make_plan(repository)
    return describe_next(plan, taken=plan.next.tag in repository.tags())


def _checklist(repository: Repository, version: str) -> str:
    if version and not (parse_tag(version) and is_name(version)):
        raise InvalidRequest(
            f"{one_line(version, 60)!r} is no semantic version. Write one like v1.4.0, or leave it out."
        )
    plan = make_plan(repository)
    wanted = plan.next.tag if parse_tag(version) in (None, plan.next.version) else version
    return checklist.render(repository, plan, wanted, taken=wanted in repository.tags())


def _compare(repository: Repository, older: str, newer: str, limit: int) -> str:
    newer = newer or _last_release(repository, unlike=older)
    older = older or _release_before(repository, newer)
    found = comparison.compare(repository, resolve(repository, older), resolve(repository, newer))
    return comparison.render(found, older, newer, limit)


def _last_release(repository: Repository, unlike: str) -> str:
    latest = find_releases(repository, repository.head()).latest
    return latest.tag if latest and latest.tag != unlike else "HEAD"


def _release_before(repository: Repository, newer: str) -> str:
    before = release_before(repository, resolve(repository, newer), parse_tag(newer))
    if before is None:
        raise InvalidRequest(f"There is no release before {one_line(newer, 60)!r} to compare it with.")
    return before.tag


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MAX_LIMIT)
