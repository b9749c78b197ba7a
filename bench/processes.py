"""Processes that a benchmark starts, asks whether they are ready, weighs and stops again."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.jobs import Job, Result

ROOT = Path(__file__).resolve().parents[1]


class BenchError(Exception):
    """The benchmark cannot go on; the message says what to look at."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """A server process in a group of its own, with its output in a file."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait_ready(self, port: int, path: str, timeout: float = 120.0) -> None:
        """Wait until `GET path` is answered with 200.

        Raises:
            BenchError: it ended, or is not ready within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not _answers(port, path):
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"not ready after {timeout} s or ended; the end of {self.log}:\n{self.tail()}")
            time.sleep(0.05)

    def resident(self) -> int:
        """Bytes of resident memory of the process and all its descendants."""
        return sum(_resident(pid) for pid in _tree(self._popen.pid))

    def tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])

    def stop(self) -> None:
        """Stop it and what it started; takes at most fifteen seconds."""
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(seconds)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)


class LoadGenerator:
    """The process that asks: `with LoadGenerator() as load: load.run(job)`."""

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._pending = b""

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "bench.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._popen is not None
        self._popen.terminate()
        self._popen.wait(10)

    def run(self, job: Job) -> Result:
        """Do `job`.

        Raises:
            BenchError: it takes longer than its own limits allow.
        """
        assert self._popen is not None
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(dataclasses.asdict(job)).encode() + b"\n")
        self._popen.stdin.flush()
        return Result(**json.loads(self._line(job.ramp + job.seconds + job.timeout + 30)))

    def _line(self, timeout: float) -> bytes:
        assert self._popen is not None
        assert self._popen.stdout is not None
        deadline = time.monotonic() + timeout
        pipe = self._popen.stdout.fileno()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(pipe, 1 << 20) if ready else b""
            if not piece:
                raise BenchError(f"the load generator gave no result within {timeout:.0f} s")
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tree(pid: int) -> list[int]:
    """`pid` and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(found for child in children for found in _tree(int(child)))]


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
