"""Every environment variable of AgentLLM, in one place; `.env.example` explains each in a line."""

from __future__ import annotations

import difflib
import os
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agentllm.core import FAMILIES
from agentllm.errors import ConfigurationError

PREFIX = "AGENTLLM_"

TEST_KEY = "sk-agno-test-key-12345"
"""The published key that a fresh machine starts with; anyone can read it here."""

MASTER = "master"
"""What `AGENTLLM_TRUSTED_FRONTENDS` calls the master key; no other key can have the alias."""

MOST_HISTORY_TURNS = 1_000

PROVIDER_VARIABLES = ("GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_API_BASE")
"""What chooses the default model: the first of these that is set."""


class Settings(BaseSettings):
    """The settings of one process, read from `AGENTLLM_*` variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    agents: Annotated[tuple[Path, ...] | None, NoDecode] = None
    """Folders and YAML files of agents; None stands for `./agents` and `./agents.yaml` where they exist."""

    data_dir: Path = Path("data")
    """Where conversations and the secret key are kept; made at the first start."""

    model: str | None = None
    """The model of the agents that ship, as `provider/id`; None chooses by the provider keys that are set."""

    task_model: str | None = None
    """The model that answers background tasks of front ends; None answers them without a model."""

    swap_models: Annotated[tuple[str, ...] | None, NoDecode] = None
    """The models that may be set for a conversation, as globs; None stands for the proxy's own list of models."""

    secret: SecretStr | None = Field(default=None, min_length=16)
    """The key that session ids are hashed with; None keeps one in the data directory."""

    run_timeout: float = Field(default=600.0, gt=0, le=86_400)
    """Seconds that one run of an agent may take."""

    db_url: SecretStr | None = None
    """The database of conversations, PostgreSQL or SQLite; None keeps a SQLite file in the data directory."""

    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days after its last turn for which a conversation is kept; None keeps it."""

    history_turns: int = Field(default=20, ge=1, le=MOST_HISTORY_TURNS)
    """Turns of a conversation that an agent is given again."""

    allow_test_key: bool = False
    """Whether the published test key may be used on an address that is not loopback."""

    fetch_urls: bool = False
    """Whether pictures, sounds and files are fetched from https URLs in requests."""

    show_work: bool = False
    """Whether clients other than Open WebUI read of an agent's work in lines of reasoning."""

    proxy_config: Path | None = None
    """The proxy's configuration, whose models are asked where no proxy runs; None is `./proxy_config.yaml`, if any."""

    keys: Path | None = None
    """The YAML file of keys for a proxy without a database; None lets the master key in alone."""

    trusted_frontends: Annotated[tuple[str, ...], NoDecode] = (MASTER,)
    """Aliases or hashes of the keys whose forwarded end users count; `master` is the master key."""

    public_url: str | None = Field(default=None, pattern=r"https?://[^\s/?#]+(/[^\s?#]*)?$")
    """Where others reach the proxy, as agents' A2A cards say; None takes it from the request for the card."""

    openwebui_jwt_secret: SecretStr | None = Field(default=None, min_length=16)
    """What trusted front ends sign `X-OpenWebUI-User-Jwt` with; None refuses such tokens."""

    @field_validator("data_dir", "keys", "proxy_config")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value and value.expanduser()

    @field_validator("trusted_frontends", "swap_models", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("task_model")
    @classmethod
    def _refuse_agent(cls, value: str | None) -> str | None:
        if value is not None and value.partition("/")[0] in FAMILIES:
            raise ValueError("background tasks run no agent; name a language model")
        return value

    @field_validator("agents", mode="before")
    @classmethod
    def _split_agents(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(Path(part).expanduser() for part in value.split(os.pathsep) if part.strip())


@cache
def load_settings() -> Settings:
    """The settings of this process, read once from its environment.

    Raises:
        ConfigurationError: an `AGENTLLM_*` variable is unknown or its value is bad; the
            message names the variable and, unless it is a secret, the value.
    """
    _refuse_unknown()
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(_problem(str(e["loc"][0]), e["msg"]) for e in error.errors(include_url=False))
        raise ConfigurationError(f"Bad setting: {problems}.") from None


def _problem(field: str, reason: str) -> str:
    name = f"{PREFIX}{field.upper()}"
    given = next((value for variable, value in os.environ.items() if variable.upper() == name), None)
    value = "(hidden)" if field.endswith("secret") else repr(given)
    return f"{name}={value}: {reason}"


def _refuse_unknown() -> None:
    known = sorted(name.upper() for name in Settings.model_fields)
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX)
        if variable.upper().startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            choices = ", ".join(f"{PREFIX}{choice}" for choice in known)
            hint = f"Did you mean {PREFIX}{near[0]}?" if near else f"There are {choices}."
            raise ConfigurationError(f"Unknown setting {variable}. {hint}")
