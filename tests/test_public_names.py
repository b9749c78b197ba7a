"""What `agentllm` exports, and that importing it does nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import agentllm
from tests.proxy import clean_environment

PUBLIC_NAMES = {"AgentLLMError", "ConfigurationError", "UnifiedAgent", "register"}

MODULES = (
    "agentllm",
    "agentllm.core",
    "agentllm.errors",
    "agentllm.settings",
    "agentllm.cli",
    "agentllm.catalog",
    "agentllm.conversations",
    "agentllm.conversations.store",
    "agentllm.llm.unified",
    "agentllm.runtimes",
)

_WATCHED_IMPORT = """
import json, logging, os, sys, threading

MODULE = sys.argv[1]
opened, read = [], []

def caller(depth):
    frame = sys._getframe(depth)
    while frame and frame.f_globals.get("__name__") in {"os", "collections.abc", "__main__", "codecs", "pathlib"}:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "") if frame else ""

class Watched(type(os.environ)):
    def __init__(self, real):
        self.__dict__.update(real.__dict__)
    def __getitem__(self, name):
        read.append([caller(2), name])
        return super().__getitem__(name)
    def __iter__(self):
        read.append([caller(2), "*"])
        return super().__iter__()

def watch(event, arguments):
    if event == "open" and caller(2).split(".")[0] == "agentllm":
        opened.append(str(arguments[0]))
    if event in {"sqlite3.connect", "socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.putenv"}:
        opened.append(event)

os.environ = Watched(os.environ)
sys.addaudithook(watch)
before = set(os.listdir())
__import__(MODULE)
print(json.dumps({
    "heavy": sorted({"litellm", "agno", "temporalio", "google.adk", "a2a", "openai"} & sys.modules.keys()),
    "opened": opened,
    "read": sorted(name for module, name in read if module.split(".")[0] == "agentllm"),
    "made": sorted(set(os.listdir()) - before),
    "threads": threading.active_count(),
    "handlers": len(logging.getLogger().handlers) + len(logging.getLogger("agentllm").handlers),
}))
"""


def test_the_exported_names_are_these() -> None:
    assert set(agentllm.__all__) == PUBLIC_NAMES
    assert all(getattr(agentllm, name).__doc__ for name in PUBLIC_NAMES)


def test_the_package_says_what_it_is() -> None:
    assert len((agentllm.__doc__ or "").split()) > 3


def _import_watched(module: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCHED_IMPORT, module],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    watched: dict[str, object] = json.loads(done.stdout)
    return watched


@pytest.mark.parametrize("module", MODULES)
def test_importing_does_nothing(module: str, tmp_path: Path) -> None:
    """No framework and no LiteLLM is loaded, nothing opened, read, made, started or configured."""
    assert _import_watched(module, tmp_path) == {
        "heavy": [],
        "opened": [],
        "read": [],
        "made": [],
        "threads": 1,
        "handlers": 0,
    }


def test_the_watch_sees_what_a_module_does(tmp_path: Path) -> None:
    careless = tmp_path / "agentllm"
    careless.mkdir()
    (careless / "__init__.py").write_text(
        "import os, sqlite3\n"
        "os.getenv('HOME')\n"
        "'A' in os.environ\n"
        "open('made', 'w').close()\n"
        "sqlite3.connect(':memory:').close()\n"
    )
    watched = _import_watched("agentllm", tmp_path)
    assert watched["read"] == ["A", "HOME"]
    assert watched["opened"] == ["made", "sqlite3.connect"]
    assert watched["made"] == ["made"]
