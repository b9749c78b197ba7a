"""What stands between HEAD and a release, as far as the repository shows it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator

from semver import Version

from agentllm.agents.release_manager.plan import Plan, short
from agentllm.agents.release_manager.repository import Repository
from agentllm.agents.release_manager.text import counted, decode, one_line, quoted
from agentllm.agents.release_manager.versions import count_breaking, parse_tag

MAX_FILE_BYTES = 1024 * 1024

CHANGELOGS = ("CHANGELOG.md", "CHANGES.md", "HISTORY.md", "CHANGELOG.rst", "CHANGES.rst")


def render(repository: Repository, plan: Plan, version: str, taken: bool) -> str:
    """The checklist as Markdown for releasing HEAD as `version`, a semantic version with or without `v`.

    A ticked box is done, an open one is to do; what only a person can know or do is marked so. The
    working tree is not looked at. `taken` says that the tag exists already.
    """
    lines = [f"**Release checklist for {quoted(version)}** ({_position(repository, plan)})", ""]
    lines += _history_items(plan, version, taken)
    lines += _file_items(repository, plan, version)
    lines += [
        _todo("Person: the working tree is clean and pushed; only committed content was looked at."),
        _todo(f"Person: the tests pass on {short(plan.head)}."),
        _todo(f"Person: tag and push: `git tag -a {version}`, `git push origin {version}`."),
    ]
    return "\n".join(lines) + plan.since_latest.caveat


def declared_versions(repository: Repository, plan: Plan) -> dict[str, str | None]:
    """The version in each manifest that HEAD has, in its root folder; None where it states none."""
    found: dict[str, str | None] = {}
    for path, read in _MANIFESTS.items():
        data = repository.file(plan.head, path)
        if data is None or len(data) > MAX_FILE_BYTES:
            continue
        try:
            version = read(decode(data))
        except (ValueError, RecursionError):
            version = None
        found[path] = one_line(version, 60) if isinstance(version, str) else None
    return found


def _position(repository: Repository, plan: Plan) -> str:
    branch = repository.branch()
    return f"HEAD {short(plan.head)}, {f'branch {quoted(branch)}' if branch else 'detached'}"


def _history_items(plan: Plan, version: str, taken: bool) -> Iterator[str]:
    yield _item(not plan.is_released, f"{plan.since_latest.size} to release; {plan.last_release}.")
    if version == plan.next.tag and not plan.is_released:
        yield _done(f"Version {quoted(version)}: {plan.next.reason}.")
    else:
        yield _todo(f"Person: {quoted(version)} is the right version; computed is {plan.next.tag}.")
    yield _item(not taken, f"The tag {quoted(version)} {'exists already' if taken else 'is free'}.")
    breaking = count_breaking(plan.since_stable.changes)
    if breaking:
        yield _todo(f"Person: a migration note for {counted(breaking, 'breaking change')}.")
    else:
        yield _done("No commit is marked as breaking.")


def _file_items(repository: Repository, plan: Plan, version: str) -> Iterator[str]:
    parsed = parse_tag(version)
    number = str(parsed) if parsed else version
    name, text = _changelog(repository, plan)
    if name:
        mentioned = re.search(rf"(?m)^\W*v?{re.escape(number)}(?![\w.-])", text) is not None
        yield _item(mentioned, f"{name} {'has' if mentioned else 'lacks'} an entry for {number}.")
    else:
        yield _todo("There is no changelog in the root folder.")
    for path, declared in declared_versions(repository, plan).items():
        if declared is None:
            yield _item(True, f"{path} states no version of its own.")
        else:
            yield _item(_is_same(declared, parsed), f"{path} says {quoted(declared)}; {number} is wanted.")


def _changelog(repository: Repository, plan: Plan) -> tuple[str | None, str]:
    for name in CHANGELOGS:
        data = repository.file(plan.head, name)
        if data is not None:
            return name, decode(data)
    return None, ""


def _is_same(declared: str, wanted: Version | None) -> bool:
    return wanted is not None and declared.removeprefix("v") == str(wanted)


def _pyproject(text: str) -> object:
    document = tomllib.loads(text)
    tool = _table(document.get("tool"))
    return _table(document.get("project")).get("version") or _table(tool.get("poetry")).get("version")


def _cargo(text: str) -> object:
    document = tomllib.loads(text)
    workspace = _table(_table(document.get("workspace")).get("package"))
    own = _table(document.get("package")).get("version")
    return own if isinstance(own, str) else workspace.get("version")


def _package_json(text: str) -> object:
    return _table(json.loads(text)).get("version")


def _setup_cfg(text: str) -> object:
    match = re.search(r"(?m)^\[metadata\][^\[]*?^version\s*=\s*(\S+)", text)
    return match[1] if match and not match[1].startswith(("attr:", "file:")) else None


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _item(is_done: bool, text: str) -> str:
    return f"- [{'x' if is_done else ' '}] {text}"


def _done(text: str) -> str:
    return _item(True, text)


def _todo(text: str) -> str:
    return _item(False, text)


_MANIFESTS: dict[str, Callable[[str], object]] = {
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "package.json": _package_json,
    "Cargo.toml": _cargo,
    "VERSION": str.strip,
}
