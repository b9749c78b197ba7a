"""Names of commits, as a person or a model writes them."""

from __future__ import annotations

import re

from dulwich.objects import Commit
from dulwich.refs import Ref, check_ref_format

from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.text import one_line
from agentllm.agents.release_manager.versions import by_version
from agentllm.errors import InvalidRequest

MAX_LENGTH = 200
MAX_STEPS = 10_000
TAGS_SHOWN = 10

_REVISION = re.compile(r"(?P<name>[^~^]+)(?P<steps>(?:~[0-9]{0,5}|\^[0-9]{0,2})*)")
_STEP = re.compile(r"([~^])([0-9]*)")
_HASH = re.compile(r"[0-9a-fA-F]{4,40}")


def resolve(repository: Repository, revision: str) -> Commit:
    """The commit that `revision` names: a tag, else a branch, HEAD or a hash, with `~n` and `^n` behind it.

    A hash has 4 to 40 digits. At most 200 characters and 10,000 steps back.

    Raises:
        InvalidRequest: `revision` has another form or names no single commit; the message lists tags.
    """
    match = _REVISION.fullmatch(revision) if len(revision) <= MAX_LENGTH else None
    if match is None or not is_name(match["name"]):
        raise _unusable(repository, revision, "is not a tag, a branch, HEAD or a commit hash")
    commit = _named(repository, revision, match["name"])
    for kind, digits in _STEP.findall(match["steps"]):
        number = int(digits or 1)
        found = _back(repository, commit, number) if kind == "~" else _parent(repository, commit, number)
        if found is None:
            raise _unusable(repository, revision, "goes back further than the history here")
        commit = found
    return commit


def is_name(name: str) -> bool:
    """Whether git would take `name` for a tag or a branch, and no command line would take it for an option."""
    try:
        raw = name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name.isprintable() and not name.startswith("-") and check_ref_format(Ref(b"tags/" + raw))


def _named(repository: Repository, revision: str, name: str) -> Commit:
    commit = repository.named(name)
    if commit is not None:
        return commit
    found = repository.hashed(name) if _HASH.fullmatch(name) else []
    if len(found) == 1:
        return found[0]
    raise _unusable(repository, revision, "fits several commits" if found else "names no commit here")


def _back(repository: Repository, commit: Commit, generations: int) -> Commit | None:
    found: Commit | None = commit
    for _ in range(min(generations, MAX_STEPS + 1)):
        found = _parent(repository, found, 1) if found else None
    return found if generations <= MAX_STEPS else None


def _parent(repository: Repository, commit: Commit, number: int) -> Commit | None:
    if number == 0:
        return commit
    parents = repository.parents(commit)
    return repository.peel(parents[number - 1]) if number <= len(parents) else None


def _unusable(repository: Repository, revision: str, problem: str) -> InvalidRequest:
    tags = by_version(repository.tags())
    shown = ", ".join(one_line(tag, 40) for tag in tags[:TAGS_SHOWN]) or "none"
    more = f" and {len(tags) - TAGS_SHOWN:,} more" if len(tags) > TAGS_SHOWN else ""
    return InvalidRequest(
        f"{one_line(revision, 60)!r} {problem}. Name a tag, a branch, HEAD or a commit hash, "
        f"with ~n or ^n behind it if need be. Tags here: {shown}{more}."
    )
