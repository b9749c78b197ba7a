"""The keys that are good now: those of the file, read again when it changes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TypeAlias

from agentllm.errors import ConfigurationError
from agentllm.keys.file import KeyFile
from agentllm.keys.key import Key, hash_of

log = logging.getLogger("agentllm.keys")

_Version: TypeAlias = tuple[int, int, int, int] | None


class KeyRing:
    """Finds keys in the newest version of their file that can be read.

    A file that an edit broke is logged with its line, and the version before it stays good. A file
    that is gone holds no keys.

    Raises:
        ConfigurationError: the file is wrong, or there is no folder for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        if not path.parent.is_dir():
            raise ConfigurationError(f"AGENTLLM_KEYS names {str(path)!r}, but the folder of that file does not exist.")
        self._version: _Version = (0, 0, 0, 0)
        self._version = self._version_now()
        self._read()

    def is_current(self) -> bool:
        """Whether `find` answers without reading the file; costs one look at its status."""
        return self._version_now() == self._version

    def find(self, secret: str) -> Key | None:
        """The key `secret`, expired or not; None if there is none. Reads the file if it has changed."""
        with self._lock:
            if (version := self._version_now()) != self._version:
                self._version = version
                try:
                    self._read()
                    log.info("%d keys were read again", len(self._keys))
                except ConfigurationError as error:
                    log.error("The keys stay as they were before the last change: %s", error.message)
            return self._keys.get(hash_of(secret))

    def with_hash(self, hash_: str) -> Key | None:
        """The key of that hash among those that were read last; None if there is none."""
        return self._keys.get(hash_)

    def _read(self) -> None:
        if self._version is None:
            log.warning("There is no file of keys %r, so only the master key is good.", str(self._path))
            self._keys = {}
        else:
            self._keys = {key.hash: key for key in KeyFile(self._path).read()}

    def _version_now(self) -> _Version:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return self._version
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
