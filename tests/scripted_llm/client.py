"""Runs the scripted model as a process and talks to it, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.scripted_llm.replies import JsonObject, Reply, Rule, rule_to_json

_ROOT = Path(__file__).resolve().parents[2]
_POLL = 0.005


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """A request that the model got.

    Times are seconds of `time.monotonic()`, which the processes of one machine share. `finished_at`
    is set when all that was to be sent is sent (a scripted cut included), `disconnected_at` when the client left before
    that. `tokens` is known after the end.
    """

    id: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: JsonObject
    stream: bool
    model: str | None
    status: int
    tokens: int
    started_at: float
    finished_at: float | None
    disconnected_at: float | None

    @property
    def open(self) -> bool:
        """Whether the answer is still being given."""
        return self.finished_at is None and self.disconnected_at is None


Requests = Sequence[CapturedRequest]


class ScriptedLLM:
    """A scripted model in a process of its own, which ends with the `with` block or with this process.

    Control calls take about a millisecond and block; all waits have a bound.

    Raises:
        RuntimeError: it does not start within `start_timeout` seconds; the message has its log.
    """

    def __init__(self, *, capture: int = 2000, start_timeout: float = 20.0) -> None:
        self._capture = capture
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.url = ""

    @property
    def openai_base(self) -> str:
        """The base URL for OpenAI clients."""
        return f"{self.url}/v1"

    @property
    def gemini_base(self) -> str:
        """The base URL for Google clients."""
        return self.url

    @property
    def pid(self) -> int:
        """The process id; it must be running."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start the process and wait until it listens."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 — closed by stop()
        command = [sys.executable, "-m", "tests.scripted_llm", "--with-parent", "--capture", str(self._capture)]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self.url = self._first_line()
        return self

    def stop(self) -> None:
        """Stop the process; it takes at most ten seconds."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def script(
        self, *replies: Reply | str, model: str | None = None, contains: str | None = None, times: int | None = 1
    ) -> None:
        """Queue replies, in order; a string is a reply of that text.

        With `model` or `contains` they wait for a request for that model id, or with that piece in
        its last user message. Each is used `times` times, for ever where that is None.
        """
        rules = [Rule(Reply(r) if isinstance(r, str) else r, model, contains, times) for r in replies]
        self._control("script", [rule_to_json(rule) for rule in rules])

    def waiting(self) -> int:
        """How many scripted replies have not been used up."""
        return int(self._control("waiting")["waiting"])

    def requests(self) -> list[CapturedRequest]:
        """The requests since the last reset, oldest first."""
        return [CapturedRequest(**record) for record in self._control("requests")]

    @property
    def open(self) -> int:
        """How many answers are still being given."""
        return sum(request.open for request in self.requests())

    def reset(self) -> None:
        """Forget replies and requests, and drop the answers that are being given."""
        self._control("reset")

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float = 30.0) -> list[CapturedRequest]:
        """The requests, as soon as `predicate` is true of them.

        Raises:
            TimeoutError: it is not true within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not predicate(requests := self.requests()):
            _check(deadline, timeout, requests)
            time.sleep(_POLL)
        return requests

    async def wait_for_async(
        self, predicate: Callable[[Requests], bool], timeout: float = 30.0
    ) -> list[CapturedRequest]:
        """As `wait_for`, and the event loop goes on meanwhile."""
        deadline = time.monotonic() + timeout
        while not predicate(requests := self.requests()):
            _check(deadline, timeout, requests)
            await asyncio.sleep(_POLL)
        return requests

    def _control(self, what: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        try:
            connection.request("POST", f"/_control/{what}", json.dumps(body).encode())
            response = connection.getresponse()
            data = response.read()
            if response.status != 200:
                raise RuntimeError(f"control {what!r} answered {response.status}: {data!r}")
            return json.loads(data)
        finally:
            connection.close()

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        ready, _, _ = select.select([pipe], [], [], self._start_timeout)
        line = os.read(pipe, 1024).decode().strip() if ready else ""
        if not line.startswith("http://"):
            log = self._read_log()
            self.stop()
            raise RuntimeError(f"the scripted model did not start within {self._start_timeout} s: {log}")
        return line

    def _read_log(self) -> str:
        assert self._log is not None
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


def _check(deadline: float, timeout: float, requests: Requests) -> None:
    if time.monotonic() > deadline:
        seen = [(request.path, request.status, request.open) for request in requests]
        raise TimeoutError(f"not true within {timeout} s; requests (path, status, open): {seen}")
