"""Which agents exist: discovered in folders, YAML files, installed packages, and those that ship."""

from agentllm.catalog.catalog import BrokenAgent, Catalog, load_catalog

__all__ = ["BrokenAgent", "Catalog", "load_catalog"]
