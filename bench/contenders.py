"""The four that are compared, and how each is started."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from bench.jobs import KEY, TOKENS, Dialect, Job, Kind, Result, Target
from bench.processes import ROOT, LoadGenerator, Process, free_port
from tests.scripted_llm import ScriptedLLM

Name = Literal["llm", "bare", "agentos", "ours"]

_KINDS: tuple[Kind, ...] = ("tokens-20", "tokens-200", "live-200-50")
_AGENTS: dict[Kind, str] = {"tokens-20": "bench-20", "tokens-200": "bench-200", "live-200-50": "bench-live"}
_OWN_PREFIXES = ("LITELLM_", "AGENTLLM_", "AGNO_", "OPENAI_", "GEMINI_", "GOOGLE_", "ANTHROPIC_", "OLLAMA_")
_OWN_NAMES = {"DATABASE_URL", "PYTHONUNBUFFERED", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started on a port, and the path that tells that it is ready."""

    command: Sequence[str]
    env: Mapping[str, str]
    ready: str


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the compared; without `launch` it is the scripted model itself."""

    name: Name
    title: str
    dialect: Dialect
    models: Mapping[Kind, str]
    launch: Callable[[Path, int, str], Launch] | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that is up."""

    contender: Contender
    port: int
    process: Process | None
    folder: Path

    def target(self, kind: Kind) -> Target:
        """Its model that answers as `kind` says."""
        return Target(self.contender.dialect, self.port, self.contender.models[kind])


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs: a folder for files, the model, the load generator, the size of the run."""

    folder: Path
    llm: ScriptedLLM
    load: LoadGenerator
    names: Sequence[Name]
    quick: bool

    @contextlib.contextmanager
    def running(self, name: Name, env: Mapping[str, str] | None = None) -> Iterator[Running]:
        """A contender, ready, in a folder of its own, with more variables; stopped at the end of the block."""
        contender = CONTENDERS[name]
        if contender.launch is None:
            yield Running(contender, int(self.llm.url.rpartition(":")[2]), None, self.folder)
            return
        port = free_port()
        folder = self.folder / f"{name}-{port}"
        folder.mkdir()
        launch = contender.launch(folder, port, self.llm.openai_base)
        process = Process(launch.command, {**environment(), **launch.env, **(env or {})}, folder / "log.txt")
        try:
            process.wait_ready(port, launch.ready)
            yield Running(contender, port, process, folder)
        finally:
            process.stop()

    def ask(
        self,
        running: Running,
        kind: Kind,
        *,
        stream: bool,
        clients: int = 1,
        seconds: float = 60.0,
        requests: int = 1_000_000,
        **more: Any,
    ) -> Result:
        """Put load on a contender; see `Job`, of which `more` are further fields."""
        target = running.target(kind)
        return self.load.run(Job(target, TOKENS[kind], stream, clients, seconds, requests, **more))

    def only(self, *names: Name) -> Bench:
        """The same with those contenders of `names` that were chosen."""
        return dataclasses.replace(self, names=[name for name in self.names if name in names])


def environment() -> dict[str, str]:
    """That of this process without what configures one of the compared, and what all of them get."""
    kept = {k: v for k, v in os.environ.items() if k.upper() not in _OWN_NAMES and not k.startswith(_OWN_PREFIXES)}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "AGNO_TELEMETRY": "false", "LITELLM_MASTER_KEY": KEY}


def _proxy(config: Path, port: int, env: Mapping[str, str]) -> Launch:
    litellm = str(Path(sys.executable).parent / "litellm")
    command = [litellm, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    return Launch(command, env, "/health/readiness")


def _bare(folder: Path, port: int, llm: str) -> Launch:
    """LiteLLM with our general settings, without our plug-in; its models are the scripted ones."""
    ours = yaml.safe_load((ROOT / "proxy_config.yaml").read_text())
    general = {k: v for k, v in ours["general_settings"].items() if not k.startswith("custom_auth")}
    models = [
        {"model_name": kind, "litellm_params": {"model": f"openai/{kind}", "api_base": llm, "api_key": "x"}}
        for kind in _KINDS
    ]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"model_list": models, "general_settings": general}))
    return _proxy(config, port, {})


def _ours(folder: Path, port: int, llm: str) -> Launch:
    """The proxy with the repository's own configuration and the benchmark's agents."""
    env = {
        "AGENTLLM_AGENTS": str(ROOT / "bench" / "agents"),
        "AGENTLLM_DATA_DIR": str(folder / "data"),
        "BENCH_LLM": llm,
    }
    return _proxy(ROOT / "proxy_config.yaml", port, env)


def _agentos(folder: Path, port: int, llm: str) -> Launch:
    command = [sys.executable, "-m", "uvicorn", "--factory", "bench.agentos_app:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop"]
    env = {"BENCH_LLM": llm, "BENCH_DB": str(folder / "agentos.db")}
    kind = os.environ.get("BENCH_DB_KIND")
    return Launch(command, {**env, "BENCH_DB_KIND": kind} if kind else env, "/health")


CONTENDERS: dict[Name, Contender] = {
    "llm": Contender("llm", "the scripted model alone", "openai", {kind: kind for kind in _KINDS}),
    "bare": Contender("bare", "bare LiteLLM proxy", "openai", {kind: kind for kind in _KINDS}, _bare),
    "agentos": Contender("agentos", "Agno AgentOS", "agentos", _AGENTS, _agentos),
    "ours": Contender("ours", "AgentLLM", "openai", {k: f"agno/{v}" for k, v in _AGENTS.items()}, _ours),
}
