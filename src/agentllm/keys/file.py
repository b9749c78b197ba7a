"""The file of keys: read with the line of every mistake, and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from agentllm.errors import ConfigurationError
from agentllm.keys.key import Key

LARGEST_FILE = 4 * 1024 * 1024
LONGEST_WAIT = 10.0
"""Seconds that a writer waits for another one."""

_HEADER = "# Keys of AgentLLM, written by `agentllm keys`, which does not keep comments. A key itself is not in here.\n"
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class KeyFile:
    """A YAML file with one entry, `keys`: a list of mappings with the fields of `Key`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Key, ...]:
        """The keys, in their order.

        Raises:
            ConfigurationError: the file cannot be read, is larger than 4 MiB or is wrong; the message
                names file, line and field, and shows no key and no hash.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise ConfigurationError(f"The file of keys {str(self.path)!r} cannot be read: {error.strerror}.") from None
        if len(content) > LARGEST_FILE:
            raise ConfigurationError(f"The file of keys {str(self.path)!r} is larger than {LARGEST_FILE} bytes.")
        return tuple(_Reader(self.path, content).keys())

    def add(self, key: Key) -> None:
        """Add a key; a file that is not there is made.

        Waits up to 10 seconds for another writer. Readers see the file before or after it, never
        between. Only its owner may read the file.

        Raises:
            ConfigurationError: its alias is taken, or the file cannot be read or written.
        """
        with self._alone():
            keys = self.read() if self.path.exists() else ()
            if any(known.alias == key.alias for known in keys):
                raise ConfigurationError(
                    f"There is a key {key.alias!r} already. Name this one with --alias, or revoke that one first."
                )
            self._write([*keys, key])

    def revoke(self, name: str) -> Key:
        """Take out, and return, the key with the alias `name`, or whose hash begins with it (8 digits or more).

        Writes as `add` does.

        Raises:
            ConfigurationError: none or several are called so, or the file cannot be read or written.
        """
        with self._alone():
            keys = self.read() if self.path.exists() else ()
            found = [key for key in keys if key.alias == name]
            found = found or [key for key in keys if len(name) >= 8 and key.hash.startswith(name)]
            if len(found) != 1:
                raise ConfigurationError(
                    f"{len(found) or 'No'} keys in {str(self.path)!r} are called {name!r}. `agentllm keys list` "
                    "shows their aliases and hashes; 8 digits or more of a hash name a key."
                )
            self._write([key for key in keys if key is not found[0]])
            return found[0]

    def _write(self, keys: Sequence[Key]) -> None:
        entries = [key.model_dump(exclude_none=True) for key in keys]
        for entry in entries:
            if "models" in entry:
                entry["models"] = list(entry["models"])
        text = _HEADER + yaml.safe_dump({"keys": entries}, sort_keys=False, allow_unicode=True)
        if len(text.encode()) > LARGEST_FILE:
            raise ConfigurationError(
                f"{len(keys)} keys are too many for a file of {LARGEST_FILE} bytes. Revoke some, or use LiteLLM's "
                "keys in a database (DATABASE_URL)."
            )
        try:
            _replace(self.path.resolve(), text)
        except OSError as error:
            raise self._not_written(error) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other writers away; the lock is a file beside the keys, which stays there."""
        target = self.path.resolve()
        try:
            descriptor = os.open(target.with_name(f".{target.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._not_written(error) from None
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        import fcntl

        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"Another process has been changing {str(self.path)!r} for more than "
                        f"{LONGEST_WAIT:g} seconds. Try again when it has ended."
                    ) from None
            time.sleep(0.02)

    def _not_written(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"The file of keys {str(self.path)!r} cannot be written: {error.strerror}. "
            "Set AGENTLLM_KEYS to a file in a folder that can be written."
        )


def _replace(target: Path, text: str) -> None:
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


class _Reader:
    """Reads one content, with the place of what is wrong in it."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content

    def keys(self) -> Iterator[Key]:
        loader, entries = self._entries()
        seen: dict[str, int] = {}
        for number, entry in enumerate(entries):
            key = self._key(loader, entry, f"keys[{number}]")
            line = _line_of(entry)
            for what, value in (("alias", key.alias), ("hash", key.hash)):
                if value in seen:
                    raise self._wrong(line, f"keys[{number}] has the {what} of the key in line {seen[value]}")
                seen[value] = line
            yield key

    def _entries(self) -> tuple[Any, list[yaml.Node]]:
        try:
            loader = _LOADER(self._content)
            root = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._wrong(mark.line + 1 if mark else 1, f"not YAML: {error.problem}") from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise self._wrong(1, "not YAML in UTF-8") from None
        if not isinstance(root, yaml.MappingNode) or [name.value for name, _ in root.value] != ["keys"]:
            raise self._wrong(_line_of(root), "there must be one entry, 'keys', with the list of keys ([] for none)")
        entries = root.value[0][1]
        if not isinstance(entries, yaml.SequenceNode):
            raise self._wrong(_line_of(entries), "'keys' must be a list ([] for none)")
        return loader, list(entries.value)

    def _key(self, loader: Any, entry: yaml.Node, place: str) -> Key:
        if not isinstance(entry, yaml.MappingNode):
            raise self._wrong(_line_of(entry), f"{place} must be a mapping with 'hash' and 'alias'")
        names = [name.value for name, _ in entry.value]
        for name, _ in entry.value:
            if names.count(name.value) > 1:
                raise self._wrong(_line_of(name), f"{place}.{name.value} is there twice")
        try:
            return Key.model_validate(loader.construct_document(entry))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            field = str(first["loc"][0])
            node = next((value for name, value in entry.value if name.value == field), entry)
            shown = "" if field not in Key.model_fields or field in ("hash", "alias") else f" (it is {_value(node)})"
            raise self._wrong(_line_of(node), f"{place}.{field}: {first['msg']}{shown}") from None
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise self._wrong(_line_of(entry), f"{place}: {str(error).splitlines()[0]}") from None

    def _wrong(self, line: int, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}, line {line}: {problem}.")


def _line_of(node: yaml.Node | None) -> int:
    return 1 if node is None else int(node.start_mark.line) + 1


def _value(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:80])
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
