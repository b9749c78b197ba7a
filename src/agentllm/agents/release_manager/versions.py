"""Which release was the last, and which version comes next: SemVer 2.0.0 over the tags of a repository."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dulwich.objects import Commit, ObjectID
from semver import Version

from agentllm.agents.release_manager.commits import Change
from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.text import counted

Level = Literal["breaking", "feature", "fix"]

FIRST = Version(0, 1, 0)
MAX_TAG_LENGTH = 100
# How many commits in a row, all older than a tag's, end the search for it: as clocks differ, one is not enough.
PATIENCE = 100


@dataclass(frozen=True, slots=True)
class Release:
    """A version tag and its commit."""

    tag: str
    version: Version
    target: ObjectID
    commit: Commit

    @property
    def prefix(self) -> str:
        """`v` where the tag has one."""
        return _prefix(self.tag)


@dataclass(frozen=True, slots=True)
class Releases:
    """The highest version that a commit's history holds, and the highest that is no pre-release."""

    latest: Release | None
    stable: Release | None


@dataclass(frozen=True, slots=True)
class NextVersion:
    """A version to release, as a tag would spell it, and why it is this one."""

    tag: str
    version: Version
    reason: str


def parse_tag(tag: str) -> Version | None:
    """The version that a tag spells, with or without a `v` before it; None for any other tag."""
    if len(tag) > MAX_TAG_LENGTH:
        return None
    try:
        return Version.parse(tag.removeprefix(_prefix(tag)))
    except ValueError:
        return None


def by_version(tags: Collection[str]) -> list[str]:
    """Version tags from the highest to the lowest (SemVer 2.0.0 §11), then all others by name."""
    parsed = {tag: version for tag in tags if (version := parse_tag(tag))}
    return [
        *sorted(sorted(parsed), key=parsed.__getitem__, reverse=True),
        *sorted(tag for tag in tags if tag not in parsed),
    ]


def find_releases(repository: Repository, start: Commit, below: Version | None = None) -> Releases:
    """The releases in the history of `start`, of versions lower than `below` where that is given.

    Reads the history only as far back as the releases found. A release whose commit is younger than 100
    commits in a row that were passed is taken for one of another branch.
    """
    tags = repository.tags()
    ancestry = _Ancestry(repository.walk(start))
    latest = None
    for tag in by_version(tags):
        version = parse_tag(tag)
        if version is None:
            break
        if below is not None and version >= below:
            continue
        commit = repository.peel(tags[tag])
        if commit is None or not ancestry.holds(commit):
            continue
        release = Release(tag, version, tags[tag], commit)
        latest = latest or release
        if version.prerelease is None:
            return Releases(latest, release)
    return Releases(latest, None)


def release_before(repository: Repository, start: Commit, version: Version | None) -> Release | None:
    """The last release in the history of `start` lower than `version`; before a stable one, the last stable one."""
    earlier = find_releases(repository, start, below=version)
    return earlier.latest if version is None or version.prerelease else earlier.stable


def released(repository: Repository, version: Version) -> Release | None:
    """The release of exactly this version, in whatever history it is; None where no tag spells it."""
    tags = repository.tags()
    for tag in sorted(tags):
        if (parsed := parse_tag(tag)) and str(parsed) == str(version):
            commit = repository.peel(tags[tag])
            return Release(tag, parsed, tags[tag], commit) if commit else None
    return None


def next_version(releases: Releases, changes: Sequence[Change]) -> NextVersion:
    """The version for `changes`, all that came after `releases.stable`.

    - no release yet: 0.1.0;
    - a breaking change: major; a feature or a deprecation: minor; anything else: patch (SemVer 2.0.0 §6 to §8);
    - below 1.0.0, where anything may change (§4), a breaking change is minor too;
    - after a pre-release: the version that it prepares, or a higher one if the changes ask for it.

    The prefix of the last release's tag is kept.
    """
    latest, stable = releases.latest, releases.stable
    if latest is None:
        return NextVersion(str(FIRST), FIRST, "no release is tagged yet, and development begins at 0.1.0")
    level = _level(changes)
    bumped = _bump(stable.version, level) if stable else latest.version.finalize_version()
    prepared = latest.version.finalize_version()
    if latest.version.prerelease and bumped <= prepared:
        reason = f"it is what the pre-release {latest.tag} prepares"
        return NextVersion(f"{latest.prefix}{prepared}", prepared, reason)
    assert stable is not None
    reason = _reason(stable, level, changes)
    return NextVersion(f"{latest.prefix}{bumped}", bumped, reason)


def count_breaking(changes: Iterable[Change]) -> int:
    """How many of `changes` are marked as breaking."""
    return sum(change.breaking for change in changes)


class _Ancestry:
    """The ancestors of a commit, walked no further than the questions need."""

    def __init__(self, walk: Iterator[Commit]) -> None:
        self._walk = walk
        self._seen: set[bytes] = set()

    def holds(self, commit: Commit) -> bool:
        older = 0
        while commit.id not in self._seen and older < PATIENCE:
            passed = next(self._walk, None)
            if passed is None:
                return False
            self._seen.add(passed.id)
            older = older + 1 if passed.commit_time < commit.commit_time else 0
        return commit.id in self._seen


def _prefix(tag: str) -> str:
    return tag[0] if tag[:1] in ("v", "V") else ""


def _level(changes: Iterable[Change]) -> Level:
    kinds = {"breaking" if change.breaking else change.kind for change in changes}
    if "breaking" in kinds:
        return "breaking"
    return "feature" if kinds & {"feat", "deprecate"} else "fix"


def _bump(version: Version, level: Level) -> Version:
    if level == "breaking" and version.major:
        return version.bump_major()
    return version.bump_patch() if level == "fix" else version.bump_minor()


def _reason(stable: Release, level: Level, changes: Sequence[Change]) -> str:
    since = f"since {stable.tag}"
    if level == "breaking":
        step = "a major step" if stable.version.major else "only a minor step, as the version is below 1.0.0"
        return f"{counted(count_breaking(changes), 'breaking change')} {since}: {step}"
    if level == "feature":
        features = sum(change.kind in ("feat", "deprecate") for change in changes)
        return f"{counted(features, 'commit')} {since} with features or deprecations, none breaking: a minor step"
    fixes = sum(change.kind in ("fix", "security", "perf", "revert") for change in changes)
    if fixes:
        return f"{counted(fixes, 'commit')} {since} with fixes, none with features or breaking: a patch step"
    return f"no feature, fix or breaking change is marked {since}: a patch step, if a release is wanted at all"
