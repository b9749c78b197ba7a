"""Every environment variable of AgentLLM, in one place; `.env.example` explains each in a line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agentllm.errors import ConfigurationError

PREFIX = "AGENTLLM_"
TEST_KEY = "sk-agno-test-key-12345"


class Settings(BaseSettings):
    """The settings of one process, read from `AGENTLLM_*` variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    agents: Annotated[tuple[Path, ...] | None, NoDecode] = None
    """Folders and YAML files of agents; None stands for `./agents` and `./agents.yaml` where they exist."""

    data_dir: Path = Path("data")
    """Where conversations and the secret key are kept; made at the first start."""

    model: str | None = None
    """The model of the agents that ship, as `provider/id`; None chooses by the provider keys that are set."""

    secret: SecretStr | None = Field(default=None, min_length=16)
    """The key that session ids are hashed with; None keeps one in the data directory."""

    run_timeout: float = Field(default=600.0, gt=0, le=86_400)
    """Seconds that one run of an agent may take."""

    history_turns: int = Field(default=20, ge=1, le=1_000)
    """Turns of a conversation that an agent is given again."""

    allow_test_key: bool = False
    """Whether the published test key may be used on an address that is not loopback."""

    @field_validator("agents", mode="before")
    @classmethod
    def _split_agents(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(Path(part).expanduser() for part in value.split(os.pathsep) if part.strip())


@cache
def load_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        ConfigurationError: an `AGENTLLM_*` variable is unknown or its value is bad; the
            message names the variable.
    """
    return read_settings(os.environ)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` holds, which must be `os.environ`'s content; see `load_settings`."""
    _refuse_unknown(environ)
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{str(problem['loc'][0]).upper()}={_shown(problem)}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"Bad setting: {problems}.") from None


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Known: {', '.join(sorted(known))}."
            raise ConfigurationError(f"Unknown setting {name}.{hint}")
