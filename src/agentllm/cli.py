"""The command line: `agentllm serve`, `agents`, `adk-cards`, `cost`, `hotswap`, `keys …` and `sessions …`."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from agentllm import cli_cost, cli_hotswap, cli_sessions
from agentllm.errors import ConfigurationError
from agentllm.settings import TEST_KEY, Settings, load_settings

DEFAULT_PORT = 8890

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
keys_app = typer.Typer(
    no_args_is_help=True, help="The keys of a proxy without a database, in the file of AGENTLLM_KEYS."
)
app.add_typer(keys_app, name="keys")
app.add_typer(cli_sessions.app, name="sessions")
app.command("hotswap")(cli_hotswap.hotswap)
app.command("cost")(cli_cost.cost)


def main() -> None:
    """Run the command line; a configuration error ends it with status 2 and its message alone."""
    load_dotenv(Path.cwd() / ".env")
    try:
        app()
    except ConfigurationError as error:
        typer.echo(f"agentllm: {error.message}", err=True)
        sys.exit(2)


@app.callback()
def cli() -> None:
    """Agents as ordinary OpenAI-compatible models behind a LiteLLM proxy."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = DEFAULT_PORT,
    config: Annotated[Path, typer.Option(help="LiteLLM's configuration.")] = Path("proxy_config.yaml"),
) -> None:
    """Start the proxy, after checking what would keep it from working."""
    from agentllm.conversations import open_conversations
    from agentllm.keys import KeyRing

    settings = load_settings()
    _check_key(host, settings)
    if not config.is_file():
        raise ConfigurationError(f"There is no configuration {str(config)!r}. Name one with --config.")
    _check_port(host, port)
    if settings.keys is not None and not os.environ.get("DATABASE_URL"):
        KeyRing(settings.keys)
    open_conversations(settings)
    litellm = Path(sys.executable).with_name("litellm")
    arguments = [str(litellm), "--config", str(config), "--host", host, "--port", str(port)]
    typer.echo(f"AgentLLM starts on http://{host}:{port} (about 15 seconds).", err=True)
    os.execv(litellm, arguments)  # noqa: S606 - the arguments are ours, and no shell reads them


@app.command()
def agents() -> None:
    """List the agents that can be served; log the broken ones and end with status 1 if there are any."""
    from agentllm.catalog import load_catalog
    from agentllm.gateway.registration import why_not

    catalog = load_catalog(load_settings(), why_not=why_not)
    for agent in catalog:
        typer.echo(f"{agent.model}\t{agent.description}")
    if catalog.broken:
        raise typer.Exit(1)


@app.command("adk-cards")
def adk_cards(
    folder: Annotated[Path, typer.Argument(help="A folder of packages of ADK.")] = Path("adk_agents"),
    url: Annotated[str, typer.Option(help="Where others reach ADK's server.")] = "http://localhost:8000",
) -> None:
    """Write the agent.json of each package, with which `adk api_server --a2a` serves it."""
    from agentllm.catalog.adk_cards import write_cards

    for path in write_cards(folder, url):
        typer.echo(str(path))


@keys_app.command("add")
def add_key(
    user: Annotated[str, typer.Option(help="Whose key it is: keys of one user share their conversations.")],
    alias: Annotated[str | None, typer.Option(help="The key's name; the user's where none is given.")] = None,
    team: Annotated[str | None, typer.Option(help="The user's team.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that the key may use, * for anything; repeatable. Default: all.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute, in each worker of the proxy.")] = None,
    expires: Annotated[str | None, typer.Option(help="12h, 30d, 4w, or an ISO date or time in UTC.")] = None,
    budget: Annotated[float | None, typer.Option(help="US dollars that its models may cost.")] = None,
    budget_duration: Annotated[
        str | None, typer.Option(help="The budget is for each span of that length: 12h, 30d, 4w. Default: for ever.")
    ] = None,
) -> None:
    """Make a key and print it; it is shown this once, and only its hash is kept."""
    from agentllm.keys import KeyFile, make_key

    file = KeyFile(_keys_path())
    secret, key = make_key(
        alias or user,
        user=user,
        team=team,
        models=model,
        rpm=rpm,
        expires=expires,
        budget=budget,
        budget_duration=budget_duration,
    )
    file.add(key)
    typer.echo(secret)


@keys_app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="As JSON, with whole hashes.")] = False) -> None:
    """List the keys, the expired ones too, by alias and the beginning of their hash."""
    from agentllm.keys import KeyFile, table

    path = _keys_path()
    keys = KeyFile(path).read() if path.exists() else ()
    if as_json:
        typer.echo(json.dumps([key.model_dump(mode="json") for key in keys], indent=2))
    else:
        typer.echo(table(keys, datetime.now(UTC)))


@keys_app.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(metavar="ALIAS|HASH", help="The alias, or 8 digits or more of the hash.")],
) -> None:
    """Take a key out of the file; a running proxy refuses it from its next request on."""
    from agentllm.keys import KeyFile

    revoked = KeyFile(_keys_path()).revoke(name)
    typer.echo(f"The key {revoked.alias!r} is revoked.", err=True)


def _keys_path() -> Path:
    path = load_settings().keys
    if path is None:
        raise ConfigurationError(
            "AGENTLLM_KEYS is not set. Set it, here and for the proxy, to the file that the keys are to be kept in."
        )
    return path


def _check_key(host: str, settings: Settings) -> None:
    """Keep the key that everyone can read from being used where everyone can reach it."""
    uses_test_key = (os.environ.get("LITELLM_MASTER_KEY") or TEST_KEY) == TEST_KEY
    if uses_test_key and not _is_loopback(host) and not settings.allow_test_key:
        raise ConfigurationError(
            f"The published test key would be valid on {host}, which others can reach. "
            "Set LITELLM_MASTER_KEY to a key of your own, or AGENTLLM_ALLOW_TEST_KEY=1 if that is wanted."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {host} cannot be used: {error.strerror}. Choose another one with --port."
            ) from None
