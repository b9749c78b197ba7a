"""A real proxy as a process, for the tests that talk to it over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from agentllm.settings import PREFIX, PROVIDER_VARIABLES, TEST_KEY

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
_FOREIGN = (PREFIX, "LITELLM_", "OPENAI_", "GEMINI_", "GOOGLE_", "RELEASE_MANAGER_", "DATABASE_URL")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment as on a machine where nothing is configured, and `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name not in PROVIDER_VARIABLES
    }
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "AGNO_TELEMETRY": "false", **extra}


class Proxy:
    """A LiteLLM proxy with AgentLLM in it, in a process that ends with the `with` block.

    Args:
        environment: variables beside those of a machine where nothing is configured.
        config: LiteLLM's configuration; None is the project's own.
        command: what starts it, before the options for configuration and port.

    Raises:
        RuntimeError: it is not ready within `START_SECONDS`, or ends; the message has its log.
    """

    key = TEST_KEY

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        config: Path | None = None,
        command: tuple[str, ...] = ("agentllm", "serve"),
    ) -> None:
        self._folder = folder
        self._environment = {f"{PREFIX}DATA_DIR": str(folder / "data"), **(environment or {})}
        self._config = config or ROOT / "proxy_config.yaml"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI clients."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once, with SIGKILL; its `with` block then has nothing to do."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait(15)

    @property
    def log(self) -> str:
        """All that it has logged."""
        return (self._folder / "proxy.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        program = Path(sys.executable).with_name(self._command[0])
        with (self._folder / "proxy.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), *self._command[1:], "--config", str(self._config), "--port", str(port)],
                cwd=self._folder,
                env=clean_environment(**self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        assert self._process is not None
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self.log[-4_000:]
                self.__exit__(None, None, None)
                raise RuntimeError(f"the proxy did not start:\n{log}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/readiness", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False
