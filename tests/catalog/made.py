"""Folders of agents, made for a test, and the catalog of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from agentllm.catalog import Catalog, load_catalog
from agentllm.catalog.catalog import NameCheck
from agentllm.catalog.discovery import SHIPPED
from agentllm.settings import Settings

AGENT = """
from agno.agent import Agent

def {name}() -> Agent:
    '''The agent {name}.'''
    return Agent()
"""


def write(path: Path, text: str) -> Path:
    """The file at `path` with `text`, its folders made and its indentation removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def an_agent(folder: Path, name: str) -> Path:
    """A file with one agent function, both called `name`."""
    return write(folder / f"{name}.py", AGENT.format(name=name))


def load(*places: Path, why_not: NameCheck = lambda name: None) -> Catalog:
    """The catalog with `places` as the user's own."""
    return load_catalog(Settings(agents=places), why_not=why_not)


def names(catalog: Catalog) -> set[str]:
    """The agents beside those that ship."""
    return catalog.agents.keys() - SHIPPED.keys()
