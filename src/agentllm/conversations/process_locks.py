"""Locks that processes share; here those of one machine, through a file."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
from pathlib import Path
from typing import ClassVar, Protocol

from agentllm.errors import ConfigurationError, StoreUnavailable

log = logging.getLogger("agentllm.locks")

UNAVAILABLE = "The conversation could not be locked: its store is not available."


class ProcessLocks(Protocol):
    """Locks that at most one process has at a time; those of a process that ends are free again."""

    async def try_lock(self, name: str) -> bool:
        """Take the lock of `name` if nobody has it, this process included; does not wait for its holder.

        Cancelling this leaves the lock as it was.

        Raises:
            StoreUnavailable: it cannot be found out.
        """
        ...

    def unlock(self, name: str) -> None:
        """Give back the lock of `name`; neither blocks nor fails. Nothing happens where it was lost before."""
        ...

    def close(self) -> None:
        """Give back all locks and let go of what holds them; it cannot be used afterwards."""
        ...


def lock_key(name: str) -> int:
    """60 bits of `name`. Two names that share them only wait for each other."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 4


class FileLocks:
    """Implements `ProcessLocks` for the processes of one machine: each lock is a byte of the file `path`.

    They are the kernel's record locks, which it frees however a process ends; the file stays empty.
    All instances of one process with the same path are one, as a process loses all its locks in a
    file with the first descriptor of it that it closes. The file must not be removed while it is used.

    Raises:
        ConfigurationError: the file can be neither opened nor made.
    """

    def __init__(self, path: Path) -> None:
        self._file: _LockFile | None = _LockFile.open(path)

    async def try_lock(self, name: str) -> bool:
        assert self._file is not None, "closed"
        return self._file.try_lock(lock_key(name))

    def unlock(self, name: str) -> None:
        if self._file is not None:
            self._file.unlock(lock_key(name))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.leave()


class _LockFile:
    """An open lock file and what this process holds of it."""

    _guard: ClassVar = threading.Lock()
    _open: ClassVar[dict[Path, _LockFile]] = {}

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = 0
        self._held: set[int] = set()
        self._process = os.getpid()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @classmethod
    def open(cls, path: Path) -> _LockFile:
        try:
            with cls._guard:
                path = path.resolve()
                file = cls._open.get(path) or cls(path)
                cls._open[path] = file
                file._users += 1
                return file
        except OSError as error:
            raise ConfigurationError(
                f"Conversations cannot be locked with the file {str(path)!r}: {error.strerror}. "
                "Keep them in a folder that can be written."
            ) from None

    def leave(self) -> None:
        with self._guard:
            self._users -= 1
            if self._users == 0:
                del self._open[self._path]
                os.close(self._descriptor)

    def try_lock(self, key: int) -> bool:
        with self._guard:
            self._forget_if_forked()
            if key in self._held:
                return False
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key)
            except (BlockingIOError, PermissionError):
                return False
            except OSError as error:
                log.error("a lock file cannot be used: %s", error.strerror)
                raise StoreUnavailable(UNAVAILABLE) from None
            self._held.add(key)
            return True

    def unlock(self, key: int) -> None:
        with self._guard:
            self._forget_if_forked()
            if key in self._held:
                self._held.remove(key)
                with contextlib.suppress(OSError):
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, key)

    def _forget_if_forked(self) -> None:
        """Record locks are not inherited."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._held.clear()
