"""Imports point one way: the rules of the design's layout, read from the sources themselves."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import agentllm

assert agentllm.__file__ is not None
ROOT = Path(agentllm.__file__).parent

BASE = ("core", "around", "characters", "rests", "errors", "settings")
MIDDLE = ("keys", "conversations", "idempotency", "catalog", "runtimes", "llm", "hotswap", "agents")
TOP = ("gateway", "cli", "cli_cost", "cli_hotswap", "cli_sessions", "durable", "a2a")

OWNERS = {
    "litellm": ("gateway", "llm"),
    "agno": ("runtimes.agno", "llm", "agents"),
    "langchain_core": ("runtimes.agno",),
    "google.adk": ("runtimes.adk",),
    "temporalio": ("durable", "runtimes.temporal"),
    "a2a": ("a2a",),
}
"""Who alone imports a framework."""


class Import(NamedTuple):
    """One import: of what, by whom, and whether it happens when the module is imported."""

    module: str
    line: int
    target: str
    at_import: bool


def imports_in(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """The imports of a module, those for type checkers too; relative ones in full."""
    package = module.split(".") if is_package else module.split(".")[:-1]

    def visit(node: ast.AST, at_import: bool) -> Iterator[Import]:
        at_import = at_import and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        at_import = at_import and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name, at_import)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            for alias in node.names:
                yield Import(
                    module, node.lineno, ".".join([*base, *filter(None, [node.module]), alias.name]), at_import
                )
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_import)

    return visit(ast.parse(source), True)


def _all_imports() -> Iterator[Import]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["agentllm", *path.relative_to(ROOT).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        yield from imports_in(path.read_text(encoding="utf-8"), module, is_package=is_package)


def within(module: str, places: tuple[str, ...]) -> bool:
    """Whether `module` is one of `places` or in it."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def ours(*parts: str) -> tuple[str, ...]:
    return tuple(f"agentllm.{part}" for part in parts)


IMPORTS = tuple(_all_imports())


def test_every_part_of_the_package_has_its_place_in_the_rules() -> None:
    parts = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__"} <= {*BASE, *MIDDLE, *TOP}


@pytest.mark.parametrize("framework", OWNERS)
def test_a_framework_is_imported_by_its_owners_alone(framework: str) -> None:
    strangers = [
        found
        for found in IMPORTS
        if within(found.target, (framework,)) and not within(found.module, ours(*OWNERS[framework]))
    ]
    assert strangers == []


def test_the_base_imports_only_the_base() -> None:
    assert [
        found
        for found in IMPORTS
        if within(found.module, ours(*BASE))
        and within(found.target, ("agentllm",))
        and not within(found.target, ours(*BASE))
    ] == []


@pytest.mark.parametrize("module", ["core", "errors"])
def test_core_and_errors_need_nothing_but_python(module: str) -> None:
    foreign = {found.target.split(".")[0] for found in IMPORTS if found.module == f"agentllm.{module}"}
    assert foreign <= {*sys.stdlib_module_names}


@pytest.mark.parametrize("module", ["core", "errors"])
def test_core_and_errors_do_no_io(module: str) -> None:
    used = {found.target.split(".")[0] for found in IMPORTS if found.module == f"agentllm.{module}"}
    assert used.isdisjoint({"os", "io", "pathlib", "socket", "subprocess", "logging", "sqlite3", "asyncio"})


def test_nothing_below_the_top_imports_the_top() -> None:
    assert [
        found for found in IMPORTS if within(found.module, ours(*BASE, *MIDDLE)) and within(found.target, ours(*TOP))
    ] == []


def test_conversations_know_no_agent_and_no_catalog() -> None:
    known = ours("conversations", *BASE)
    assert [
        found
        for found in IMPORTS
        if within(found.module, ours("conversations"))
        and within(found.target, ("agentllm",))
        and not within(found.target, known)
    ] == []


def test_the_parts_import_each_other_in_no_circle() -> None:
    needs: dict[str, set[str]] = {}
    for found in IMPORTS:
        if within(found.target, ("agentllm",)) and found.module.count(".") and found.target.count("."):
            part, other = found.module.split(".")[1], found.target.split(".")[1]
            if part != other:
                needs.setdefault(part, set()).add(other)
    assert set(TopologicalSorter(needs).static_order()) <= {*BASE, *MIDDLE, *TOP}


@pytest.mark.parametrize("module", ["agentllm", "agentllm.cli"])
def test_what_is_imported_first_imports_only_the_base(module: str) -> None:
    """The rest is imported by the command or function that needs it."""
    assert [
        found
        for found in IMPORTS
        if found.module == module
        and found.at_import
        and within(found.target, ("agentllm",))
        and not within(found.target, ours(*BASE, "cli_cost", "cli_hotswap", "cli_sessions"))
    ] == []


class TestReadingImports:
    @pytest.mark.parametrize(
        ("source", "target", "at_import"),
        [
            ("import litellm", "litellm", True),
            ("import litellm.types as t", "litellm.types", True),
            ("from agentllm.gateway import plugin", "agentllm.gateway.plugin", True),
            ("from agentllm import gateway", "agentllm.gateway", True),
            ("from . import sister", "agentllm.llm.sister", True),
            ("from .sister import x", "agentllm.llm.sister.x", True),
            ("from ..gateway import x", "agentllm.gateway.x", True),
            ("if TYPE_CHECKING:\n    import agno", "agno", False),
            ("try:\n    import agno\nexcept ImportError: ...", "agno", True),
            ("class A:\n    import agno", "agno", True),
            ("def f():\n    import agno", "agno", False),
            ("async def f():\n    if x:\n        import agno", "agno", False),
        ],
    )
    def test_an_import_is_found_wherever_it_stands(self, source: str, target: str, at_import: bool) -> None:
        found = list(imports_in(source, "agentllm.llm.router"))
        assert [(one.target, one.at_import) for one in found] == [(target, at_import)]

    def test_a_package_is_its_own_parent(self) -> None:
        found = list(imports_in("from .router import x", "agentllm.llm", is_package=True))
        assert [one.target for one in found] == ["agentllm.llm.router.x"]

    def test_a_name_that_begins_alike_is_another(self) -> None:
        assert not within("agnostic", ("agno",))
        assert within("agno", ("agno",))
        assert within("agno.agent.Agent", ("agno",))
