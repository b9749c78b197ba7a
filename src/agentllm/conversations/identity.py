"""Whose conversation a client's session id means: an id for each owner, agent and session."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from agentllm.core import Caller
from agentllm.errors import ConfigurationError

_SECRET_FILE = "secret.key"  # noqa: S105 - a file name


def conversation_id(secret: bytes, caller: Caller, agent: str, session: str | None) -> str:
    """The stored conversation that `session` means when `caller` says it to `agent`.

    Without a session it stands for all conversations of the two that have none.

    HMAC-SHA256 under `secret`, in hex: the same words of another caller, or to another agent,
    are another conversation, and no id can be guessed or traced back.
    """
    named = json.dumps([caller.principal, agent, session]).encode()
    return hmac.new(secret, named, hashlib.sha256).hexdigest()


def load_secret(data_dir: Path, configured: str | None) -> bytes:
    """The key of `conversation_id`: `configured`, else one that is made once and kept in `data_dir`.

    Raises:
        ConfigurationError: the key can be neither read nor made.
    """
    if configured is not None:
        return configured.encode()
    path = data_dir / _SECRET_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        _make_once(path)
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The folder {str(data_dir)!r} cannot be used for AgentLLM's data: {error.strerror}. "
            "Set AGENTLLM_DATA_DIR to a folder that can be written."
        ) from None
    if len(secret) < 32:
        raise ConfigurationError(
            f"{_SECRET_FILE} in {str(data_dir)!r} is damaged: {len(secret)} bytes instead of 32. "
            "Restore it, or delete it, which makes the stored conversations unreachable."
        )
    return secret


def _make_once(path: Path) -> None:
    """Written aside and linked into place, so that of several processes one wins and no one reads half a key."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
