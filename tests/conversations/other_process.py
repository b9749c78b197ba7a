"""Another process that uses the locks: `python -m tests.conversations.other_process WHERE hold NAME` and the like.

`hold` says "held" when it has the lock, and gives it back when it is told a line.
`count` adds to the number in a file, again and again, under the lock.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from agentllm.conversations.locks import AdvisoryLocks, FileLocks, Locks, ProcessLocks
from tests.proxy import ROOT

SECONDS = 30
TIMES = 100


def shared_locks(where: str) -> ProcessLocks:
    """The locks at `where`: a database's URL or a file."""
    return AdvisoryLocks(where) if "://" in where else FileLocks(Path(where))


class OtherProcess:
    """A process that does what the module's docstring says, killed with the `async with` block if it still runs."""

    def __init__(self, where: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", "tests.conversations.other_process", where, *arguments]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, cwd=ROOT, stdin=pipe, stdout=pipe)
        try:
            assert await self.says() == "ready"
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            await self.kill()

    async def says(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), SECONDS)).decode().strip()

    async def give_back(self) -> None:
        """Have it give back its lock, and wait for its end."""
        await asyncio.wait_for(self._process.communicate(b"\n"), SECONDS)
        assert self._process.returncode == 0

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        await asyncio.wait_for(self._process.communicate(), SECONDS)


async def _hold(locks: Locks, name: str) -> None:
    async with locks.hold(name):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


async def _count(locks: Locks, name: str, number: Path) -> None:
    for _ in range(TIMES):
        async with locks.hold(name):
            seen = _read(number)
            await asyncio.sleep(0)
            _write(number, seen + 1)
    print("counted", flush=True)


def _read(number: Path) -> int:
    return int(number.read_text())


def _write(number: Path, value: int) -> None:
    number.write_text(str(value))


async def _main(where: str, action: str, name: str, *arguments: str) -> None:
    locks = Locks(shared_locks(where))
    print("ready", flush=True)
    try:
        await (_hold(locks, name) if action == "hold" else _count(locks, name, Path(*arguments)))
    finally:
        locks.close()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
